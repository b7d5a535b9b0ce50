"""cameras.json: everything that is known, with its conventions in words. One frame a line."""

from __future__ import annotations

import json
from collections.abc import Iterator

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
    "source_number": "number of the frame's file in source/, counted from 1",
    "time_s": "of that frame in the original video; null where the frame rate is not known",
}


def files(export: Export) -> Iterator[File]:
    """The one document."""
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
        "conventions": {**CONVENTIONS, **K_is},
        "size_wh": cameras.size_wh,
        "K": cameras.K_source.tolist() if one else None,
        "K_opencv": cameras.K_opencv.tolist() if one else None,
        "fov_deg": fov_deg(cameras.K_source, cameras.size_wh) if one else None,
        "K_crop": cameras.K_crop.tolist() if one else None,
        "crop": crop.as_json(),
    }


def _frames(cameras: Cameras) -> Iterator[str]:
    times = iter(lambda: "null", "") if cameras.times_s is None else rows(cameras.times_s)
    own_K = (
        iter(lambda: "", None) if cameras.K_each is None else map(', "K": {}'.format, rows(cameras.K_each))
    )
    every = zip(
        cameras.frame_ids.tolist(),
        cameras.source_numbers.tolist(),
        map(json.dumps, cameras.source_files),
        times,
        rows(cameras.R),
        rows(cameras.t),
        own_K,
        strict=False,  # times that are not known never end, nor what is not there
    )
    for frame_id, number, file, time_s, R, t, K in every:
        yield (
            f'{{"frame_id": "{frame_id:05d}", "source_number": {number}, "file": {file},'
            f' "time_s": {time_s}, "R": {R}, "t": {t}{K}}}'
        )


TARGET = Target(
    name="json",
    folder="",
    main_files=("cameras.json",),
    pose="world-to-camera, OpenCV axes",
    pixels="corner, and OpenCV's beside it",
    honours=("fx", "fy", "cx", "cy", "R", "t", "crop", "times", "source numbers"),
    notes=(),
    files=files,
    fixed_canvas=True,
    K_per_frame=True,
)
