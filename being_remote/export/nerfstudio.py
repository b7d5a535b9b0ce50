"""transforms.json as nerfstudio's default parser reads it: OpenGL camera-to-world, one OPENCV camera.

Only keys that nerfstudio documents. Its rays go through pixel + 0.5, so cx and cy stay in the corner
convention. With K per frame each frame has its own: the parser reads the intrinsics from the frames
where the head has none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from being_remote.camera.pose import opengl_c2w
from being_remote.export.cameras import Floats
from being_remote.export.json_text import document, nerf_intrinsics, rows
from being_remote.export.target import Export, File, Target, name_as_in_source


def files(export: Export) -> Iterator[File]:
    head = {
        "camera_model": "OPENCV",
        "w": export.size_wh[0],
        "h": export.size_wh[1],
        **(_intrinsics(export.K, export.size_wh) if export.K_each is None else {}),
        "k1": 0.0,
        "k2": 0.0,
        "p1": 0.0,
        "p2": 0.0,
    }
    yield "transforms.json", document(head, _frames(export))


def _intrinsics(K: Floats, size_wh: tuple[int, int]) -> dict[str, float]:
    named = nerf_intrinsics(K, size_wh)
    return {name: named[name] for name in ("fl_x", "fl_y", "cx", "cy")}


def _frames(export: Export) -> Iterator[str]:
    cameras, K_each = export.cameras, export.K_each
    poses = opengl_c2w(cameras.R, cameras.t)
    for i, (file, pose) in enumerate(zip(name_as_in_source(cameras), rows(poses), strict=True)):
        own = "" if K_each is None else f"{json.dumps(_intrinsics(K_each[i], export.size_wh))[1:-1]}, "
        yield f'{{"file_path": {json.dumps(file)}, {own}"transform_matrix": {pose}}}'


TARGET = Target(
    name="nerfstudio",
    folder="nerfstudio",
    main_files=("transforms.json",),
    notes=(
        "its pictures belong in nerfstudio/images/, numbered from 00001.png as in source/",
        "ns-train ... nerfstudio-data --orientation-method none --center-method none"
        " --auto-scale-poses False, or it moves and rescales the poses",
        "the head is fixed and the camera moves, so the background moves: mask it",
    ),
    files=files,
    image_names=name_as_in_source,
    K_per_frame=True,
    by_source_number=True,
)
