"""identity.npy is read as 300 plain numbers, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from being_remote.errors import DataError, InconsistentData, NotFoundError, TornFile, UnsafeFile
from being_remote.tracker.npy_file import read_identity

SHAPE = np.linspace(-3, 3, 300)


@pytest.mark.parametrize("stored", [SHAPE.astype(np.float32), SHAPE, SHAPE.astype(np.float32)[None]])
def test_mica_writes_300_numbers_as_a_row_or_a_list(tmp_path: Path, stored: np.ndarray) -> None:
    np.save(tmp_path / "identity.npy", stored)
    found = read_identity(tmp_path / "identity.npy")
    assert found.shape == (300,) and found.dtype == np.float64
    assert np.array_equal(found, stored.reshape(300))


@pytest.mark.parametrize(
    ("stored", "error"),
    [
        (SHAPE[:299], InconsistentData),
        (SHAPE.reshape(300, 1), InconsistentData),
        (np.full(300, np.inf), InconsistentData),
        (np.array([{}] * 300), UnsafeFile),
        (np.zeros(300, np.complex64), UnsafeFile),
        (np.zeros(300, [("a", "f4")]), UnsafeFile),
    ],
)
def test_what_is_no_identity_is_refused(tmp_path: Path, stored: np.ndarray, error: type[DataError]) -> None:
    np.save(tmp_path / "identity.npy", stored, allow_pickle=True)
    with pytest.raises(error):
        read_identity(tmp_path / "identity.npy")


def test_a_shape_that_python_reads_as_a_number_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "identity.npy", SHAPE)
    data = (tmp_path / "identity.npy").read_bytes()
    (tmp_path / "identity.npy").write_bytes(data.replace(b"(300,), }", b"(300), } "))
    with pytest.raises(UnsafeFile):
        read_identity(tmp_path / "identity.npy")


def test_torn_linked_and_absent_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "identity.npy"
    with pytest.raises(NotFoundError):
        read_identity(path)
    np.save(path, SHAPE)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TornFile):
        read_identity(path)
    (tmp_path / "link.npy").symlink_to(path)
    with pytest.raises(UnsafeFile):
        read_identity(tmp_path / "link.npy")
