"""numpy's .npy files, the tracker's landmarks and MICA's identity: plain numbers, or a refusal.

The header is matched and bounded before numpy sees the file, and nothing is unpickled. Landmark files are
named after the picture in `source/`, not after a frame_id; a picture without a face has a file of zeros.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from being_remote.errors import InconsistentData, TornFile, UnsafeFile
from being_remote.tracker.frame_entries import shown_name
from being_remote.tracker.frame_file import read_bytes
from being_remote.tracker.plain_pickle import as_float64
from being_remote.tracker.torch_zip import TORN

Floats = np.ndarray[Any, np.dtype[np.float64]]

MAX_BYTES = 64 << 10
MAX_HEADER_BYTES = 4096
MAGIC = b"\x93NUMPY"

_SIZE = rb"(?:0|[1-9]\d{0,8})"  # as Python writes it, since numpy reads the header as Python
_HEADER = re.compile(
    rb"\{'descr': '(?P<dtype>[<>|=][a-zA-Z]\d{0,3})', 'fortran_order': (?:True|False),"
    rb" 'shape': \((?P<shape>(?:%(n)b, ?(?:%(n)b(?:, ?%(n)b)*,?)?)?)\), ?\} *\n" % {b"n": _SIZE}
)
_NUMBERS = re.compile(r"[<|](f[248]|[iu][1248])")

SPARSE, DENSE = 68, 478  # landmarks of an image
COEFFICIENTS = 300  # of an identity


class _NpyHeader(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    end: int


def read_array(path: Path, *shapes: Sequence[int]) -> Floats:
    """Read the numbers of a file in one of `shapes`, as float64.

    Raises:
        NotFoundError: the file is missing.
        UnsafeFile: not a regular file, larger than `MAX_BYTES`, or not a plain array.
        TornFile: it ends before its header says.
        InconsistentData: another shape, or numbers that are not finite.
    """
    return parse_array(read_bytes(path, MAX_BYTES), str(path), *shapes)


def parse_array(data: bytes, name: str, *shapes: Sequence[int]) -> Floats:
    """As `read_array`, of bytes; `name` is for messages."""
    shown = shown_name(name)
    if len(data) > MAX_BYTES:
        raise UnsafeFile(f"has {len(data)} bytes, more than {MAX_BYTES}", file=shown)
    if not data.startswith(MAGIC):
        raise UnsafeFile("is not a plain array as numpy.save writes it", file=shown)
    header = _parse_header(data, shown)
    if not _NUMBERS.fullmatch(header.dtype):
        raise UnsafeFile(f"is not a plain array of numbers: dtype {header.dtype!r}", file=shown)
    if header.shape not in map(tuple, shapes):
        expected = " or ".join(map(_times, shapes))
        raise InconsistentData(f"holds {_times(header.shape)} numbers, not {expected}", file=shown)
    _check_size(data, header, shown)
    try:
        numbers = as_float64(np.load(io.BytesIO(data), allow_pickle=False))
    except ValueError as e:
        raise UnsafeFile(f"is not an array that numpy reads: {str(e)[:200]!r}", file=shown) from e
    if not np.isfinite(numbers).all():
        raise InconsistentData("holds numbers that are not finite", file=shown)
    return numbers


def check_array(data: bytes, shown: str) -> None:
    """Check that a file is a whole array of numbers, of any shape.

    Raises:
        TornFile: damaged, cut short, or longer than its header says.
        UnsafeFile: not an array of numbers.
    """
    header = _parse_header(data, shown)
    if header.dtype[1] not in "fiub":
        raise UnsafeFile(f"is an array of {header.dtype[1]!r}, not of numbers", file=shown)
    _check_size(data, header, shown)


def _parse_header(data: bytes, shown: str) -> _NpyHeader:
    if len(data) < 12 or not data.startswith(MAGIC) or data[6] not in (1, 2, 3):
        raise TornFile("is not a numpy array, or its start is damaged", file=shown, hint=TORN)
    start = 10 if data[6] == 1 else 12
    end = start + int.from_bytes(data[8:start], "little")
    readable = data[7] == 0 and end - start <= MAX_HEADER_BYTES
    found = _HEADER.fullmatch(data[start:end]) if readable else None
    if found is None:
        if len(data) < end:
            raise TornFile("is cut short within its header", file=shown, hint=TORN)
        raise UnsafeFile("is not a plain array of numbers: unknown header", file=shown)
    shape = tuple(int(n) for n in found["shape"].split(b",") if n.strip())
    return _NpyHeader(found["dtype"].decode(), shape, end)


def _check_size(data: bytes, header: _NpyHeader, shown: str) -> None:
    promised = math.prod(header.shape) * int(header.dtype[2:] or 0)
    found = len(data) - header.end
    if found != promised:
        raise TornFile(f"has {found} bytes where its header promises {promised}", file=shown, hint=TORN)


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


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


def read_identity(path: Path) -> Floats:
    """FLAME's identity coefficients, (300,) float64.

    Raises:
        NotFoundError, DataError: missing; or not 300 plain finite numbers.
    """
    return parse_identity(read_bytes(path, MAX_BYTES), str(path))


def parse_identity(data: bytes, name: str) -> Floats:
    """As `read_identity`, of bytes; `name` is for messages."""
    return parse_array(data, name, (COEFFICIENTS,), (1, COEFFICIENTS)).reshape(COEFFICIENTS)
