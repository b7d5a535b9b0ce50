"""bbox.pt, read and written: x_min, x_max, y_min, y_max in source pixels, ends exclusive.

That order is the tracker's own. It cannot be checked: x, y, width, height of other programs can look
the same. What a box must be on a certain video is for `box_rules`.
"""

from __future__ import annotations

import math
import os
from typing import Any, List, NoReturn, Tuple

import numpy as np

from being_remote.errors import InconsistentData
from being_remote.tracker.frame_entries import describe, shown_name
from being_remote.tracker.frame_file import check_size, read_bytes
from being_remote.tracker.plain_pickle import Array, Tensor
from being_remote.tracker.torch_file import bytes_for_numpy_1, load_file

Box = Tuple[int, int, int, int]

MAX_BOX_BYTES = 64 << 10


def read_box(path: str | os.PathLike[str]) -> Box:
    """Read a bbox.pt: (x_min, x_max, y_min, y_max) in source pixels, the tracker's own order.

    Raises:
        NotFoundError: the file is missing.
        UnsafeFile: not a regular file, larger than `MAX_BOX_BYTES`, or more than plain data.
        TornFile: cut short or damaged.
        InconsistentData: not four whole numbers with x_max > x_min and y_max > y_min.
    """
    return parse_box(read_bytes(path, MAX_BOX_BYTES), os.fspath(path))


def parse_box(data: bytes, name: str) -> Box:
    """As `read_box`, of bytes; `name` is the file's name or path."""
    shown = shown_name(name)
    check_size(len(data), MAX_BOX_BYTES, shown)
    if data.startswith(b"\x93NUMPY"):
        what = "is a numpy array (.npy), which the tracker does not write; the order of such files is unknown"
        _refuse(what + " (pixel3dmm stores y_min, y_max, x_min, x_max)", shown)
    content = load_file(data, shown).value
    if type(content) in (Array, Tensor):
        numbers = content.numpy().tolist() if content.shape in ((4,), (1, 4)) else []
    else:
        numbers = content if type(content) in (list, tuple) else []
    if len(numbers) == 1 and type(numbers[0]) in (list, tuple):
        numbers = numbers[0]
    if len(numbers) != 4:
        found = f"{len(numbers)} entries" if numbers else describe(content)
        _refuse(f"must hold four numbers x_min, x_max, y_min, y_max; it holds {found}", shown)
    return box_of(numbers, shown)


def box_of(numbers: List[Any], shown: str) -> Box:
    """Four numbers as a box, or InconsistentData; `shown` says where they come from."""
    if any(type(n) not in (int, float) or not math.isfinite(n) or n != int(n) for n in numbers):
        listed = ", ".join(repr(n) if type(n) in (int, float) else type(n).__name__ for n in numbers)
        _refuse(f"must hold four whole numbers; it holds {listed}", shown)
    x_min, x_max, y_min, y_max = (int(n) for n in numbers)
    if x_max <= x_min or y_max <= y_min or max(map(abs, (x_min, x_max, y_min, y_max))) >= 1 << 31:
        _refuse(f"is not a box: {box_text((x_min, x_max, y_min, y_max))}", shown)
    return x_min, x_max, y_min, y_max


def box_bytes(box: Box) -> bytes:
    """A bbox.pt: what `torch.save` makes of the tracker's own array, (4,) int64.

    Source:
        metrical-tracker c2a51724, datasets/generate_dataset.py: torch.save of a numpy array.
    """
    return bytes_for_numpy_1(np.array(box, dtype=np.int64))


def box_text(box: Box) -> str:
    return f"x {box[0]}..{box[1]}, y {box[2]}..{box[3]}"


def _refuse(what: str, shown: str) -> NoReturn:
    raise InconsistentData(what, file=shown, hint="use another bbox.pt of this run")
