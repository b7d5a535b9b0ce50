"""Landmarks are read as plain numbers of a known count, and a picture without a face is recognised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from frame_factory import SIGNALLING_NAN

from being_remote.errors import DataError, InconsistentData, NotFoundError, TornFile, UnsafeFile
from being_remote.tracker.npy_file import DENSE, SPARSE, read_landmarks

POINTS = np.arange(136, dtype=np.float64).reshape(68, 2)


@pytest.mark.parametrize(
    "stored",
    [POINTS, POINTS.astype(np.float32), POINTS.astype(np.int64), np.asfortranarray(POINTS)],
    ids=["float64", "float32", "int64", "column by column"],
)
def test_points_come_back_as_float64_however_numpy_stored_them(tmp_path: Path, stored: np.ndarray) -> None:
    np.save(tmp_path / "00001.npy", stored)
    found = read_landmarks(tmp_path / "00001.npy", SPARSE)
    assert found is not None and found.dtype == np.float64
    assert np.array_equal(found, POINTS)


def test_a_file_of_zeros_is_a_picture_without_a_face(tmp_path: Path) -> None:
    np.save(tmp_path / "00001.npy", np.zeros((478, 2), np.float32))
    assert read_landmarks(tmp_path / "00001.npy", DENSE) is None


def with_header(text: bytes, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + body


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (with_header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (68, 2), }\n"), TornFile, "0 bytes"),
        (
            with_header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999, 2), }\n"),
            InconsistentData,
            "999999999 x 2",
        ),
        (with_header(b"{'descr': '|O', 'fortran_order': False, 'shape': (68, 2), }\n"), UnsafeFile, "plain"),
        (with_header(b"(" * 9000), UnsafeFile, "plain"),
        (b"PK\x03\x04", UnsafeFile, "plain"),
        (b"", UnsafeFile, "plain"),
        (b"\x93NUMPY\x01\x00" + bytes(70_000), UnsafeFile, "bytes"),
    ],
)
def test_what_is_no_array_of_points_is_refused_in_words(
    tmp_path: Path, data: bytes, error: type[DataError], words: str
) -> None:
    path = tmp_path / "00001.npy"
    path.write_bytes(data)
    with pytest.raises(error, match=words):
        read_landmarks(path, SPARSE)


HEADER = b"{'descr': '<f8', 'fortran_order': False, 'shape': (68, 2), }\n"


@pytest.mark.parametrize(
    "data",
    [
        with_header(HEADER, bytes(1088), version=b"\x01\x01"),
        with_header(HEADER.replace(b"68", b"068"), bytes(1088)),
        with_header(HEADER.replace(b"}", b"}" + b" " * 4096), bytes(1088)),
    ],
)
def test_an_array_whose_header_numpy_would_not_read_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "00001.npy"
    path.write_bytes(data)
    with pytest.raises(UnsafeFile, match="plain"):
        read_landmarks(path, SPARSE)


def test_dense_points_are_not_taken_for_sparse_ones_and_none_are_not_finite(tmp_path: Path) -> None:
    path = tmp_path / "00001.npy"
    np.save(path, np.ones((478, 2)))
    with pytest.raises(InconsistentData, match="478 x 2 numbers, not 68 x 2"):
        read_landmarks(path, SPARSE)
    for number in (np.nan, SIGNALLING_NAN):
        np.save(path, np.full((68, 2), number))
        with pytest.raises(InconsistentData, match="not finite"):
            read_landmarks(path, SPARSE)
    with pytest.raises(NotFoundError):
        read_landmarks(tmp_path / "00002.npy", SPARSE)
