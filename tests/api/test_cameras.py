"""The arrays of a recovery, against the truth that the actor was drawn with."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import being_remote as br
from being_remote.api.cameras import FrameCameras
from being_remote.errors import InconsistentData, UsageError


@pytest.fixture
def cameras() -> FrameCameras:
    """Two frames: fx 100, fy 110, centre (320, 180); the second turned by 90 degrees about z and moved."""
    turned = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    R, t = np.stack([np.eye(3), turned]), np.array([[0.0, 0, 2], [0.5, 0, 4]])
    K = np.array([[100.0, 0, 320], [0, 110, 180], [0, 0, 1]])
    return FrameCameras(K, R, t, np.array([3, 7]), (640, 360), None)


def test_a_point_is_turned_moved_and_projected_in_each_frame(cameras: FrameCameras) -> None:
    # Frame 3: (0.2, 0.1, 2) -> 320 + 100 * 0.1, 180 + 110 * 0.05. Frame 7: R p + t = (0.4, 0.2, 4).
    expected = [[[330.0, 185.5]], [[330.0, 185.5]]]
    np.testing.assert_allclose(cameras.project([0.2, 0.1, 0.0]), expected)
    np.testing.assert_allclose(cameras.project([[0.2, 0.1, 0.0]] * 3)[:, 2], np.array(expected)[:, 0])


def test_points_that_differ_by_frame_are_projected_in_their_own_frame(cameras: FrameCameras) -> None:
    points = np.array([[[0.0, 0, 0]], [[0.2, 0.1, 0.0]]])
    np.testing.assert_allclose(cameras.project(points), [[[320.0, 180.0]], [[330.0, 185.5]]])


def test_a_run_with_K_per_frame_projects_each_frame_with_its_own(cameras: FrameCameras) -> None:
    each = np.stack([cameras.K, cameras.K * [[2], [2], [1]]])
    two = FrameCameras(each, cameras.R, cameras.t, cameras.ids, cameras.size_wh, None)
    np.testing.assert_allclose(two.project([0.2, 0.1, 0.0]), [[[330.0, 185.5]], [[660.0, 371.0]]])
    np.testing.assert_allclose(two.K_opencv[1, :2, 2], [639.5, 359.5])
    np.testing.assert_allclose(cameras.K_opencv[:2, 2], [319.5, 179.5])


def test_a_point_behind_the_camera_is_nowhere(cameras: FrameCameras) -> None:
    assert np.isnan(cameras.project([0.0, 0.0, -3.0])[0]).all()
    assert np.isfinite(cameras.project([0.0, 0.0, -3.0])[1]).all()
    assert np.isnan(cameras.project([0.0, 0.0, -2.0])[0]).all()  # in its plane


@pytest.mark.parametrize(
    "points", [1.0, [1.0, 2.0], np.zeros((3, 4, 3)), np.zeros((2, 2, 2, 3)), ["a", "b", "c"]]
)
def test_points_of_another_shape_are_refused_with_a_sentence(cameras: FrameCameras, points: object) -> None:
    with pytest.raises(UsageError, match="project"):
        cameras.project(points)  # type: ignore[arg-type]


@pytest.mark.slow
def test_an_unknown_crop_gives_no_camera_and_says_why(notebook: Path) -> None:
    shutil.copytree("backups/roman", "run")
    Path("run/bbox.pt").unlink()
    frames = Path("flat")
    frames.mkdir()
    for number in range(8):
        cv2.imwrite(str(frames / f"{number:05d}.png"), np.full((360, 640, 3), 90, np.uint8))
    recovery = br.recover("run", from_images=frames)
    assert (recovery.grade, recovery.crop) == ("unknown", None)
    for use in (lambda: recovery.cameras, recovery.export):
        with pytest.raises(InconsistentData, match="no camera can be given: the crop is unknown"):
            use()
    assert not Path("recovered").exists()


def test_a_box_that_the_pixels_contradict_gives_neither_crop_nor_camera(notebook: Path) -> None:
    recovery = br.recover("roman", bbox=(10, 210, 10, 210))
    assert recovery.crop is None
    with pytest.raises(InconsistentData, match="no camera can be given"):
        recovery.cameras  # noqa: B018 - it raises


def test_a_recovery_writes_nothing_before_it_is_exported_and_a_dry_run_nothing_at_all(notebook: Path) -> None:
    before = sorted(notebook.rglob("*"))
    recovery = br.recover("roman")
    planned = recovery.export("json", dry_run=True)
    assert planned.dry_run and planned.outputs
    assert sorted(notebook.rglob("*")) == before
    assert not recovery.export("json").dry_run
    assert Path("recovered/roman/report.html").is_file()


@pytest.mark.slow
def test_an_export_with_images_numbers_every_pose_by_its_pixels(notebook: Path) -> None:
    report = br.recover("roman").export("nerfstudio", with_images=True)
    assert [export.images for export in report.exports] == [6]
    assert report.numbering.crops_found == 6
