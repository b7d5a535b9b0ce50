"""identity.npy: MICA's shape of one person, which metrical-tracker starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from being_remote.tracker.npy_file import parse_array, read_array

COEFFICIENTS = 300


def read_identity(path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    """FLAME's identity coefficients, (300,) float64.

    Raises:
        NotFoundError: there is no such file.
        UnsafeFile, TornFile, InconsistentData: it does not hold 300 plain finite numbers.
    """
    return read_array(path, (COEFFICIENTS,), (1, COEFFICIENTS)).reshape(COEFFICIENTS)


def parse_identity(data: bytes, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The same for bytes that were read already; `name` is for the message."""
    return parse_array(data, name, (COEFFICIENTS,), (1, COEFFICIENTS)).reshape(COEFFICIENTS)
