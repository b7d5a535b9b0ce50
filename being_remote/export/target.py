"""What an export is: a Target that describes one format, and the Export that it is given.

A Target's `files` makes names and bytes and touches no disk. `prepare` refuses what the target cannot
hold, with figures, before the first byte is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from being_remote.camera import canvas as canvases
from being_remote.camera.canvas import Canvas
from being_remote.camera.intrinsics import ray_angle_deg
from being_remote.errors import InconsistentData, NotFoundError, UsageError
from being_remote.export.cameras import Cameras, Floats
from being_remote.tracker.layout import frame_name
from being_remote.tracker.torch_file import import_torch

# A file's path below the target's folder, "/" between parts, and its bytes in pieces.
File = tuple[str, Iterable[bytes]]
# The target's own rule (None), the tracker's crop, or a window's size.
CanvasChoice = Literal["crop"] | tuple[int, int] | None
CanvasRule = Literal["full", "recentred", "recentred square"]

# A window of whole pixels can be off by this much.
OFF_CENTRE_PX = 0.5
# How far taking fx for fy may move a pixel at the border.
ONE_FOCAL_PX = 0.05


@dataclass(frozen=True)
class RunFiles:
    """Local folders of the run; None where there is none."""

    checkpoints: Path | None = None  # `.frame` files
    meshes: Path | None = None  # fitted `.ply`, one per frame
    kpt: Path | None = None  # 68 landmarks per frame, `.npy`, crop pixels
    # a frame's source_number less the number in the names of its landmark files; not 0 where the local frames
    # have other numbers than those that the tracker read
    kpt_offset: int = 0
    # the `.frame` of each frame_id, where it is not the tracker's name of five digits
    frame_names: Mapping[int, str] = field(default_factory=dict)

    def frame(self, frame_id: int) -> Path:
        """The `.frame` of a frame_id."""
        assert self.checkpoints is not None  # `prepare` checks it
        return self.checkpoints / self.frame_names.get(frame_id, frame_name(frame_id))


@dataclass(frozen=True, eq=False)
class Export:
    """What a Target is given: the cameras of the original video, the canvas, and the run's other files.

    The canvas is the trainer's picture, a window of the original frame.
    """

    cameras: Cameras
    canvas: Canvas
    run: RunFiles = RunFiles()

    @property
    def K(self) -> Floats:
        """(3, 3) K of the canvas, corner convention."""
        return self.canvas.K(self.cameras.K_source)

    @property
    def K_each(self) -> Floats | None:
        """(N, 3, 3) K of the canvas for each frame; None where all have the same."""
        K_each = self.cameras.K_each
        return None if K_each is None else self.canvas.K(K_each)

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the canvas."""
        return self.canvas.out_size_wh


def _nothing(export: Export) -> Sequence[str]:
    return ()


def _no_check(export: Export) -> None:
    """The run's files are not read."""


@dataclass(frozen=True)
class Target:
    """One format and its reader.

    Attributes:
        name: what `--export` takes.
        folder: its folder below the output folder; "" where its one file lies at the top.
        main_files: what is listed as written, below `folder`; "NAME/" is a folder of one file per frame.
        notes: what the user must do to keep the cameras unchanged, and what the trainer still needs.
        files: every file with its bytes; does not write them.
        canvas: the default rule for its picture.
        fixed_canvas: it always describes the original frames, whatever canvas is chosen.
        ignores_principal_point: its trainer uses the canvas's middle.
        one_focal: its trainer uses fx for fy.
        K_per_frame: it can hold a K for each frame.
        size_wh: the only size its trainer reads; None: any.
        needs: of "checkpoints", "meshes", "kpt", "torch", "images": what it cannot be made without.
        by_name_only: it is written only where it is named, although it needs nothing more.
        image_names: the picture of each frame, below `folder`; None: it has no pictures.
        counted: the files of a folder that may hold nothing else because its trainer counts them, below
            `folder`; None: it counts none.
        by_source_number: it names its frames by their number in `source/`.
        remarks: notes about one export.
        check: reads the run's files that `files` needs, to raise its errors before anything is written.
    """

    name: str
    folder: str
    main_files: tuple[str, ...]
    notes: tuple[str, ...]
    files: Callable[[Export], Iterator[File]]
    canvas: CanvasRule = "full"
    fixed_canvas: bool = False
    ignores_principal_point: bool = False
    one_focal: bool = False
    K_per_frame: bool = False
    size_wh: tuple[int, int] | None = None
    needs: tuple[str, ...] = ()
    by_name_only: bool = False
    image_names: Callable[[Cameras], list[str]] | None = None
    counted: Callable[[Cameras], list[str]] | None = None
    by_source_number: bool = False
    remarks: Callable[[Export], Sequence[str]] = _nothing
    check: Callable[[Export], None] = _no_check

    @property
    def default(self) -> bool:
        """Whether it is written where no target is named."""
        return not self.by_name_only and not {"meshes", "torch", "images"} & set(self.needs)


def name_as_in_source(cameras: Cameras) -> list[str]:
    """The frames' pictures in `images/`, named as in `source/`."""
    return [f"images/{file}" for file in cameras.source_files]


