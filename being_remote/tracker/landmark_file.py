"""The tracker's landmark files, `kpt/*.npy` and `kpt_dense/*.npy`: points of one picture, crop pixels.

They are named after the picture in `source/`, not after a frame_id. A picture without a face has a
file of zeros. Files come from rented machines: only what numpy itself writes for such an array is
read, its size known before anything is built.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from being_remote.errors import InconsistentData, TornFile, UnsafeFile
from being_remote.tracker.frame_file import read_bytes

SPARSE, DENSE = 68, 478
MAX_BYTES = 64 << 10

# numpy's format 1.0: magic, version, two bytes of header length, the header, the numbers.
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '([<|](?:f[248]|[iu][1248]))', 'fortran_order': (True|False),"
    rb" 'shape': \((\d{1,9}), (\d{1,9})\), \} *\n"
)


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
    data = read_bytes(path, MAX_BYTES)
    start = len(_MAGIC) + 2
    end = start + int.from_bytes(data[len(_MAGIC) : start], "little")
    header = _HEADER.fullmatch(data[start:end])
    if not data.startswith(_MAGIC) or header is None:
        raise UnsafeFile("is no plain array as numpy.save writes it", file=str(path))
    kind, fortran, rows, columns = (g.decode() for g in header.groups())
    if (int(rows), int(columns)) != (points, 2):
        raise InconsistentData(
            f"holds {int(rows)} x {int(columns)} numbers, not {points} x 2", file=str(path)
        )
    dtype = np.dtype(kind)
    if len(data) - end != 2 * points * dtype.itemsize:
        raise TornFile(f"has {len(data) - end} bytes for {2 * points} numbers of {kind}", file=str(path))
    pixels = np.frombuffer(data, dtype, offset=end).reshape(
        (points, 2), order="F" if fortran == "True" else "C"
    )
    pixels = pixels.astype(np.float64)
    if not np.isfinite(pixels).all():
        raise InconsistentData("holds landmarks that are not finite", file=str(path))
    return pixels if pixels.any() else None
