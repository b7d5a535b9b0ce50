"""What a run fitted besides its cameras: expression, jaw, eyes and eyelids of every frame.

Rotations are axis times angle in degrees, so that a jaw at rest is three zeros and one that opens has a
first number above zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from being_remote.camera.pose import rotation_from_6d, rotation_vector
from being_remote.errors import InconsistentData
from being_remote.tracker.frame_entries import StoredFrame, shown_name
from being_remote.tracker.frame_file import EDITED
from being_remote.tracker.layout import frame_name
from being_remote.tracker.plain_pickle import as_float64
from being_remote.tracker.sequence import Sequence, read_sequence

Floats = np.ndarray[Any, np.dtype[np.float64]]

_KEYS = ("flame.exp", "flame.jaw", "flame.eyes", "flame.eyelids", "flame.shape")


@dataclass(frozen=True, eq=False)
class FlameParameters:
    """FLAME's parameters of N frames, in the order of the cameras read with them."""

    expression: Floats  # (N, E) coefficients
    jaw_deg: Floats  # (N, 3) axis times angle; x opens it, y and z are sideways
    # (N, 3) axis times angle; x down, y to the head's left
    right_eye_deg: Floats
    left_eye_deg: Floats
    eyelids: Floats  # (N, 2) left, right; larger is more closed
    shape: Floats  # (N, S) identity coefficients


def read_parameters(folder: Path, names: list[str] | None = None) -> tuple[Sequence, FlameParameters]:
    """Read every `.frame` of a folder, or those of these names: the cameras, and FLAME's parameters.

    Raises:
        NotFoundError, DataError: as `read_sequence`.
        InconsistentData: an entry that is missing, numbers that are not finite, another count of
            coefficients within the run, or six numbers that are not a rotation.
    """
    rows: dict[str, list[Floats]] = {key: [] for key in _KEYS}

    def keep(stored: StoredFrame) -> None:
        for key, row in rows.items():
            row.append(stored.array(key)[0])

    cameras = read_sequence(folder, keep, names)
    found = {key: _stacked(folder, key, row, cameras) for key, row in rows.items()}
    eyes = found["flame.eyes"]
    return cameras, FlameParameters(
        expression=found["flame.exp"],
        jaw_deg=_turns(folder, "flame.jaw", found["flame.jaw"], cameras),
        # The tracker names the first six the right eye.
        right_eye_deg=_turns(folder, "flame.eyes", eyes[:, :6], cameras),
        left_eye_deg=_turns(folder, "flame.eyes", eyes[:, 6:], cameras),
        eyelids=found["flame.eyelids"],
        shape=found["flame.shape"],
    )


def _stacked(folder: Path, key: str, rows: list[Floats], cameras: Sequence) -> Floats:
    for i, row in enumerate(rows):
        if row.shape != rows[0].shape:
            _refuse(folder, cameras, i, f"{key} has {row.size} numbers, before it {rows[0].size}")
    stacked = as_float64(rows)
    bad = np.flatnonzero(~np.isfinite(stacked).all(axis=1))
    if len(bad):
        _refuse(folder, cameras, int(bad[0]), f"{key} holds numbers that are not finite")
    return stacked


def _turns(folder: Path, key: str, r6: Floats, cameras: Sequence) -> Floats:
    first, second = r6[:, :3], r6[:, 3:]
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        flat = ~(np.linalg.norm(np.cross(first, second), axis=1) > 1e-6 * lengths)
    bad = np.flatnonzero(flat | ~(lengths > 0) | ~np.isfinite(lengths))
    if len(bad):
        _refuse(folder, cameras, int(bad[0]), f"{key} is not a rotation")
    degrees: Floats = np.degrees(rotation_vector(rotation_from_6d(r6)))
    return degrees


def _refuse(folder: Path, cameras: Sequence, at: int, what: str) -> None:
    name = frame_name(int(cameras.frame_ids[at]))
    raise InconsistentData(what, file=shown_name(str(folder / name)), hint=EDITED)
