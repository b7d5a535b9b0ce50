"""cameras.json: everything that is known, with its conventions in words. One frame a line."""

from __future__ import annotations

import json
from collections.abc import Iterator

from being_remote.camera.intrinsics import fov_deg
from being_remote.export.cameras import Cameras

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


def chunks(cameras: Cameras) -> Iterator[bytes]:
    """The document in pieces, so that its size does not matter."""
    crop = cameras.crop
    head = {
        "format": FORMAT,
        "version": VERSION,
        "name": cameras.name,
        "grade": cameras.grade,
        "conventions": CONVENTIONS,
        "size_wh": cameras.size_wh,
        "K": cameras.K_source.tolist(),
        "K_opencv": cameras.K_opencv.tolist(),
        "fov_deg": fov_deg(cameras.K_source, cameras.size_wh),
        "K_crop": cameras.K_crop.tolist(),
        "crop": {
            "x_min": crop.x_min,
            "x_max": crop.x_max,
            "y_min": crop.y_min,
            "y_max": crop.y_max,
            "pad_x": crop.pad_x,
            "pad_y": crop.pad_y,
            "side": crop.side,
            "scale": [crop.scale_x, crop.scale_y],
            "origin": crop.origin,
            "image_size_wh": crop.image_size_wh,
        },
    }
    yield json.dumps(head, indent=1, allow_nan=False)[:-2].encode() + b',\n "frames": ['
    files = cameras.source_files
    for i in range(len(cameras.frame_ids)):
        frame = {
            "frame_id": f"{cameras.frame_ids[i]:05d}",
            "source_number": int(cameras.source_numbers[i]),
            "file": files[i],
            "time_s": None if cameras.times_s is None else float(cameras.times_s[i]),
            "R": cameras.R[i].tolist(),
            "t": cameras.t[i].tolist(),
        }
        yield (b",\n  " if i else b"\n  ") + json.dumps(frame, allow_nan=False).encode()
    yield b"\n ]\n}\n"
