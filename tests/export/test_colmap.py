"""The COLMAP model as COLMAP reads it, and its conventions pinned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trainer_readers as readers
from export_cases import held_still, turn

from being_remote.export import TARGETS, Cameras, RunFiles, prepare, write

POINT = np.array([0.03, -0.05, 0.08])


def model(cameras: Cameras, folder: Path, **more: object) -> Path:
    target = TARGETS["colmap"]
    write(target, prepare(target, cameras, **more), folder)  # type: ignore[arg-type]
    return folder / "colmap"


def test_colmap_itself_reads_the_model_and_projects_to_the_same_pixels(
    cameras: Cameras, tmp_path: Path
) -> None:
    import pycolmap

    near_half_turn = replace(cameras, R=np.stack([turn(np.pi), np.diag([1.0, -1, -1]) @ turn(1e-9)]))
    for case in (cameras, near_half_turn):
        folder = model(case, tmp_path)
        reconstruction = pycolmap.Reconstruction(str(folder / "sparse/0"))
        assert len(reconstruction.images) == 2
        (camera,) = reconstruction.cameras.values()
        assert camera.params.tolist() == [4111.5234375, 4111.5234375, 958.2421875, 529.453125]
        assert (camera.model.name, camera.width, camera.height) == ("PINHOLE", 1920, 1080)
        for i, image in enumerate(sorted(reconstruction.images.values(), key=lambda image: image.name)):
            assert image.name == f"{case.source_numbers[i]:05d}.png"
            X = np.linalg.inv(case.R[i]) @ (np.array([0.1, -0.07, 1.3]) - case.t[i])
            p = case.K_source @ (case.R[i] @ X + case.t[i])
            assert np.allclose(image.project_point(X), p[:2] / p[2], rtol=0, atol=1e-9)


def test_convention_quaternions_are_world_to_camera_with_w_first(cameras: Cameras, tmp_path: Path) -> None:
    one = replace(
        cameras,
        R=np.stack([readers.rotation_of(*(np.array([0.8, 0.2, -0.4, 0.4]))), np.eye(3)]),
    )
    line = (model(one, tmp_path) / "sparse/0/images.txt").read_text().splitlines()[1].split()
    # w last would read 0.2, -0.4, 0.4, 0.8; camera-to-world 0.8, -0.2, 0.4, -0.4
    assert np.allclose([float(v) for v in line[1:5]], [0.8, 0.2, -0.4, 0.4])
    assert [float(v) for v in line[5:8]] == cameras.t[0].tolist()
    assert line[8:] == ["1", "00002.png"]


def test_convention_cx_is_not_opencvs_which_would_be_half_a_pixel_less(
    cameras: Cameras, tmp_path: Path
) -> None:
    line = (model(cameras, tmp_path) / "sparse/0/cameras.txt").read_text().splitlines()[1].split()
    assert float(line[6]) == 958.2421875  # OpenCV's: 957.7421875


def test_each_image_has_a_line_of_no_points(cameras: Cameras, tmp_path: Path) -> None:
    folder = model(cameras, tmp_path) / "sparse/0"
    lines = (folder / "images.txt").read_text().split("\n")
    assert [bool(line) for line in lines] == [True, True, False, True, False, False]
    assert (folder / "points3D.txt").read_text().count("\n") == 1


def test_the_first_mesh_becomes_the_points_that_splatting_starts_from(
    cameras: Cameras, tmp_path: Path
) -> None:
    meshes = tmp_path / "mesh"
    meshes.mkdir()
    header = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n"
    (meshes / "00000.ply").write_text(header + "end_header\n0.25 -1 2\n3 4 5\n")
    folder = model(cameras, tmp_path, run=RunFiles(meshes=meshes)) / "sparse/0"
    lines = (folder / "points3D.txt").read_text().splitlines()
    assert lines[1:] == ["1 0.25 -1.0 2.0 128 128 128 0", "2 3.0 4.0 5.0 128 128 128 0"]


@pytest.mark.parametrize("body", ["no mesh", "ply\nformat ascii 1.0\nelement vertex 1000000000\n"])
def test_a_mesh_that_cannot_be_read_leaves_a_whole_model_without_points(
    cameras: Cameras, tmp_path: Path, body: str
) -> None:
    (tmp_path / "00000.ply").write_text(body)
    folder = model(cameras, tmp_path, run=RunFiles(meshes=tmp_path)) / "sparse/0"
    assert (folder / "points3D.txt").read_text().count("\n") == 1
    assert len(readers.colmap(tmp_path / "colmap")) == 2


def test_a_rotation_rounded_to_float32_moves_no_pixel_by_a_thousandth(
    cameras: Cameras, tmp_path: Path
) -> None:
    rounded = replace(cameras, R=cameras.R.astype(np.float32).astype(np.float64))
    views = list(readers.colmap(model(rounded, tmp_path)).values())
    for i, view in enumerate(views):
        p = cameras.K_source @ (rounded.R[i] @ POINT + rounded.t[i])
        assert np.abs(view(POINT) - p[:2] / p[2]).max() < 1e-3


def test_every_image_of_a_long_clip_has_an_id_of_its_own(cameras: Cameras, tmp_path: Path) -> None:
    n = 1200
    many = held_still(cameras, n)
    lines = (model(many, tmp_path) / "sparse/0/images.txt").read_text().splitlines()[1::2]
    assert [int(line.split()[0]) for line in lines] == list(range(1, n + 1))
    assert lines[-1].split()[-1] == "01201.png"
