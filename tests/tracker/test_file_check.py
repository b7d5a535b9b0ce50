"""The judge of files from a pod: whole ones pass, cut ones never do."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import cv2
import frame_factory as factory
import numpy as np
import pytest

from being_remote.errors import DataError, TornFile, UnsafeFile
from being_remote.tracker.file_check import can_check, check_bytes, check_file


def npy(array: Any, **more: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **more)
    return buffer.getvalue()


def ply(binary: bool = True) -> bytes:
    """A mesh in the form that trimesh gives the tracker: vertices, then triangles as lists."""
    kind = "binary_little_endian" if binary else "ascii"
    header = (
        f"ply\nformat {kind} 1.0\ncomment https://github.com/mikedh/trimesh\nelement vertex 3\n"
        "property float x\nproperty float y\nproperty float z\n"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    ).encode()
    if not binary:
        return header + b"0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    return header + np.zeros(9, np.float32).tobytes() + b"\x03" + np.arange(3, dtype=np.int32).tobytes()


def picture(suffix: str) -> bytes:
    return cv2.imencode(suffix, np.arange(3072, dtype=np.uint8).reshape(32, 32, 3))[1].tobytes()


WHOLE = {
    "00000.frame": factory.saved(factory.content()),
    "bbox.pt": factory.saved(np.array([1, 2, 3, 4])),
    "identity.npy": npy(np.zeros(300, np.float32)),
    "00001.npy": npy(np.zeros((68, 2))),
    "scalar.npy": npy(np.array(3)),
    "fortran.npy": npy(np.asfortranarray(np.zeros((3, 2)))),
    "00000.ply": ply(),
    "ascii.ply": ply(binary=False),
    "00000.png": picture(".png"),
    "00000.jpg": picture(".jpg"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_file_passes_and_every_cut_of_it_is_torn(name: str, tmp_path: Path) -> None:
    data = WHOLE[name]
    (tmp_path / name).write_bytes(data)
    check_file(tmp_path / name)
    check_bytes(name, data)
    for cut in {*range(0, len(data), max(1, len(data) // 97)), len(data) - 1}:
        with pytest.raises(TornFile):
            check_bytes(name, data[:cut])


@pytest.mark.parametrize("name", ["00000.npy", "00000.ply"])
def test_a_file_that_grew_beyond_its_header_is_torn(name: str) -> None:
    whole = WHOLE["identity.npy"] if name.endswith("npy") else WHOLE["00000.ply"]
    with pytest.raises(TornFile, match="where its header promises"):
        check_bytes(name, whole + b"\x00")


@pytest.mark.parametrize("name", ["00000.png", "00000.jpg"])
def test_a_picture_whose_end_is_followed_by_more_is_torn(name: str) -> None:
    with pytest.raises(TornFile, match="without its end"):
        check_bytes(name, WHOLE[name] + WHOLE[name][:100])


def test_a_box_that_is_a_tensor_is_whole() -> None:
    import torch

    check_bytes("bbox.pt", factory.saved(torch.tensor([1, 2, 3, 4])))


def endless_frame() -> bytes:
    content = factory.content()
    content["opencv"]["K"][0, 0, 0] = np.nan
    return factory.saved(content)


NOT_WHAT_THE_NAME_SAYS = {
    "a list as a frame": ("checkpoint/00000.frame", lambda: factory.saved([])),
    "a box as a frame": ("checkpoint/00000.frame", lambda: WHOLE["bbox.pt"]),
    "another frame": ("checkpoint/00007.frame", lambda: WHOLE["00000.frame"]),
    "a stray frame": ("checkpoint/best.frame", lambda: WHOLE["00000.frame"]),
    "a frame without a finite camera": ("checkpoint/00000.frame", endless_frame),
    "a frame without a camera": (
        "checkpoint/00000.frame",
        lambda: factory.saved({"other": np.zeros(3), "frame_id": "00000"}),
    ),
    "a list as a box": ("bbox.pt", lambda: factory.saved([])),
    "a frame as a box": ("bbox.pt", lambda: WHOLE["00000.frame"]),
    "a box without an area": ("bbox.pt", lambda: factory.saved(np.array([1, 1, 3, 4]))),
    "landmarks as an identity": ("actor/identity.npy", lambda: WHOLE["00001.npy"]),
    "an identity of nothing": ("actor/identity.npy", lambda: npy(np.full(300, np.nan))),
    "an identity as landmarks": ("actor/kpt/00001.npy", lambda: WHOLE["identity.npy"]),
    "sparse landmarks as dense ones": ("actor/kpt_dense/00001.npy", lambda: WHOLE["00001.npy"]),
    "endless landmarks": ("actor/kpt/00001.npy", lambda: npy(np.full((68, 2), np.inf))),
    "an endless mesh": (
        "run/mesh/00000.ply",
        lambda: ply().replace(np.zeros(9, np.float32).tobytes(), np.full(9, np.nan, np.float32).tobytes()),
    ),
}


@pytest.mark.parametrize("case", NOT_WHAT_THE_NAME_SAYS)
def test_a_whole_file_that_is_not_what_its_name_says_is_refused(case: str) -> None:
    name, make = NOT_WHAT_THE_NAME_SAYS[case]
    with pytest.raises(DataError) as refused:
        check_bytes(name, make())
    assert refused.value.what


def test_a_sound_frame_with_any_camera_passes() -> None:
    """Whether it is the camera that the run had before is not for this judge."""
    content = factory.content("00003")
    content["camera"]["fl"][:] = 4.5
    content["opencv"]["K"][0, 0, 0] = content["opencv"]["K"][0, 1, 1] = 4.5 * 256
    check_bytes("checkpoint/00003.frame", factory.saved(content))


def test_landmarks_and_meshes_of_another_program_may_have_any_shape() -> None:
    check_bytes("output/kpt/00001.npy", npy(np.full((106, 3), np.nan)))
    check_bytes("output/00000.ply", NOT_WHAT_THE_NAME_SAYS["an endless mesh"][1]())


def test_a_hostile_frame_is_unsafe_not_torn() -> None:
    bad = factory.with_pickle(WHOLE["00000.frame"], b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.")
    with pytest.raises(UnsafeFile, match=r"asks for os\.system"):
        check_bytes("00000.frame", bad)


def test_an_array_of_objects_is_unsafe() -> None:
    with pytest.raises(UnsafeFile, match="'O'"):
        check_bytes("kpt.npy", npy(np.array([1, "x"], dtype=object), allow_pickle=True))


def test_a_header_that_is_python_code_is_not_evaluated() -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os').system('id'),), }\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with pytest.raises(UnsafeFile, match="not a plain array"):
        check_bytes("kpt.npy", data)


def test_a_mesh_that_claims_billions_of_vertices_costs_nothing() -> None:
    with pytest.raises(TornFile, match="promises"):
        check_bytes("0.ply", ply().replace(b"element vertex 3", b"element vertex 999999999"))


def test_a_negative_count_cannot_make_up_for_a_missing_part_of_a_mesh() -> None:
    cut = ply(binary=False).replace(b"element face 1", b"element face -1").replace(b"3 0 1 2\n", b"")
    with pytest.raises(TornFile, match="negative"):
        check_bytes("0.ply", cut)


def test_a_folder_link_or_large_file_under_a_known_name_is_unsafe(tmp_path: Path) -> None:
    (tmp_path / "a.frame").symlink_to("/etc/passwd")
    (tmp_path / "b.frame").mkdir()
    (tmp_path / "c.frame").touch()
    os.truncate(tmp_path / "c.frame", 1 << 40)
    for name in ("a.frame", "b.frame", "c.frame"):
        with pytest.raises(UnsafeFile):
            check_file(tmp_path / name)


def test_files_of_no_known_format_are_taken_as_they_are(tmp_path: Path) -> None:
    for name in ("train.log", "config.yml", "canonical.obj", "events.out.tfevents", "noname"):
        assert not can_check(name)
        (tmp_path / name).write_bytes(b"\x00anything")
        check_file(tmp_path / name)
    assert can_check("00000.FRAME") and can_check("a/b/00000.png")
