"""INSTA's files as its two loaders read them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import trainer_readers as readers
from export_cases import held_still

from being_remote.export import TARGETS, Cameras, prepare, write
from being_remote.export.insta import remarks

POINT = np.array([0.03, -0.05, 0.08])


@pytest.fixture
def folder(cameras: Cameras, tmp_path: Path) -> Path:
    write(TARGETS["insta"], prepare(TARGETS["insta"], cameras), tmp_path)
    return tmp_path / "insta"


def pixel(cameras: Cameras, i: int) -> np.ndarray:
    p = cameras.K_source @ (cameras.R[i] @ POINT + cameras.t[i])
    return p[:2] / p[2]


def test_both_loaders_see_the_same_pixel(cameras: Cameras, folder: Path) -> None:
    cpp, torch_ = readers.insta_cpp(folder), readers.insta_pytorch(folder)
    assert np.abs(cpp["00000.png"](POINT) - pixel(cameras, 0)).max() < 1e-9
    assert np.abs(torch_["00000.png"](POINT) - pixel(cameras, 0)).max() < 1e-9
    assert np.abs(cpp["00002.png"](POINT) - pixel(cameras, 1)).max() < 1e-9


def test_every_field_that_some_loader_takes_the_focal_from_agrees(folder: Path) -> None:
    for path in folder.glob("*.json"):
        d = json.loads(path.read_text())
        assert d["fl_x"] == d["fl_y"] == 4111.5234375
        for side, angle, fov in (("w", "camera_angle_x", "x_fov"), ("h", "camera_angle_y", "y_fov")):
            assert d[side] / 2 / math.tan(d[angle] / 2) == pytest.approx(4111.5234375, rel=1e-12)
            assert math.radians(d[fov]) == pytest.approx(d[angle], rel=1e-14)
        assert not {"offset", "scale"} & set(d)


def test_convention_axes_are_opencvs_and_flipped_ones_would_mirror_the_point_up_and_down(
    cameras: Cameras, folder: Path
) -> None:
    frame = json.loads((folder / "transforms.json").read_text())["frames"][0]
    w2c = np.linalg.inv(np.array(frame["transform_matrix"]))
    assert np.allclose(w2c[:3, :3], cameras.R[0], atol=1e-12)
    _, y, z = w2c[:3, :3] @ POINT + w2c[:3, 3]
    assert z == pytest.approx(1.4174, abs=1e-4)  # OpenGL's axes would put it at -1.4174, behind the camera
    assert y == pytest.approx(0.07)


def test_a_gap_in_the_frames_leaves_no_hole_and_names_stay_the_frames_own(folder: Path) -> None:
    frames = json.loads((folder / "transforms.json").read_text())["frames"]
    assert [f["file_path"] for f in frames] == ["images/00000.png", "images/00002.png"]
    assert {k: v for k, v in frames[1].items() if k != "transform_matrix"} == {
        "file_path": "images/00002.png",
        "mesh_path": "meshes/00002.obj",
        "exp_path": "flame/exp/00002.txt",
        "depth_path": "depth/00002.png",
        "seg_mask_path": "seg_mask/00002.png",
    }


@pytest.mark.parametrize(
    ("count", "train", "test", "val"),
    [(838, 488, 350, 20), (700, 350, 350, 20), (100, 50, 50, 20), (3, 2, 1, 3), (1, 1, 0, 1)],
)
def test_the_split_is_instas_own_and_short_clips_keep_half_for_training(
    cameras: Cameras, count: int, train: int, test: int, val: int, tmp_path: Path
) -> None:
    many = held_still(cameras, count)
    export = prepare(TARGETS["insta"], many)
    write(TARGETS["insta"], export, tmp_path)

    def names(split: str) -> list[str]:
        frames = json.loads((tmp_path / f"insta/transforms{split}.json").read_text())["frames"]
        return [f["file_path"] for f in frames]

    everything = names("")
    assert len(everything) == count
    assert names("_train") == everything[:train]
    assert names("_test") == everything[train:]
    assert len(names("_test")) == test
    assert names("_val") == everything[-val:]
    assert bool(remarks(export)) == (test < 350)
