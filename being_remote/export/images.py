"""The pictures for a trainer: the original frames on the canvas of its cameras, and a mask.

Finished pictures are kept, so an interrupted call can be repeated. A record beside them says what they
were made of: pictures of another plan are refused, never mixed, and those of a run that has grown at
its end are added. The mask shows what the tracker saw: neither padding nor pixels outside its crop.

A video is decoded in one pass while several threads crop, resize and encode.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from being_remote.camera.canvas import Canvas, tracker_crop
from being_remote.camera.crop import Crop
from being_remote.errors import InconsistentData, UsageError
from being_remote.export.cameras import Cameras
from being_remote.export.files import (
    OTHER_PLACE,
    RECORD,
    json_sha256,
    read_record,
    recorded_count,
    write_atomically,
)
from being_remote.export.target import Export, Target
from being_remote.session import OnProgress, TransferProgress, no_progress

if TYPE_CHECKING:
    from being_remote.tracker.source_frames import SourceFrames

Picture = NDArray[np.uint8]

MASK = "valid_region.png"

JPEG_QUALITY = 95  # the tracker's own, and OpenCV's
# PNG without parameters is OpenCV's fast setting: at 1080p twice as fast as its level 1.
_ENCODING: dict[str, tuple[str, list[int], bytes]] = {
    ".jpg": (f"JPEG, quality {JPEG_QUALITY}", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY], b"\xff\xd9"),
    ".png": ("PNG", [], b"IEND\xae\x42\x60\x82"),
}
MAX_WORKERS = 8
MAX_CUBIC_SHRINK = 2.0


@dataclass(frozen=True)
class ImagePlan:
    """Which pictures to make, from what."""

    target: str  # the export they are for
    source: str  # what they are made of; see `source_words`
    canvas: Canvas  # which part of a frame, and how large
    interpolation: str  # how it is resized: one of `INTERPOLATIONS`
    seen: tuple[float, float, float, float]  # x_min, x_max, y_min, y_max of the source that the tracker saw
    names: tuple[str, ...]  # the pictures, below the target's folder
    source_numbers: tuple[int, ...]  # the frame that each shows, from 1
    # its index in the source by the pixels; -1: not in it. None: not compared.
    video_frames: tuple[int, ...] | None = None

    @property
    def source_path(self) -> str:
        """The path of the source."""
        return self.source.rpartition(" at ")[0] or self.source


INTERPOLATIONS = {"none": cv2.INTER_NEAREST, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}


def source_words(path: Path, source_fps: float) -> str:
    """Describe a video or frame folder by its path and a hash of its files' names, sizes and times.

    `source_fps` is the rate at which its frames are numbered.
    """
    digest = hashlib.sha256()
    files = sorted(os.scandir(path), key=lambda e: e.name) if path.is_dir() else [path]
    for file in files:
        found = file.stat()
        digest.update(f"{file.name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return f"{path.absolute()} at {source_fps:g} fps, {digest.hexdigest()[:16]}"


def plan_images(target: Target, export: Export, source: str) -> ImagePlan | None:
    """Plan the pictures of one export; None where the target has none. `source`: see `source_words`."""
    if target.image_names is None:
        return None
    canvas, crop = export.canvas, export.cameras.crop
    return ImagePlan(
        target.name,
        source,
        canvas,
        _interpolation(canvas, crop),
        (crop.x_min, crop.x_max, crop.y_min, crop.y_max),
        tuple(target.image_names(export.cameras)),
        tuple(export.cameras.source_numbers.tolist()),
        _compared_frames(export.cameras),
    )


def _compared_frames(cameras: Cameras) -> tuple[int, ...] | None:
    if cameras.video_frames is None or cameras.numbers_by not in ("pixels", "unknown"):
        return None
    return tuple(cameras.video_frames.tolist())


def standing(plan: ImagePlan, folder: Path) -> int:
    """Count the finished pictures of a plan in the folder; refuse pictures of another plan."""
    _agree_with_record(plan, folder)
    return sum(_is_finished(folder / name) for name in plan.names)


def refuse_missing(plan: ImagePlan, count: int | None) -> None:
    """Raise InconsistentData if a source of `count` frames lacks some that the plan needs.

    `count` is None where only the pixels show which frames it has.
    """
    frames = plan.video_frames or [0] * len(plan.names)
    unknown = sum(
        1
        for n, i in zip(plan.source_numbers, frames, strict=True)
        if n < 1 or (i < 0 and (count is None or n <= count))
    )
    if unknown:
        raise InconsistentData(
            f"{unknown} of {len(plan.source_numbers)} pictures cannot be made: their frames are unknown",
            file=plan.source_path,
            hint="name the complete video that was tracked (--video FILE), or trust the settings: --no-check",
        )
    missing = [n for n in plan.source_numbers if count is not None and n > count]
    if missing:
        raise InconsistentData(
            f"{len(missing)} of {len(plan.source_numbers)} pictures cannot be made: they show source frames"
            f" {min(missing)} to {max(missing)}, and there are {count}",
            file=plan.source_path,
            hint="name the complete video that was tracked (--video FILE), or correct begin_frames and fps",
        )


def make_images(
    plan: ImagePlan,
    source: SourceFrames,
    folder: Path,
    *,
    on_progress: OnProgress = no_progress,
) -> None:
    """Make the missing pictures of a plan, and the mask.

    Args:
        source: the original frames, numbered from 1 as in `source/`.
        folder: the target's; it is created.
        on_progress: counts pictures; called by one thread at a time.

    Raises:
        UsageError: the folder holds pictures of another plan, or cannot be written.
        InconsistentData: the source lacks frames of the plan, or they have another size.
        DataError: a frame cannot be decoded. NoSpace: the disk is full. Finished pictures stay.
    """
    _agree_with_record(plan, folder)
    # In the video's order, which differs from the run's with more than 99,999 source images.
    pairs = sorted(zip(plan.source_numbers, plan.names, strict=True))
    todo = [pair for pair in pairs if not _is_finished(folder / pair[1])]
    if todo:
        _check_size(plan, source.size_wh)
        refuse_missing(plan, source.count)
        record = _record(plan, len(plan.names))
        write_atomically(folder / RECORD, [json.dumps(record, indent=1).encode()])
        _make(plan, source, folder, todo, on_progress)
    write_atomically(folder / MASK, [_encoded(valid_mask(plan.canvas, plan.seen), MASK)])


def on_canvas(canvas: Canvas, interpolation: str, copied: Picture) -> Picture:
    """Put the window `canvas.copied` of a frame onto the canvas; black outside the frame."""
    x_min, x_max, y_min, y_max = canvas.copied
    if (x_max - x_min, y_max - y_min) != (canvas.width, canvas.height):
        left, top = x_min - canvas.x_min, y_min - canvas.y_min
        window = np.zeros((canvas.height, canvas.width, 3), np.uint8)
        window[top : top + y_max - y_min, left : left + x_max - x_min] = copied
        copied = window
    if interpolation == "none":
        return copied
    resized = cv2.resize(copied, canvas.out_size_wh, interpolation=INTERPOLATIONS[interpolation])
    return np.asarray(resized, dtype=np.uint8)


def valid_mask(canvas: Canvas, seen: tuple[float, float, float, float]) -> Picture:
    """(h, w) uint8: 255 where a canvas pixel shows only what the tracker saw, else 0.

    Example:
        >>> from being_remote.camera.canvas import window
        >>> canvas = window([[9, 0, 2], [0, 9, 2], [0, 0, 1]], (4, 4), (4, 2))
        >>> valid_mask(canvas, (1, 3, 0, 4)).tolist()
        [[0, 255, 255, 0], [0, 255, 255, 0]]
    """
    x_min, x_max, y_min, y_max = seen
    # Rounded inwards: a pixel that shows some padding is not valid.
    left = math.ceil((x_min - canvas.x_min) * canvas.scale_x)
    right = math.floor((x_max - canvas.x_min) * canvas.scale_x)
    top = math.ceil((y_min - canvas.y_min) * canvas.scale_y)
    bottom = math.floor((y_max - canvas.y_min) * canvas.scale_y)
    mask = np.zeros(canvas.out_size_wh[::-1], np.uint8)
    mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = 255
    return mask


def _interpolation(canvas: Canvas, crop: Crop) -> str:
    """The tracker's cubic resize, which skips pixels when it shrinks a lot: then area averaging."""
    if not canvas.resampled:
        return "none"
    much = min(canvas.scale_x, canvas.scale_y) < 1 / MAX_CUBIC_SHRINK
    return "area" if much and not _is_trackers(canvas, crop) else "cubic"


