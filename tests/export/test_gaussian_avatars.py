"""GaussianAvatars' data set: cameras by the rasteriser's rule, FLAME parameters as VHAP stores them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import trainer_readers as readers
from export_cases import any_cameras
from hypothesis import assume, given, settings

from being_remote.errors import InconsistentData, NotFoundError, UsageError
from being_remote.export import TARGETS, Cameras, RunFiles, prepare, write
from being_remote.export.gaussian_avatars import documents
from being_remote.tracker.frame_file import read_frame

TARGET = TARGETS["gaussian-avatars"]
POINT = np.array([0.03, -0.05, 0.08])


@pytest.fixture
def folder(cameras: Cameras, frames_folder: Path, tmp_path: Path) -> Path:
    return made(cameras, frames_folder, tmp_path)


def test_the_rasteriser_sees_the_point_within_a_quarter_pixel_of_its_place_on_the_canvas(
    cameras: Cameras, frames_folder: Path, folder: Path
) -> None:
    canvas = prepare(TARGET, cameras, RunFiles(checkpoints=frames_folder)).canvas
    assert not canvas.resampled
    for i, view in enumerate(readers.gaussian_avatars(folder).values()):
        p = cameras.K_source @ (cameras.R[i] @ POINT + cameras.t[i])
        on_canvas = p[:2] / p[2] - (canvas.x_min, canvas.y_min)
        assert np.abs(view(POINT) - on_canvas).max() <= 0.25
        # On the full frame the trainer would be wrong by (-1.76, -10.55) px: it ignores cx and cy.
        assert (cameras.K_source[:2, 2] - (960, 540)).round(2).tolist() == [-1.76, -10.55]


@settings(max_examples=40, deadline=None)
@given(cameras=any_cameras())
def test_off_by_the_canvas_rest_and_by_nothing_else_for_every_camera(cameras: Cameras) -> None:
    assume(cameras.K_source[0, 0] == cameras.K_source[1, 1])  # others are refused, see test_targets
    export = prepare(TARGET, cameras, RunFiles(checkpoints=Path("not read")))
    rest = np.array(export.canvas.off_centre_px(cameras.K_source))
    with TemporaryDirectory() as folder:
        for name, pieces in documents(export):
            Path(folder, name).write_bytes(b"".join(pieces))
        views = list(readers.gaussian_avatars(Path(folder)).values())
    assert len(views) == len(cameras.frame_ids)
    for i, view in enumerate(views):
        X = np.linalg.inv(cameras.R[i]) @ (np.array([0.11, -0.07, 1.0]) - cameras.t[i])
        p = cameras.K_source @ (cameras.R[i] @ X + cameras.t[i])
        on_canvas = p[:2] / p[2] - (export.canvas.x_min, export.canvas.y_min)
        assert np.abs(view(X) + rest - on_canvas).max() < 1e-9
    assert np.abs(rest).max() <= 0.25


def test_a_principal_point_that_the_canvas_centres_exactly_leaves_no_error(
    cameras: Cameras, frames_folder: Path, tmp_path: Path
) -> None:
    K = cameras.K_source.copy()
    K[:2, 2] = 900.5, 529
    exact = replace(cameras, K_source=K)
    write(TARGET, prepare(TARGET, exact, RunFiles(checkpoints=frames_folder)), tmp_path)
    view = readers.gaussian_avatars(tmp_path / "gaussian-avatars")["00000_00.png"]
    p = K @ (exact.R[0] @ POINT + exact.t[0])
    # 119 columns and 22 rows are padded on the left and above
    assert np.abs(view(POINT) - (p[:2] / p[2] + (119, 22))).max() < 1e-9


def test_frames_carry_vhaps_keys_and_count_without_gaps(folder: Path) -> None:
    d = json.loads((folder / "transforms.json").read_text())
    assert d["timestep_indices"] == [0, 1]
    assert d["camera_indices"] == [0]
    first, second = d["frames"]
    assert set(first) == {
        *("timestep_index", "timestep_index_original", "timestep_id", "camera_index", "camera_id"),
        *("cx", "cy", "fl_x", "fl_y", "h", "w", "camera_angle_x", "camera_angle_y"),
        *("transform_matrix", "file_path", "fg_mask_path", "flame_param_path"),
    }
    assert (second["timestep_index"], second["timestep_index_original"], second["timestep_id"]) == (
        1,
        2,
        "00004",
    )
    assert second["file_path"] == "images/00001_00.png"
    assert second["flame_param_path"] == "flame_param/00001.npz"
    assert {k: d[k] for k in ("fl_x", "w", "h")} == {k: first[k] for k in ("fl_x", "w", "h")}


def test_the_split_is_vhaps_for_one_camera(
    cameras: Cameras, frames_folder: Path, tmp_path: Path, folder: Path
) -> None:
    splits = {s: json.loads((folder / f"transforms_{s}.json").read_text()) for s in ("train", "val", "test")}
    # ceil(0.7 * 2) = 2
    assert [f["timestep_index"] for f in splits["train"]["frames"]] == [0, 1]
    assert splits["test"]["frames"] == []
    assert splits["val"]["frames"] == []
    assert splits["val"]["timestep_indices"] == [0, 1]
    assert splits["val"]["camera_indices"] == []


def test_what_makes_the_trainer_read_flame_lies_beside_the_documents(folder: Path) -> None:
    with np.load(folder / "canonical_flame_param.npz", allow_pickle=False) as rest:
        assert np.allclose(rest["jaw_pose"], [[0.3, 0, 0]])
        assert not rest["expr"].any()
        assert rest["shape"].any()
    assert sorted(p.name for p in (folder / "flame_param").iterdir()) == ["00000.npz", "00001.npz"]


def test_joints_become_rotation_vectors_in_flames_order(folder: Path, frames_folder: Path) -> None:
    flame = read_frame(frames_folder / "00002.frame").flame
    with np.load(folder / "flame_param/00001.npz", allow_pickle=False) as p:
        shapes = {name: p[name].shape for name in p.files}
        # Rows read as columns would give -0.25: a jaw that opens upwards.
        assert np.allclose(p["jaw_pose"], [[0.25, 0, 0]], atol=1e-6)
        assert np.allclose(p["eyes_pose"], [[0, 0.1, 0, 0, -0.2, 0]], atol=1e-6)
        assert np.array_equal(p["expr"], flame["exp"])
        assert np.array_equal(p["shape"], flame["shape"][0])
        assert not any(p[name].any() for name in ("translation", "rotation", "neck_pose", "static_offset"))
        assert {p[name].dtype for name in p.files} == {np.dtype(np.float32)}
    assert shapes == {
        "translation": (1, 3),
        "rotation": (1, 3),
        "neck_pose": (1, 3),
        "jaw_pose": (1, 3),
        "eyes_pose": (1, 6),
        "shape": (300,),
        "expr": (1, 100),
        "static_offset": (1, 5143, 3),
    }


def changed(folder: Path, frame_id: str, **arrays: np.ndarray) -> None:
    """Replace some of a frame's FLAME arrays."""
    import torch

    path = folder / f"{frame_id}.frame"
    content = torch.load(path, weights_only=False)
    content["flame"].update(arrays)
    torch.save(content, path)


