"""numpy's own files, read without numpy's reader: plain numbers of a known shape, or a refusal.

Files come from rented machines: only what numpy.save writes for such an array is read, its size known
before anything is built. Nothing is unpickled.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from being_remote.errors import InconsistentData, TornFile, UnsafeFile
from being_remote.tracker.frame_entries import shown_name
from being_remote.tracker.frame_file import read_bytes

MAX_BYTES = 64 << 10

# numpy's format 1.0: magic, version, two bytes of header length, the header, the numbers.
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '([<|](?:f[248]|[iu][1248]))', 'fortran_order': (True|False),"
    rb" 'shape': \((\d{1,9}(?:, \d{1,9})*),?\), \} *\n"
)


def read_array(path: Path, *shapes: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The numbers of a file, in one of `shapes`, as float64.

    Raises:
        NotFoundError: there is no such file.
        UnsafeFile: no regular file, larger than `MAX_BYTES`, or no plain array.
        TornFile: it ends before its header says.
        InconsistentData: another shape, or numbers that are not finite.
    """
    return parse_array(read_bytes(path, MAX_BYTES), str(path), *shapes)


def parse_array(data: bytes, name: str, *shapes: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The same for bytes that were read already; `name` is for the message."""
    shown = shown_name(name)
    if len(data) > MAX_BYTES:
        raise UnsafeFile(f"has {len(data)} bytes, more than {MAX_BYTES}", file=shown)
    start = len(_MAGIC) + 2
    end = start + int.from_bytes(data[len(_MAGIC) : start], "little")
    header = _HEADER.fullmatch(data[start:end])
    if not data.startswith(_MAGIC) or header is None:
        raise UnsafeFile("is no plain array as numpy.save writes it", file=shown)
    kind, fortran, sizes = (g.decode() for g in header.groups())
    shape = tuple(map(int, sizes.split(", ")))
    if shape not in map(tuple, shapes):
        raise InconsistentData(
            f"holds {_times(shape)} numbers, not {' or '.join(map(_times, shapes))}", file=shown
        )
    dtype, count = np.dtype(kind), math.prod(shape)
    if len(data) - end != count * dtype.itemsize:
        raise TornFile(f"has {len(data) - end} bytes for {count} numbers of {kind}", file=shown)
    order: Literal["F", "C"] = "F" if fortran == "True" else "C"
    stored = np.frombuffer(data, dtype, offset=end).reshape(shape, order=order)
    numbers: np.ndarray[Any, np.dtype[np.float64]] = stored.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise InconsistentData("holds numbers that are not finite", file=shown)
    return numbers


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
