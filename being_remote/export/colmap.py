"""A COLMAP model as text: a PINHOLE camera for each K, world-to-camera quaternions, corner pixels.

COLMAP uses the corner convention, and Hamilton quaternions with w first. Each "image" is a pose of the
head, so the background moves: for viewers and trainers, not for bundle adjustment.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from being_remote.camera.pose import quaternion_wxyz
from being_remote.errors import DataError
from being_remote.export.cameras import Cameras, Floats
from being_remote.export.json_text import BATCH
from being_remote.export.target import Export, File, Target, name_as_in_source
from being_remote.tracker.ply import read_ply

MODEL = "sparse/0"
GREY = "128 128 128"


def files(export: Export) -> Iterator[File]:
    """cameras.txt, images.txt and points3D.txt."""
    (w, h), (Ks, camera_ids) = export.size_wh, _cameras(export)
    lines = ["# CAMERA_ID, MODEL, WIDTH, HEIGHT, fx, fy, cx, cy\n"]
    for i, K in enumerate(Ks, 1):
        numbers = " ".join(repr(float(K[at])) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
        lines.append(f"{i} PINHOLE {w} {h} {numbers}\n")
    yield f"{MODEL}/cameras.txt", ["".join(lines).encode()]
    yield f"{MODEL}/images.txt", _images(export.cameras, camera_ids)
    yield f"{MODEL}/points3D.txt", _points(export)


def _cameras(export: Export) -> tuple[list[Floats], list[int]]:
    """Every different K in order of its first frame, and the number of each frame's K, from 1."""
    if export.K_each is None:
        return [export.K], [1] * len(export.cameras.frame_ids)
    numbers: dict[bytes, int] = {}
    Ks, camera_ids = [], []
    for K in export.K_each:
        if K.tobytes() not in numbers:
            Ks.append(K)
        camera_ids.append(numbers.setdefault(K.tobytes(), len(Ks)))
    return Ks, camera_ids


def _images(cameras: Cameras, camera_ids: list[int]) -> Iterator[bytes]:
    """Two lines an image, named below `images/`; the second line, of points seen, is empty."""
    yield b"# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME; then a line of points, here empty\n"
    numbers = np.concatenate([quaternion_wxyz(cameras.R), cameras.t], axis=1)
    names = cameras.source_files
    for start in range(0, len(names), BATCH):
        batch = zip(numbers[start : start + BATCH].tolist(), names[start : start + BATCH], strict=True)
        lines = [
            f"{start + i} {' '.join(map(repr, pose))} {camera_ids[start + i - 1]} {name}\n\n"
            for i, (pose, name) in enumerate(batch, 1)
        ]
        yield "".join(lines).encode()


def _points(export: Export) -> Iterator[bytes]:
    """The vertices of the first frame's mesh, for trainers that start from points; else none."""
    yield b"# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX)\n"
    if export.run.meshes is None:
        return
    path = export.run.meshes / f"{export.cameras.frame_ids[0]:05d}.ply"
    if not path.exists():
        return
    try:
        vertices = read_ply(path).vertices
    except DataError:
        return  # a model needs no points; the overlay, drawn from the same file, reports the problem
    lines = [f"{i} {' '.join(map(repr, xyz))} {GREY} 0\n" for i, xyz in enumerate(vertices.tolist(), 1)]
    yield "".join(lines).encode()


TARGET = Target(
    name="colmap",
    folder="colmap",
    main_files=tuple(f"{MODEL}/{name}.txt" for name in ("cameras", "images", "points3D")),
    notes=(
        "its pictures belong in colmap/images/, numbered from 00001.png as in source/",
        "the head is fixed and the camera moves, so the background moves: mask it, and run no bundle"
        " adjustment",
        "readers of 3D Gaussian splatting ignore cx and cy: `--canvas WxH` centres them to half a pixel",
    ),
    files=files,
    image_names=name_as_in_source,
    K_per_frame=True,
    by_source_number=True,
)
