"""identity.npy: MICA's shape of one person, which metrical-tracker starts from."""

from __future__ import annotations

from pathlib import Path

from being_remote.tracker.frame_file import read_bytes
from being_remote.tracker.npy_file import MAX_BYTES, Floats, parse_array

COEFFICIENTS = 300


def read_identity(path: Path) -> Floats:
    """FLAME's identity coefficients, (300,) float64.

    Raises:
        NotFoundError, DataError: missing; or not 300 plain finite numbers.
    """
    return parse_identity(read_bytes(path, MAX_BYTES), str(path))


def parse_identity(data: bytes, name: str) -> Floats:
    """As `read_identity`, of bytes; `name` is for messages."""
    return parse_array(data, name, (COEFFICIENTS,), (1, COEFFICIENTS)).reshape(COEFFICIENTS)
