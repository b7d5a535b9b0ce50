"""A run with one K a chunk: every export that can hold a K for each frame gives each frame its own."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from export_cases import held_still

from being_remote.camera.intrinsics import intrinsics_in_crop
from being_remote.errors import UsageError
from being_remote.export import TARGETS, Cameras, prepare

COUNT = 1030  # in three chunks, and in three pieces of what is written at a time


@pytest.fixture
def chunked(cameras: Cameras) -> Cameras:
    K_each = np.repeat(cameras.K_source[None], COUNT, axis=0)
    K_each[400:, 0, 0] += 10  # the second chunk has two focal lengths, the third another middle
    K_each[700:, :2, 2] += (3, 7)
    return replace(held_still(cameras, COUNT), K_each=K_each)


def text_of(cameras: Cameras, name: str, file: str) -> str:
    target = TARGETS[name]
    return b"".join(dict(target.files(prepare(target, cameras)))[file]).decode()


def four(K: np.ndarray) -> list[float]:
    """Focal lengths and principal point."""
    return [K[0, 0], K[1, 1], K[0, 2], K[1, 2]]


def test_colmap_has_a_camera_for_each_k_and_every_image_names_its_own(chunked: Cameras) -> None:
    rows = [line.split() for line in text_of(chunked, "colmap", "sparse/0/cameras.txt").splitlines()[1:]]
    cameras = {row[0]: [float(n) for n in row[4:]] for row in rows}
    assert len(cameras) == 3
    images = text_of(chunked, "colmap", "sparse/0/images.txt").splitlines()[1::2]
    assert chunked.K_each is not None
    for line, K in zip(images, chunked.K_each, strict=True):
        assert cameras[line.split()[8]] == four(K), line


def test_nerfstudio_and_json_and_npz_give_each_frame_its_own(chunked: Cameras) -> None:
    assert chunked.K_each is not None
    nerf = json.loads(text_of(chunked, "nerfstudio", "transforms.json"))
    assert "fl_x" not in nerf
    for frame, K in zip(nerf["frames"], chunked.K_each, strict=True):
        assert [frame[key] for key in ("fl_x", "fl_y", "cx", "cy")] == four(K)
    ours = json.loads(text_of(chunked, "json", "cameras.json"))
    assert ours["K"] is None and [frame["K"] for frame in ours["frames"]] == chunked.K_each.tolist()
    target = TARGETS["npz"]
    data = b"".join(dict(target.files(prepare(target, chunked)))["cameras.npz"])
    with np.load(io.BytesIO(data)) as arrays:
        assert np.array_equal(arrays["K"], chunked.K_each)
        assert np.array_equal(arrays["K_crop"], intrinsics_in_crop(chunked.K_each, chunked.crop))
        assert np.array_equal(arrays["K_opencv"][:, :2, 2], chunked.K_each[:, :2, 2] - 0.5)


@pytest.mark.parametrize("name", sorted(name for name, target in TARGETS.items() if not target.K_per_frame))
def test_a_format_of_one_k_refuses_such_a_run(chunked: Cameras, name: str) -> None:
    target = replace(TARGETS[name], needs=())
    with pytest.raises(UsageError, match="holds one K for all frames, and this run has K per frame"):
        prepare(target, chunked)
