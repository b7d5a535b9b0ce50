"""cameras.json: everything that is known, with its conventions in words; one frame per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from being_remote.camera.intrinsics import fov_deg
from being_remote.export.cameras import Cameras
from being_remote.export.json_text import document, rows
from being_remote.export.target import Export, File, Target

FORMAT = "being-remote cameras"
VERSION = 1

CONVENTIONS = {
    "K": "pixels of the original frames; edges on integers: the first pixel's centre is (0.5, 0.5)",
    "K_opencv": "the same camera for OpenCV: the first pixel's centre is (0, 0), so cx and cy are 0.5 less",
    "R_t": "world-to-camera: X_cam = R X + t; camera axes x right, y down, z forward (OpenCV)",
    "world": "metres; the tracked head at rest, so the poses carry all of the head's motion",
    "size_wh": "width, height of the original frames",
    "crop": "source pixels, ends exclusive; source = scale * crop pixel + origin, in the convention of K;"
    " only x_min..x_max, y_min..y_max was ever seen by the tracker",
    "source_number": "number of the frame's file in source/, counted from 1; null where it is not known",
    "video_frame": "index of the frame in the video at hand, counted from 0; null where it is not known",
    "numbers_by": "what these two rest on: the pixels of the stored crops, or the run's settings alone, or an"
    " assumption, or unknown: the stored crops fit no numbers",
    "time_s": "of that frame in the original video; null where it is not known",
}


def files(export: Export) -> Iterator[File]:
    yield "cameras.json", document(_head(export.cameras), _frames(export.cameras))


def _head(cameras: Cameras) -> dict[str, object]:
    crop = cameras.crop
    one = cameras.K_each is None
    K_is = {} if one else {"K_per_frame": "K is null here: every frame has its own K, of the same kind"}
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": cameras.name,
        "grade": cameras.grade,
        "numbers_by": cameras.numbers_by,
        "conventions": {**CONVENTIONS, **K_is},
        "size_wh": cameras.size_wh,
        "K": cameras.K_source.tolist() if one else None,
        "K_opencv": cameras.K_opencv.tolist() if one else None,
        "fov_deg": fov_deg(cameras.K_source, cameras.size_wh) if one else None,
        "K_crop": cameras.K_crop.tolist() if one else None,
        "crop": crop.as_json(),
    }


def _frames(cameras: Cameras) -> Iterator[str]:
    K_each = cameras.K_each
    every = zip(
        cameras.frame_ids.tolist(),
        cameras.source_numbers.tolist(),
        cameras.source_files,
        _numbers_or_null(cameras, cameras.video_frames),
        _numbers_or_null(cameras, cameras.times_s),
        rows(cameras.R),
        rows(cameras.t),
        [""] * len(cameras.frame_ids) if K_each is None else map(', "K": {}'.format, rows(K_each)),
        strict=True,
    )
    for frame_id, number, file, index, time_s, R, t, K in every:
        yield (
            f'{{"frame_id": "{frame_id:05d}", "source_number": {number or "null"},'
            f' "file": {json.dumps(file or None)}, "video_frame": {index}, "time_s": {time_s},'
            f' "R": {R}, "t": {t}{K}}}'
        )


def _numbers_or_null(cameras: Cameras, values: NDArray[Any] | None) -> list[str]:
    """Each number as JSON; null where it is unknown."""
    if values is None:
        return ["null"] * len(cameras.frame_ids)
    return [json.dumps(value) if value >= 0 else "null" for value in values.tolist()]


TARGET = Target(
    name="json",
    folder="",
    main_files=("cameras.json",),
    notes=(),
    files=files,
    fixed_canvas=True,
    K_per_frame=True,
)
