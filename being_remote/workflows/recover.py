"""`recover`: from a run's checkpoints and its bbox.pt to the cameras of the original video.

Reads only files on this laptop. Writes the exports and one overlay picture into `out`, by default
`recovered/<run>` in the current folder: never into the backup, where every file is taken for
something that came from a pod. What is assumed rather than known is among the warnings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import BeingRemoteError, InconsistentData, UsageError
from being_remote.workflows.recovery.inputs import (
    FoundBox,
    Run,
    SourceSize,
    find_box,
    find_run,
    find_settings,
    find_source_size,
)
from being_remote.workflows.recovery.picture import write_overlay
from being_remote.workflows.recovery.report import RecoverReport, figures, matrix
from being_remote.workflows.recovery.report import explain as _explain

if TYPE_CHECKING:
    from being_remote.camera.crop import Crop
    from being_remote.export import Cameras
    from being_remote.inventory import Inventory
    from being_remote.tracker.run_settings import RunSettings
    from being_remote.tracker.sequence import Sequence as Frames

__all__ = ["RecoverReport", "recover"]

OVERLAY = "overlay.png"
ASPECT_TOLERANCE = 0.01


def recover(
    inventory: Inventory | None,
    *,
    actor: str | None = None,
    run: str | None = None,
    source_size: tuple[int, int] | None = None,
    video: Path | None = None,
    bbox: Path | None = None,
    exports: Sequence[str] = (),
    out: Path | None = None,
    explain: bool = False,
    dry_run: bool = False,
) -> RecoverReport:
    """Recover the cameras of the original video from one run.

    Args:
        inventory: needed unless `run` is a folder and a size is given.
        actor, run: which run; `run` is a folder (of `.frame` files, or with `checkpoint/` in it) or
            an actor's name.
        source_size: width, height of the original video.
        video: the original video, or the folder of its frames; gives the size and the picture.
        bbox: a bbox.pt from elsewhere.
        exports: names of `export.TARGETS`; default: all.
        out: where to write; default `recovered/<run>` in the current folder.
        explain: also compare with the guide's recipe.
        dry_run: compute all, write nothing.

    Raises:
        UsageError: what was asked contradicts itself, the files, or leaves something open.
        NotFoundError: no run, no frames, no bbox.pt, no video.
        DataError: files that are unsafe, torn, or contradict each other.
    """
    from being_remote.camera.intrinsics import fov_deg, to_opencv_pixels
    from being_remote.export import targets, write
    from being_remote.tracker.sequence import read_sequence

    chosen = targets(exports)
    which = find_run(inventory, actor, run)
    settings, unknown_settings = find_settings(which)
    frames = read_sequence(which.checkpoints)
    source = find_source_size(which, source_size, video, inventory)
    known = not unknown_settings
    crop, found, grade, doubts = _crop(which, frames, settings, source, bbox, settings_known=known)
    cameras = _cameras(which.name, frames, crop, settings, grade, times_known=known)
    warnings = [*doubts, *frames.warnings, *source.warnings, *unknown_settings]

    folder = (out or Path("recovered") / which.name).absolute()
    outputs = [folder / t.file_name for t in chosen] + [folder / OVERLAY]
    if not dry_run:
        for target in chosen:
            write(cameras, target, folder)
        warnings += write_overlay(folder / OVERLAY, which, cameras, settings, source)
    K = cameras.K_source
    return RecoverReport(
        run=which.name,
        actor=which.actor.name if which.actor else None,
        frames=len(frames.frame_ids),
        missing_ids=tuple(frames.missing_ids),
        source_size_wh=crop.source_size_wh,
        image_size_wh=crop.image_size_wh,
        crop=figures(crop),
        K=matrix(K),
        K_opencv=matrix(to_opencv_pixels(K)),
        K_crop=matrix(frames.K),
        fov_deg=fov_deg(K, crop.source_size_wh),
        grade=grade,
        bbox=str(found.path) if found else None,
        outputs=tuple(map(str, outputs)),
        notes=tuple(f"{t.name}: {note}" for t in chosen for note in t.notes),
        warnings=tuple(warnings),
        explain=_explain(cameras, found.box if found else None) if explain else None,
        dry_run=dry_run,
    )


def _crop(
    run: Run,
    frames: Frames,
    settings: RunSettings,
    source: SourceSize,
    bbox: Path | None,
    *,
    settings_known: bool,
) -> tuple[Crop, FoundBox | None, str, list[str]]:
    """The crop, the box it is from, its grade, and what is doubtful about it."""
    from being_remote.camera.crop import crop_from_box, resize_only

    w, h = frames.image_size_wh
    if settings_known and settings.crop_image and w != h:
        raise InconsistentData(
            f"the frames are of {w}x{h} images and the run's settings say that they were cropped: the"
            " tracker crops to squares only, so the stored K belongs to no image",
            file=str(run.base),
            hint="the settings file is another run's, or says crop_image wrongly",
        )
    doubts = []
    if settings_known and settings.image_size_wh != (w, h):
        sw, sh = settings.image_size_wh
        doubts.append(
            f"the settings file says images of {sw}x{sh}, the frames are of {w}x{h}: it is another run's, so"
            " source numbers, times and whether there was a crop are uncertain"
        )
    # The tracker crops to squares only, so an image that is not square was never cropped.
    if not settings.crop_image or w != h:
        if bbox is not None:
            raise UsageError(
                f"run {run.name!r} was tracked without a crop ({w}x{h}), so no bbox.pt belongs to it",
                where=str(run.base),
                hint="leave --bbox out",
            )
        _check_aspect((w, h), source)
        unused = next((path for path in run.boxes(settings) if path.exists()), None)
        if unused is not None:
            doubts.append(f"{unused} is not used: by its settings and frames this run cropped nothing")
        return resize_only(source.size_wh, (w, h)), None, "whole frame", doubts
    found = find_box(run, settings, bbox)
    try:
        crop = crop_from_box(found.box, source.size_wh, (w, h))
    except ValueError as e:
        raise _misfit(str(e), found, source) from e
    if found.doubt:
        doubts.append(f"unverified: {found.path} is not known to be this run's: {found.doubt}")
    x_min, x_max, y_min, y_max = found.box
    if crop.scale_x != crop.scale_y:
        doubts.append(
            f"the box is {x_max - x_min}x{y_max - y_min}, which pads unevenly: fx and fy differ, as in the"
            " tracker's own crops; the tracker makes even boxes only, so it was edited or is another video's"
        )
    elif x_max - x_min != y_max - y_min and not _cut_where_short(crop):
        doubts.append(
            "the box is not square though no border cut its shorter side: it was edited or is another video's"
        )
    return crop, found, "unverified" if found.doubt else "bbox", doubts


def _cut_where_short(crop: Crop) -> bool:
    """Whether a border could have cut the shorter side: at 0, or one further to keep the side even."""
    w, h = crop.source_size_wh
    if crop.x_max - crop.x_min < crop.y_max - crop.y_min:
        return crop.x_min <= 1 or crop.x_max >= w - 1
    return crop.y_min <= 1 or crop.y_max >= h - 1


def _misfit(what: str, found: FoundBox, source: SourceSize) -> BeingRemoteError:
    w, h = source.size_wh
    if "swapped" in what and source.video is not None:  # measured, so the size is not what is wrong
        return InconsistentData(
            f"{what.split(';')[0]} ({source.said_by})",
            file=str(found.path),
            hint="it fits with x and y exchanged: other programs store y first. Use this run's own bbox.pt"
            " (--bbox FILE), or the video that was tracked (--video FILE)",
        )
    if "swapped" in what:
        return UsageError(
            f"{what} ({source.said_by})", where=str(found.path), hint=f"--source-size {h}x{w} (WIDTHxHEIGHT)"
        )
    return InconsistentData(
        f"{what} ({source.said_by})",
        file=str(found.path),
        hint="give the size of the video that was tracked (--video FILE or --source-size WIDTHxHEIGHT),"
        " or this run's own bbox.pt (--bbox FILE)",
    )


def _check_aspect(image_size_wh: tuple[int, int], source: SourceSize) -> None:
    """A run without a crop keeps the shape of the frame, or its settings say otherwise on purpose."""
    w, h = source.size_wh
    stretch = (w / image_size_wh[0]) / (h / image_size_wh[1])
    turned = (h / image_size_wh[0]) / (w / image_size_wh[1])
    if abs(turned - 1) < ASPECT_TOLERANCE < abs(stretch - 1):
        raise UsageError(
            f"a frame of {w}x{h} does not have the shape of the tracked image"
            f" {image_size_wh[0]}x{image_size_wh[1]}, but {h}x{w} does: are width and height swapped?",
            where=source.said_by,
            hint=f"--source-size {h}x{w} (WIDTHxHEIGHT)",
        )


def _cameras(
    name: str, frames: Frames, crop: Crop, settings: RunSettings, grade: str, *, times_known: bool
) -> Cameras:
    import numpy as np

    from being_remote.camera.intrinsics import intrinsics_in_source
    from being_remote.export import Cameras
    from being_remote.tracker.numbering import source_frame_number, source_time_s

    numbers = [source_frame_number(i, settings.begin_frames) for i in frames.frame_ids.tolist()]
    return Cameras(
        name=name,
        K_source=intrinsics_in_source(frames.K, crop),
        K_crop=frames.K,
        R=frames.R,
        t=frames.t,
        frame_ids=frames.frame_ids,
        source_numbers=np.array(numbers, dtype=np.int64),
        times_s=np.array([source_time_s(n, settings.fps) for n in numbers]) if times_known else None,
        crop=crop,
        grade=grade,
    )
