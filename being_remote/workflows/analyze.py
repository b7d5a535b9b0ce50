"""`analyze`: one `.frame` in words: its camera, what it holds, what is wrong with it, what to do next.

Reads that file, and beside it what recover would use: the run's settings and its bbox.pt. A file whose
parts contradict each other is shown all the same, with exit code 6.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import DataError, UsageError
from being_remote.recovery.local_runs import find_settings, run_in_folder
from being_remote.recovery.report_figures import Matrix, matrix

if TYPE_CHECKING:
    from being_remote.tracker.frame_analysis import EntryAnalysis, FrameAnalysis

Size = tuple[int, int]


@dataclass(frozen=True)
class SourceView:
    """The camera of the original frames, by the box that lies beside the file.

    Attributes:
        box: x_min, x_max, y_min, y_max; None where the whole frame was resized.
        path: of the bbox.pt. Whether it is the run's own, `recover` finds out.
        side_px: of the crop with its padding.
        K: (3, 3) corner convention, of the original frame.
    """

    source_size_wh: Size
    box: tuple[int, int, int, int] | None
    path: str | None
    side_px: float
    K: Matrix
    fov_deg: tuple[float, float]


@dataclass(frozen=True)
class AnalyzeReport:
    """One `.frame`; what cannot be read of a broken one is None.

    Attributes:
        keys: every key found, dotted, in the file's order; `contents` says more of each.
        K: (3, 3) of the network image, corner convention; `K_opencv` the same in OpenCV's pixels.
        principal_off_px: from the image's centre to the principal point, x and y.
        fov_deg: across and down, of the network image.
        distance_m: from the camera to the head's origin.
        source: None where no box is at hand, or no size was given.
        problems: what makes it useless as a camera or shows that it was edited.
        notes: what is unusual.
        next: what to do, one step a line.
    """

    file: str
    frame_id: str | None
    global_step: int | None
    image_size_wh: Size | None
    keys: tuple[str, ...]
    contents: tuple[EntryAnalysis, ...]
    K: Matrix | None
    K_opencv: Matrix | None
    principal_off_px: tuple[float, float] | None
    fov_deg: tuple[float, float] | None
    distance_m: float | None
    source: SourceView | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    next: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """6 for a file that recover would refuse."""
        return DataError.exit_code if self.problems else 0


def analyze(frame: Path, *, source_size: Size | None = None) -> AnalyzeReport:
    """Take one `.frame` apart.

    Args:
        source_size: width, height of the original video; with a bbox.pt beside the run its camera.

    Raises:
        NotFoundError: it is not there.
        UsageError: it is a folder, a bbox.pt, or anything else than a dict.
        UnsafeFile, TornFile: it cannot be read safely, or is torn.
    """
    from being_remote.camera.intrinsics import fov_deg, to_opencv_pixels
    from being_remote.tracker.frame_analysis import analyze_frame
    from being_remote.tracker.frame_file import MAX_FRAME_BYTES, read_bytes

    if os.path.isdir(frame):  # where it may not be looked at, the reader says so
        raise UsageError("is a folder; analyze looks at one file", where=str(frame), hint=_in_folder(frame))
    found = analyze_frame(read_bytes(frame, MAX_FRAME_BYTES), str(frame))
    source, notes, steps = _find_source(frame, found, source_size)
    K, size = found.K, found.image_size_wh
    off = fov = None
    if K is not None and size is not None:
        off = (float(K[0, 2] - size[0] / 2), float(K[1, 2] - size[1] / 2))
        fov = fov_deg(K, size) if K[0, 0] > 0 and K[1, 1] > 0 else None
    return AnalyzeReport(
        file=str(frame),
        frame_id=found.frame_id,
        global_step=found.global_step,
        image_size_wh=size,
        keys=tuple(entry.key for entry in found.entries),
        contents=found.entries,
        K=matrix(K) if K is not None else None,
        K_opencv=matrix(to_opencv_pixels(K)) if K is not None else None,
        principal_off_px=off,
        fov_deg=fov,
        distance_m=float((found.t**2).sum() ** 0.5) if found.t is not None else None,
        source=source,
        problems=found.problems,
        notes=(*found.notes, *notes),
        next=steps,
    )


def _find_source(
    frame: Path, found: FrameAnalysis, source_size: Size | None
) -> tuple[SourceView | None, tuple[str, ...], tuple[str, ...]]:
    """The camera of the source where it is known, notes about it, and the next steps."""
    from being_remote.tracker.box_file import read_box

    if found.problems:
        step = "download it again (sync --verify), or track it again; recover refuses it or leaves it out"
        return None, (), (step,)
    run = run_in_folder(frame.absolute().parent)
    size = f"{source_size[0]}x{source_size[1]}" if source_size else "WIDTHxHEIGHT"
    recover = f"being-remote recover --run {shlex.quote(str(run.base))} --source-size {size}"
    w, h = found.image_size_wh or (0, 0)
    if w != h:
        view = _view_source(found, source_size, None, None) if source_size else None
        return view, (), (f"the camera of the original video: {recover}",)
    without_box = (
        "K belongs to a crop of the video, and no bbox.pt says which: being-remote find-bbox",
        "without one, by the stored crops: being-remote recover --run"
        f" {shlex.quote(str(run.base))} --from-images VIDEO",
    )
    try:
        settings, _ = find_settings(run)
        path = next((p for p in run.boxes(settings) if p.is_file()), None)
        box = read_box(path) if path is not None else None
    except DataError as e:
        return None, (f"beside it: {e.where}: {e.what}",), without_box
    if path is None or box is None:
        return None, (), without_box
    x_min, x_max, y_min, y_max = box
    beside = f"bbox.pt beside the run: {path}: x {x_min}..{x_max}, y {y_min}..{y_max}"
    steps = (f"the camera of the original video, checked, with pictures: {recover}",)
    if source_size is None:
        return None, (beside,), steps
    try:
        return _view_source(found, source_size, box, path), (beside,), steps
    except ValueError as e:
        return None, (beside, f"it does not fit: {e}"), steps


def _view_source(
    found: FrameAnalysis, source_size: Size, box: tuple[int, int, int, int] | None, path: Path | None
) -> SourceView:
    from being_remote.camera.crop import crop_from_box, resize_only
    from being_remote.camera.intrinsics import fov_deg, intrinsics_in_source

    assert found.K is not None and found.image_size_wh is not None  # it has no problems
    size = found.image_size_wh
    crop = crop_from_box(box, source_size, size) if box else resize_only(source_size, size)
    K = intrinsics_in_source(found.K, crop)
    where = str(path) if path else None
    return SourceView(source_size, box, where, crop.side, matrix(K), fov_deg(K, source_size))


def _in_folder(folder: Path) -> str:
    from being_remote.tracker.layout import CHECKPOINT, FRAME_SUFFIX, frame_name

    inside = folder / CHECKPOINT if (folder / CHECKPOINT).is_dir() else folder
    first = min(inside.glob(f"*{FRAME_SUFFIX}"), default=inside / frame_name(0))
    return f"analyze {shlex.quote(str(first))}; of a whole run: compare A B, or recover --run FOLDER"