def made(cameras: Cameras, frames_folder: Path, tmp_path: Path) -> Path:
    write(TARGET, prepare(TARGET, cameras, RunFiles(checkpoints=frames_folder)), tmp_path)
    return tmp_path / "gaussian-avatars"


def test_coefficients_that_were_not_fitted_are_zero(
    cameras: Cameras, frames_folder: Path, tmp_path: Path
) -> None:
    for frame_id in ("00000", "00002"):
        changed(frames_folder, frame_id, exp=np.ones((1, 50), np.float32))
    with np.load(made(cameras, frames_folder, tmp_path) / "flame_param/00001.npz") as p:
        assert p["expr"][0].tolist() == [1.0] * 50 + [0.0] * 50


def test_more_coefficients_than_the_trainer_takes_are_refused_with_both_counts(
    cameras: Cameras, frames_folder: Path, tmp_path: Path
) -> None:
    for frame_id in ("00000", "00002"):
        changed(frames_folder, frame_id, exp=np.ones((1, 120), np.float32))
    with pytest.raises(UsageError, match="takes 100 expression coefficients, and the run has 120"):
        made(cameras, frames_folder, tmp_path)


def test_a_joint_that_is_no_rotation_is_refused_by_its_frames_name_before_anything_is_written(
    cameras: Cameras, frames_folder: Path, tmp_path: Path
) -> None:
    changed(frames_folder, "00002", eyes=np.zeros((1, 12), np.float32))
    with pytest.raises(InconsistentData, match=r"00002\.frame: flame\.eyes is not a rotation"):
        made(cameras, frames_folder, tmp_path)
    assert not (tmp_path / "gaussian-avatars").exists()


def test_a_missing_frame_of_the_cameras_is_named(
    cameras: Cameras, frames_folder: Path, tmp_path: Path
) -> None:
    (frames_folder / "00002.frame").unlink()
    with pytest.raises(NotFoundError, match=r"00002\.frame: the file is missing"):
        made(cameras, frames_folder, tmp_path)


def test_pictures_wider_than_the_trainer_keeps_get_a_remark(cameras: Cameras, frames_folder: Path) -> None:
    run = RunFiles(checkpoints=frames_folder)
    assert "1924x1101" in TARGET.remarks(prepare(TARGET, cameras, run))[0]
    assert not TARGET.remarks(prepare(TARGET, cameras, run, canvas=(1024, 1024)))


def test_convention_the_angle_is_of_the_canvas_and_the_full_frames_would_change_the_focal(
    folder: Path,
) -> None:
    d = json.loads((folder / "transforms_train.json").read_text())["frames"][0]
    assert d["w"] / 2 / math.tan(d["camera_angle_x"] / 2) == pytest.approx(4111.5234375)
    # the full frame's angle on this canvas would read 4120.1
    assert d["w"] / 2 / math.tan(math.atan(1920 / 2 / 4111.5234375)) == pytest.approx(4120.09, abs=0.01)
