"""The tracker's landmark files, `kpt/*.npy` and `kpt_dense/*.npy`: points of one picture, crop pixels.

They are named after the picture in `source/`, not after a frame_id. A picture without a face has a
file of zeros.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from being_remote.tracker.npy_file import parse_array, read_array

SPARSE, DENSE = 68, 478


def landmark_name(source_number: int) -> str:
    """The file of the picture `source/<number>`.

    Example:
        >>> landmark_name(2)
        '00002.npy'
    """
    return f"{source_number:05d}.npy"


def read_landmarks(path: Path, points: int) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """One file: (points, 2) float64, or None where the tracker found no face.

    Returns:
        Pixels of the network image, corner convention: the tracker compares them with what its own
        camera projects, and that is in this convention.

    Raises:
        NotFoundError: there is no such file.
        UnsafeFile: no regular file, too large, or no plain two-dimensional array.
        TornFile: it ends before its header says.
        InconsistentData: not `points` points, or not finite.
    """
    pixels = read_array(path, (points, 2))
    return pixels if pixels.any() else None


def parse_landmarks(data: bytes, name: str, points: int) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """The same for bytes that were read already; `name` is for the message."""
    pixels = parse_array(data, name, (points, 2))
    return pixels if pixels.any() else None
