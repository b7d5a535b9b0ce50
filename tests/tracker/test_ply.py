"""Meshes are read as plain numbers, bounded, and refused where they are anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from frame_factory import SIGNALLING_NAN

from being_remote.demo.actor import mesh_bytes
from being_remote.errors import DataError, NotFoundError, TornFile, UnsafeFile
from being_remote.tracker.ply import read_ply

VERTICES = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
FACES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "00000.ply"
    path.write_bytes(data)
    return path


def test_a_binary_mesh_comes_back_as_written(tmp_path: Path) -> None:
    mesh = read_ply(write(tmp_path, mesh_bytes(VERTICES, FACES)))
    assert np.array_equal(mesh.vertices, VERTICES)
    assert mesh.faces is not None and np.array_equal(mesh.faces, FACES)


def test_an_ascii_mesh_with_more_columns_in_another_order_is_read_by_name(tmp_path: Path) -> None:
    header = (
        "ply\nformat ascii 1.0\nelement vertex 2\nproperty uchar red\nproperty float z\n"
        "property float y\nproperty float x\nend_header\n"
    )
    mesh = read_ply(write(tmp_path, (header + "255 3 2 1\n0 6 5 4\n").encode()))
    assert mesh.vertices.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert mesh.faces is None


@pytest.mark.parametrize("corner", [-1, 4, 9])
def test_faces_that_are_no_triangles_of_known_vertices_are_left_out(tmp_path: Path, corner: int) -> None:
    mesh = read_ply(write(tmp_path, mesh_bytes(VERTICES, np.array([[0, 1, corner]], np.int32))))
    assert len(mesh.vertices) == 4 and mesh.faces is None


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (mesh_bytes(VERTICES, FACES)[:200].replace(b"vertex 4", b"vertex 9"), TornFile, "9 vertices need"),
        (mesh_bytes(VERTICES, FACES).replace(b"vertex 4", b"vertex 4000000000"), UnsafeFile, "1 to"),
        (mesh_bytes(VERTICES, FACES).replace(b"vertex 4", b"vertex -4"), UnsafeFile, "1 to"),
        (mesh_bytes(VERTICES, FACES).replace(b"float x", b"list uchar int x"), UnsafeFile, "plain"),
        (mesh_bytes(VERTICES, FACES).replace(b"float x", b"float y"), UnsafeFile, "distinct"),
        (mesh_bytes(VERTICES, FACES).replace(b"little", b"bigger"), UnsafeFile, "read are"),
        (mesh_bytes(np.full((4, 3), np.nan), FACES), TornFile, "not finite"),
        (mesh_bytes(np.full((4, 3), SIGNALLING_NAN), FACES), TornFile, "not finite"),
        (b"OFF\n4 2 0\n", UnsafeFile, "no header"),
        (b"", UnsafeFile, "no header"),
        (b"ply\nformat ascii 1.0\nproperty float x\nend_header\n", UnsafeFile, "header"),
        (b"ply\nformat ascii 1.0\nelement vertex many\nend_header\n", UnsafeFile, "header"),
    ],
)
def test_what_is_no_sound_mesh_is_refused_in_words(
    tmp_path: Path, data: bytes, error: type[DataError], words: str
) -> None:
    with pytest.raises(error, match=words):
        read_ply(write(tmp_path, data))


def test_links_folders_and_nothing_are_not_meshes(tmp_path: Path) -> None:
    (tmp_path / "link.ply").symlink_to("/etc/passwd")
    with pytest.raises(UnsafeFile):
        read_ply(tmp_path / "link.ply")
    with pytest.raises(UnsafeFile):
        read_ply(tmp_path)
    with pytest.raises(NotFoundError):
        read_ply(tmp_path / "missing.ply")