def _is_trackers(canvas: Canvas, crop: Crop) -> bool:
    try:
        return canvas == tracker_crop(crop)
    except ValueError:  # an estimated crop has no whole pixels
        return False


def _make(
    plan: ImagePlan,
    source: SourceFrames,
    folder: Path,
    todo: list[tuple[int, str]],
    on_progress: OnProgress,
) -> None:
    items = iter(todo)
    reading, counting, stop = threading.Lock(), threading.Lock(), threading.Event()
    done, total, copied = len(plan.names) - len(todo), len(plan.names), plan.canvas.copied

    def work() -> None:
        nonlocal done
        while not stop.is_set():
            with reading:
                number, name = next(items, (0, ""))
                # A video has one decoder and one order; files of a folder are read by every thread. Windows
                # of frames are not kept, so that threads may share the source.
                picture = source.frame(number, copied) if number and not source.lossless else None
            if not number:
                return
            picture = source.frame(number, copied) if picture is None else picture
            data = _encoded(on_canvas(plan.canvas, plan.interpolation, picture), name)
            # Not synced: a picture that a power cut spoils has no proper end, and is made again.
            write_atomically(folder / name, [data], synced=False)
            with counting:
                done += 1
                on_progress(TransferProgress(f"{plan.target} pictures", done, total, "pictures"))

    def work_until_one_fails() -> None:
        try:
            work()
        except BaseException:
            stop.set()
            raise

    workers = min(max(os.cpu_count() or 1, 2), MAX_WORKERS, len(todo))
    with ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(work_until_one_fails) for _ in range(workers)]
        try:
            for future in as_completed(running):
                future.result()
        finally:  # Ctrl-C comes here, not into the threads
            stop.set()


