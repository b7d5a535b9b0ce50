"""transforms.json as nerfstudio's default parser reads it: OpenGL camera-to-world, one OPENCV camera.

Only keys that nerfstudio documents. Its rays go through pixel + 0.5, so cx and cy are written as they
are, in the corner convention.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from being_remote.camera.pose import opengl_c2w
from being_remote.export.cameras import Cameras

IMAGES = "images"


def chunks(cameras: Cameras) -> Iterator[bytes]:
    """The document in pieces, one frame a line."""
    K = cameras.K_source
    head = {
        "camera_model": "OPENCV",
        "w": cameras.size_wh[0],
        "h": cameras.size_wh[1],
        "fl_x": float(K[0, 0]),
        "fl_y": float(K[1, 1]),
        "cx": float(K[0, 2]),
        "cy": float(K[1, 2]),
        "k1": 0.0,
        "k2": 0.0,
        "p1": 0.0,
        "p2": 0.0,
    }
    yield json.dumps(head, indent=1, allow_nan=False)[:-2].encode() + b',\n "frames": ['
    poses = opengl_c2w(cameras.R, cameras.t)
    for i, file in enumerate(cameras.source_files):
        frame = {"file_path": f"{IMAGES}/{file}", "transform_matrix": poses[i].tolist()}
        yield (b",\n  " if i else b"\n  ") + json.dumps(frame, allow_nan=False).encode()
    yield b"\n ]\n}\n"
