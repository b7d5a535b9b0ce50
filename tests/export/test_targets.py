"""Every export, read back by its own documented rule in code that shares nothing with the writer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from being_remote.camera.crop import crop_from_box
from being_remote.errors import NoSpace, UsageError
from being_remote.export import TARGETS, Cameras, targets, write
from being_remote.export.files import write_atomically

POINT = np.array([0.03, -0.05, 0.08])


def turn(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.diag([1.0, -1.0, -1.0])


@pytest.fixture
def cameras() -> Cameras:
    crop = crop_from_box((510, 1410, 90, 990), (1920, 1080), (512, 512))
    return Cameras(
        name="roman",
        K_source=np.array([[4111.5234375, 0, 958.2421875], [0, 4111.5234375, 529.453125], [0, 0, 1]]),
        K_crop=np.array([[2339.0, 0, 255], [0, 2339, 250], [0, 0, 1]]),
        R=np.stack([turn(0.1), turn(-0.3)]),
        t=np.array([[0.01, 0.02, 1.5], [-0.03, 0.0, 1.4]]),
        frame_ids=np.array([0, 2]),
        source_numbers=np.array([2, 4]),
        times_s=np.array([0.04, 0.12]),
        crop=crop,
        grade="bbox",
    )


def seen(cameras: Cameras, i: int) -> np.ndarray:
    """Where the point is, written out: X_cam = R X + t, then the pinhole."""
    x, y, z = cameras.R[i] @ POINT + cameras.t[i]
    f, cx, cy = cameras.K_source[0, 0], *cameras.K_source[:2, 2]
    return np.array([f * x / z + cx, f * y / z + cy])


def test_cameras_json_projects_a_point_to_its_pixel_and_half_a_pixel_less_for_opencv(
    cameras: Cameras, tmp_path: Path
) -> None:
    import cv2

    document = json.loads(write(cameras, TARGETS["json"], tmp_path).read_text())
    for i, frame in enumerate(document["frames"]):
        R, t = np.array(frame["R"]), np.array(frame["t"])
        p = np.array(document["K"]) @ (R @ POINT + t)
        assert np.allclose(p[:2] / p[2], seen(cameras, i), atol=1e-9)
        pixel, _ = cv2.projectPoints(
            POINT[None], cv2.Rodrigues(R)[0], t, np.array(document["K_opencv"]), None
        )
        assert np.allclose(pixel.ravel(), seen(cameras, i) - 0.5, atol=1e-6)
    assert document["K_opencv"][0][2] == 957.7421875
    first, second = document["frames"]
    assert (first["frame_id"], first["source_number"], first["file"], first["time_s"]) == (
        "00000",
        2,
        "00002.png",
        0.04,
    )
    assert second["frame_id"] == "00002"
    assert document["crop"]["origin"] == [510, 90]
    assert document["crop"]["scale"] == [1.7578125, 1.7578125]
    assert set(document["conventions"]) >= {"K", "K_opencv", "R_t", "size_wh"}


def test_the_npz_needs_no_pickle_and_holds_the_same_numbers(cameras: Cameras, tmp_path: Path) -> None:
    with np.load(write(cameras, TARGETS["npz"], tmp_path), allow_pickle=False) as arrays:
        assert np.array_equal(arrays["K"], cameras.K_source)
        assert np.array_equal(arrays["R"], cameras.R)
        assert np.array_equal(arrays["t"], cameras.t)
        assert arrays["source_numbers"].tolist() == [2, 4]
        assert arrays["size_wh"].tolist() == [1920, 1080]
        assert arrays["K_opencv"][0, 2] == 957.7421875
        assert arrays["crop_box"].tolist() == [510, 1410, 90, 990]
        assert str(arrays["grade"]) == cameras.grade
        assert "world-to-camera" in json.loads(str(arrays["conventions"]))["R_t"]


def test_nerfstudios_ray_through_a_pixel_hits_the_point_that_was_drawn_there(
    cameras: Cameras, tmp_path: Path
) -> None:
    document = json.loads(write(cameras, TARGETS["nerfstudio"], tmp_path).read_text())
    assert (document["camera_model"], document["w"], document["h"]) == ("OPENCV", 1920, 1080)
    for i, frame in enumerate(document["frames"]):
        # nerfstudio Cameras._generate_rays: ((x - cx) / fx, -(y - cy) / fy, -1), x and y being pixel + 0.5.
        x, y = seen(cameras, i)
        ray = [(x - document["cx"]) / document["fl_x"], -(y - document["cy"]) / document["fl_y"], -1.0]
        c2w = np.array(frame["transform_matrix"])
        direction, origin = c2w[:3, :3] @ ray, c2w[:3, 3]
        off = np.cross(direction / np.linalg.norm(direction), POINT - origin)
        assert np.linalg.norm(off) < 1e-9
        assert direction @ (POINT - origin) > 0  # in front, not behind
        assert c2w[3].tolist() == [0, 0, 0, 1]
    assert [f["file_path"] for f in document["frames"]] == ["images/00002.png", "images/00004.png"]


def test_nerfstudio_gets_documented_keys_only(cameras: Cameras, tmp_path: Path) -> None:
    document = json.loads(write(cameras, TARGETS["nerfstudio"], tmp_path).read_text())
    intrinsics = {"camera_model", "w", "h", "fl_x", "fl_y", "cx", "cy", "k1", "k2", "p1", "p2"}
    assert set(document) == intrinsics | {"frames"}
    assert set(document["frames"][0]) == {"file_path", "transform_matrix"}


def test_unknown_times_are_null_in_json_and_nan_in_npz(cameras: Cameras, tmp_path: Path) -> None:
    timeless = replace(cameras, times_s=None)
    document = json.loads(write(timeless, TARGETS["json"], tmp_path).read_text())
    assert [f["time_s"] for f in document["frames"]] == [None, None]
    with np.load(write(timeless, TARGETS["npz"], tmp_path)) as arrays:
        assert np.isnan(arrays["times_s"]).all()


def test_an_unknown_export_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'colmap'(.|\n)*json, npz, nerfstudio"):
        targets(["json", "colmap"])
    assert [t.name for t in targets([])] == ["json", "npz", "nerfstudio"]
    assert [t.name for t in targets(["npz", "npz"])] == ["npz"]


def test_a_file_that_cannot_be_finished_leaves_the_old_one_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    path.write_text("old")

    def broken() -> Iterator[bytes]:
        yield b"new"
        raise RuntimeError("stopped half-way")

    with pytest.raises(RuntimeError):
        write_atomically(path, broken())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["cameras.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    path.write_text("old")
    temporary = tmp_path / f".cameras.json.{os.getpid()}"
    temporary.symlink_to("/dev/full")  # every write to it fails with ENOSPC, as on a full disk
    with pytest.raises(NoSpace, match="disk is full"):
        write_atomically(path, [b"new"])
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["cameras.json"]


def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "cameras.json", [b""])