def _check_size(plan: ImagePlan, size_wh: tuple[int, int]) -> None:
    width, height = plan.canvas.source_size_wh
    if size_wh != (width, height):
        raise InconsistentData(
            f"frames are {size_wh[0]}x{size_wh[1]}, the cameras are for {width}x{height}",
            file=plan.source_path,
            hint="name the video that was tracked: --video FILE",
        )


def _record(plan: ImagePlan, count: int) -> dict[str, Any]:
    """What the first `count` pictures were made of."""
    return {
        "format": "being-remote pictures",
        "version": 1,
        "target": plan.target,
        "source": plan.source,
        "canvas": {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(plan.canvas).items()},
        "encoding": _ENCODING[Path(plan.names[0]).suffix][0],
        "interpolation": plan.interpolation,
        "pictures": count,
        "numbering_sha256": json_sha256([plan.names[:count], plan.source_numbers[:count]]),
        **(
            {"frames_sha256": json_sha256(plan.video_frames[:count])} if plan.video_frames is not None else {}
        ),
    }


def _agree_with_record(plan: ImagePlan, folder: Path) -> None:
    """Raise UsageError where the folder's pictures are of another plan."""
    found = read_record(folder)
    recorded = recorded_count(found, len(plan.names)) if found is not None else 0
    unrecorded = next((name for name in plan.names[recorded:] if (folder / name).exists()), None)
    if unrecorded is not None:
        raise UsageError(
            f"holds pictures already ({unrecorded}), and no record says what they were made of",
            where=str(folder),
            hint=OTHER_PLACE,
        )
    wanted = _record(plan, recorded)
    if found is not None and found != wanted:
        other = [k for k in wanted if not isinstance(found, dict) or found.get(k) != wanted[k]]
        raise UsageError(
            f"holds pictures of another plan: {', '.join(other) or 'a newer version'} changed",
            where=str(folder),
            hint=OTHER_PLACE,
        )


def _is_finished(path: Path) -> bool:
    """Whether a picture file exists and has its proper end."""
    ending = _ENCODING[path.suffix][2]
    try:
        with path.open("rb") as f:
            f.seek(-len(ending), os.SEEK_END)
            return f.read() == ending
    except OSError:  # missing, or shorter than its ending
        return False


def _encoded(picture: Picture, name: str) -> bytes:
    suffix = Path(name).suffix
    done, data = cv2.imencode(suffix, picture, _ENCODING[suffix][1])
    if not done:
        raise ValueError(f"OpenCV could not encode {name}")
    return data.tobytes()
