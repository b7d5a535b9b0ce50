"""The tracker's landmark files, `kpt/*.npy` and `kpt_dense/*.npy`: points of one picture, crop pixels.

They are named after the picture in `source/`, not after a frame_id. A picture without a face has a
file of zeros.
"""

from __future__ import annotations

from pathlib import Path

from being_remote.tracker.frame_file import read_bytes
from being_remote.tracker.npy_file import MAX_BYTES, Floats, parse_array

SPARSE, DENSE = 68, 478


def landmark_name(source_number: int) -> str:
    """The file of the picture `source/<number>`.

    Example:
        >>> landmark_name(2)
        '00002.npy'
    """
    return f"{source_number:05d}.npy"


def read_landmarks(path: Path, points: int) -> Floats | None:
    """One file: (points, 2) float64, or None where the tracker found no face.

    Returns:
        Pixels of the network image, corner convention: the tracker compares them with what its own
        camera projects, and that is in this convention.

    Raises:
        NotFoundError, DataError: missing; or not `points` points, plain and finite.
    """
    return parse_landmarks(read_bytes(path, MAX_BYTES), str(path), points)


def parse_landmarks(data: bytes, name: str, points: int) -> Floats | None:
    """As `read_landmarks`, of bytes; `name` is for messages."""
    pixels = parse_array(data, name, (points, 2))
    return pixels if pixels.any() else None
