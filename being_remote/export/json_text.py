"""JSON documents of any number of frames, written in pieces: a head, then one frame a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

# Frames to a piece: large enough that writing costs nothing, small enough that memory stays flat.
BATCH = 512


def document(head: Mapping[str, Any], frames: Iterable[str]) -> Iterator[bytes]:
    """A document with `head`'s keys and then `frames`, each of them JSON already.

    Example:
        >>> print(b"".join(document({"w": 2}, ["{}", "{}"])).decode())
        {
         "w": 2,
         "frames": [
          {},
          {}
         ]
        }
    """
    lines = ",\n ".join(f"{json.dumps(key)}: {_value(value)}" for key, value in head.items())
    yield f'{{\n {lines},\n "frames": ['.encode()
    left = iter(frames)
    separator = "\n  "
    while batch := list(islice(left, BATCH)):
        yield (separator + ",\n  ".join(batch)).encode()
        separator = ",\n  "
    yield b"\n ]\n}\n"


def _value(value: Any) -> str:
    """On one line, but for what has names of its own; a list of all frames' numbers is one line too."""
    if isinstance(value, Mapping):
        inner = ",\n  ".join(f"{json.dumps(key)}: {_value(item)}" for key, item in value.items())
        return f"{{\n  {inner}\n }}"
    return json.dumps(value, allow_nan=False)


def rows(matrices: Any) -> Iterator[str]:
    """Each array of a stack as JSON, all its digits kept; a batch at a time becomes Python numbers.

    Example:
        >>> import numpy as np
        >>> list(rows(np.array([[[1.0, 0.1], [-0.25, 2.0]]])))
        ['[[1.0, 0.1], [-0.25, 2.0]]']
    """
    for start in range(0, len(matrices), BATCH):
        # Python writes a list of finite numbers as JSON does, with the fewest digits that round-trip.
        yield from map(repr, matrices[start : start + BATCH].tolist())