def prepare(
    target: Target,
    cameras: Cameras,
    run: RunFiles = RunFiles(),
    *,
    canvas: CanvasChoice = None,
    allow_off_centre: bool = False,
) -> Export:
    """Choose the canvas and refuse what the target cannot hold; nothing is written.

    Args:
        canvas: None for the target's own rule, "crop" for the tracker's crop and its K, or the
            (width, height) of a window around the principal point.
        allow_off_centre: accept that the trainer will use another principal point.

    Raises:
        UsageError: the target cannot hold this camera or size; with the figures. It needs torch, which is not
            installed.
        NotFoundError: files that it needs are not local.
        InconsistentData: it needs source numbers, and frames have none.
    """
    unknown = int((cameras.source_numbers < 1).sum())
    if target.by_source_number and unknown:
        raise InconsistentData(
            f"it names frames by their source number, and {unknown} of {len(cameras.frame_ids)} have none",
            file=_where(target),
            hint="name the video that was tracked, whole (--video FILE)",
        )
    if "torch" in target.needs:
        import_torch(_where(target))
    for need in target.needs:
        if need in ("checkpoints", "meshes", "kpt") and getattr(run, need) is None:
            raise NotFoundError(
                f"it needs the run's {need}, which are not local",
                where=_where(target),
                hint=f"being-remote sync --only {need}",
            )
    _check_one_K(target, cameras)
    export = Export(cameras, _canvas(target, cameras, canvas), run)
    _check_size(target, export)
    _check_seen(target, export)
    _check_focal(target, export)
    if not allow_off_centre:
        error = off_centre(target, export)
        if error:
            raise UsageError(
                error,
                where=_where(target),
                hint="leave --canvas out to get a centred one, or add --allow-off-centre",
            )
    return export


def off_centre(target: Target, export: Export) -> str:
    """What the trainer gets wrong by ignoring the principal point; "" up to half a pixel."""
    if not target.ignores_principal_point:
        return ""
    x, y = export.canvas.off_centre_px(export.cameras.K_source)
    if max(abs(x), abs(y)) <= OFF_CENTRE_PX + 1e-9:
        return ""
    w, h = export.size_wh
    centred = export.K.copy()
    centred[:2, 2] = w / 2, h / 2
    degrees = float(ray_angle_deg(export.K, centred, [w / 2, h / 2]))
    return (
        "its trainer uses the middle of the picture as principal point, which lies"
        f" {abs(x):.2f} px {'right' if x > 0 else 'left'} of and {abs(y):.2f} px"
        f" {'below' if y > 0 else 'above'} the middle of this canvas of {w}x{h}: every ray would be"
        f" {degrees:.2f} degrees off"
    )


def _canvas(target: Target, cameras: Cameras, wanted: CanvasChoice) -> Canvas:
    K, crop = cameras.K_source, cameras.crop
    try:
        if wanted is None or target.fixed_canvas:
            if target.canvas == "recentred":
                return canvases.recentred(K, crop.source_size_wh)
            if target.canvas == "recentred square":
                return canvases.recentred_square(K, crop, (target.size_wh or crop.image_size_wh)[0])
            return canvases.full_frame(crop.source_size_wh)
        if wanted == "crop":
            return canvases.tracker_crop(crop)
        return canvases.window(K, crop.source_size_wh, wanted)
    except ValueError as e:
        raise UsageError(
            str(e), where=_where(target), hint="--canvas WIDTHxHEIGHT, e.g. 1024x1024, around the face"
        ) from e


def _check_size(target: Target, export: Export) -> None:
    if target.size_wh not in (None, export.size_wh):
        (w, h), (takes_w, takes_h) = export.size_wh, target.size_wh or (0, 0)
        raise UsageError(
            f"its trainer reads pictures of {takes_w}x{takes_h} only, and this canvas is {w}x{h}",
            where=_where(target),
            hint=f"leave --canvas out: the default is resized to {takes_w}x{takes_h}",
        )


def _check_seen(target: Target, export: Export) -> None:
    canvas, crop = export.canvas, export.cameras.crop
    x_min, x_max, y_min, y_max = canvas.copied
    if min(x_max, crop.x_max) <= max(x_min, crop.x_min) or min(y_max, crop.y_max) <= max(y_min, crop.y_min):
        w, h = export.size_wh
        raise UsageError(
            f"this canvas of {w}x{h}, source pixels x {canvas.x_min}..{canvas.x_min + canvas.width},"
            f" y {canvas.y_min}..{canvas.y_min + canvas.height}, shows nothing of what the tracker saw,"
            f" x {crop.x_min:g}..{crop.x_max:g}, y {crop.y_min:g}..{crop.y_max:g}",
            where=_where(target),
            hint="use a larger --canvas WIDTHxHEIGHT, or leave it out",
        )


def _check_one_K(target: Target, cameras: Cameras) -> None:
    if cameras.K_each is not None and not target.K_per_frame:
        focal = cameras.K_each[:, 0, 0]
        raise UsageError(
            "it holds one K for all frames, and this run has K per frame: fx goes from"
            f" {focal.min():.2f} to {focal.max():.2f} px",
            where=_where(target),
            hint="json, npz, nerfstudio and colmap hold a K for each frame; or track the video in one piece",
        )


def _check_focal(target: Target, export: Export) -> None:
    fx, fy = float(export.K[0, 0]), float(export.K[1, 1])
    off_px = abs(fy / fx - 1) * export.size_wh[1] / 2
    if target.one_focal and off_px > ONE_FOCAL_PX:
        raise UsageError(
            f"its trainer uses fx for fy, and they differ: {fx:.2f} and {fy:.2f} px, which moves the upper"
            f" and lower border by {off_px:.2f} px",
            where=_where(target),
            hint="nerfstudio, colmap and insta use both",
        )


def _where(target: Target) -> str:
    return f"--export {target.name}"
