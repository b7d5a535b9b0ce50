"""JSON documents of any number of frames, written in pieces: a head, then one frame per line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

# Frames per piece: enough to write fast, few enough to keep memory flat.
BATCH = 512


def nerf_intrinsics(K: Any, size_wh: tuple[int, int]) -> dict[str, float]:
    """A camera (3, 3) by the names that NeRF data sets use: pixels as in `K`, angles in radians."""
    (w, h), fx, fy = size_wh, float(K[0, 0]), float(K[1, 1])
    return {
        "w": w,
        "h": h,
        "fl_x": fx,
        "fl_y": fy,
        "cx": float(K[0, 2]),
        "cy": float(K[1, 2]),
        "camera_angle_x": 2 * math.atan(w / (2 * fx)),
        "camera_angle_y": 2 * math.atan(h / (2 * fy)),
    }


def document(head: Mapping[str, Any], frames: Iterable[str]) -> Iterator[bytes]:
    """A document with the keys of `head` and then `frames`, each of them JSON text.

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
    """JSON on one line, except that a mapping has one line per key."""
    if isinstance(value, Mapping):
        inner = ",\n  ".join(f"{json.dumps(key)}: {_value(item)}" for key, item in value.items())
        return f"{{\n  {inner}\n }}"
    return json.dumps(value, allow_nan=False)


def rows(matrices: Any) -> Iterator[str]:
    """Each array of a stack as JSON with all its digits; converted in batches.

    Example:
        >>> import numpy as np
        >>> list(rows(np.array([[[1.0, 0.1], [-0.25, 2.0]]])))
        ['[[1.0, 0.1], [-0.25, 2.0]]']
    """
    for start in range(0, len(matrices), BATCH):
        # Python prints a list of finite numbers as JSON, with the fewest digits that round-trip.
        yield from map(repr, matrices[start : start + BATCH].tolist())
