"""Recognise the same pickle with other numbers in it, without running it.

All `.frame` files of a run have one pickle but for the contents of the arrays, the frame's id and
the step. Once `plain_pickle` has accepted one, another is good if it is byte for byte the same
around those places: the same opcodes would run. So this accepts only what `plain_pickle` would; it
makes reading a run several times faster.
"""

from __future__ import annotations

import pickletools
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from being_remote.tracker.plain_pickle import Array

_LENGTH = struct.Struct("<I")
_INTS = {"BININT": "<i", "BININT1": "<B", "BININT2": "<H"}

# An array's content, from its text to the moment it is put into the array.
_CONTENT = [
    *("BINUNICODE", "BINPUT", "BINGET", "TUPLE2", "BINPUT"),
    *("REDUCE", "BINPUT", "TUPLE", "BINPUT", "BUILD"),
]
_LONG = {"LONG_BINPUT": "BINPUT", "LONG_BINGET": "BINGET"}
# The file's last two entries, a text and a whole number; their names are texts as well.
_TAIL = ("BINUNICODE", "BINPUT", "BINUNICODE", "BINPUT", "BINUNICODE", "BINPUT")


class Filling(NamedTuple):
    """The contents of the places: the arrays' bytes in file order, the last text, the last number."""

    contents: list[bytes]
    text: str
    number: int


@dataclass(frozen=True)
class Skeleton:
    """The bytes around the places. `before[i]` comes before text i; `sizes` are the arrays' bytes."""

    before: tuple[bytes, ...]
    sizes: tuple[int, ...]
    tail: bytes
    number: struct.Struct

    def fill(self, pickled: bytes) -> Filling | None:
        """What another pickle has in the places, or None when it differs around them."""
        at, texts = 0, []
        for literal in self.before:
            start = at + len(literal) + 4
            if not pickled.startswith(literal, at) or start > len(pickled):
                return None
            at = start + _LENGTH.unpack_from(pickled, start - 4)[0]
            texts.append(pickled[start:at])
        number_at = at + len(self.tail)
        end = number_at + self.number.size
        if not pickled.startswith(self.tail, at) or pickled[end:] != b"u.":
            return None
        try:
            contents = [str(text, "utf-8").encode("latin1") for text in texts[:-1]]
            text = str(texts[-1], "utf-8")
        except UnicodeError:
            return None
        if tuple(map(len, contents)) != self.sizes:
            return None
        return Filling(contents, text, self.number.unpack_from(pickled, number_at)[0])


def skeleton_of(pickled: bytes, arrays: Sequence[Array], last_keys: tuple[str, str]) -> Skeleton | None:
    """The skeleton of a pickle that `plain_pickle.load` accepted and whose arrays these are.

    None when it is not of the tracker's form: every array filled from a text of its own, and a text
    and a whole number under `last_keys` as the dict's last two entries.
    """
    ops = [(_LONG.get(op.name, op.name), arg, at) for op, arg, at in pickletools.genops(pickled)]
    names = [name for name, _, _ in ops]
    # What is fetched from the memo is used twice; a place must be used for its one purpose only.
    fetched = {arg for name, arg, _ in ops if name == "BINGET"}

    def lone(first: int, count: int) -> bool:
        return not any(names[i] == "BINPUT" and ops[i][1] in fetched for i in range(first, first + count))

    places = [
        i for i in range(len(ops)) if names[i : i + len(_CONTENT)] == _CONTENT and lone(i, len(_CONTENT) - 1)
    ]
    last = len(ops) - 3
    tail = last - len(_TAIL)
    if tail < 0 or tuple(names[tail:last]) != _TAIL or names[last + 1 :] != ["SETITEMS", "STOP"]:
        return None
    keys_found = ops[tail][1], ops[tail + 4][1]
    if keys_found != last_keys or names[last] not in _INTS or not lone(tail + 2, 2):
        return None
    if len(places) != len(arrays):
        return None
    before, at = [], 0
    for i in (*places, tail + 2):
        start = _argument_at(ops[i])
        before.append(pickled[at:start])
        at = _argument_at(ops[i + 1]) - 1
    number_at = _argument_at(ops[last])
    number = struct.Struct(_INTS[names[last]])
    return Skeleton(tuple(before), tuple(len(a.content) for a in arrays), pickled[at:number_at], number)


def _argument_at(op: tuple[str, Any, int | None]) -> int:
    at = op[2]
    assert at is not None  # genops gives no position only for streams without `tell`
    return at + 1
