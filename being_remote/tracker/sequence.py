"""A folder of `.frame` files -> the cameras of one run, or the reason why they are not one run.

The tracker fits K on its key frames and freezes it, so every file of a run holds the very same K
and image size; two of them mean that two runs are mixed. Poses are read in the order of frame_id
as a number (as text, 100000 would come before 99999). Nothing is written, nothing is skipped: one
file that cannot be read stops the reading and is named.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from being_remote.errors import InconsistentData, NotFoundError
from being_remote.tracker.camera_blocks import CameraBlocks
from being_remote.tracker.frame_file import EDITED, MAX_FRAME_BYTES, image_size_wh, read_bytes
from being_remote.tracker.stored import is_frame_id, parse_stored, shown_name

if TYPE_CHECKING:
    from being_remote.tracker.stored import Stored

SUFFIX = ".frame"


@dataclass(frozen=True, eq=False)
class Sequence:
    """The cameras of one run, as tracked: for the crop, not yet for the original video.

    Attributes:
        folder: where they were read.
        K: (3, 3) float64, corner convention, pixels of the network image; the same in every file.
        R: (N, 3, 3) float64, world-to-camera, OpenCV axes.
        t: (N, 3) float64, metres.
        frame_ids: (N,) int64, rising.
        image_size_wh: of the network image, pixels.
        missing_ids: ids between the first and the last that have no file, and those before the first.
        warnings: what a person should know; empty for a whole run.
    """

    folder: Path
    K: np.ndarray[Any, np.dtype[np.float64]]
    R: np.ndarray[Any, np.dtype[np.float64]]
    t: np.ndarray[Any, np.dtype[np.float64]]
    frame_ids: np.ndarray[Any, np.dtype[np.int64]]
    image_size_wh: tuple[int, int]
    missing_ids: tuple[int, ...]
    warnings: tuple[str, ...]


def read_sequence(folder: Path, each: Callable[[Stored], None] | None = None) -> Sequence:
    """Read every `.frame` of a folder.

    Args:
        folder: of the `.frame` files.
        each: called with each file in the order of frame_id, for what else is wanted of it.

    Raises:
        NotFoundError: the folder is not there or holds no `.frame`.
        UnsafeFile, TornFile: of the first file that cannot be read; see `frame_file.read_frame`.
        InconsistentData: K or the image size changes within the folder (the error names where), a
            file contradicts itself, or two files have one id.
    """
    names = _names_in_order(folder)
    ids = np.array([int(name[: -len(SUFFIX)]) for name in names], dtype=np.int64)
    cameras = CameraBlocks.empty(len(names))
    sizes: list[tuple[int, int]] = []
    steps: list[int] = []
    for i, name in enumerate(names):
        path = os.path.join(folder, name)
        stored = parse_stored(read_bytes(path, MAX_FRAME_BYTES), path)
        sizes.append(image_size_wh(stored, shown_name(path)))
        steps.append(stored.global_step)
        cameras.put(i, stored)
        if each is not None:
            each(stored)
        if sizes[i] != sizes[0]:
            _two_runs(folder, names, i, "img_size", f"{sizes[0]}", f"{sizes[i]} (width, height)")
    wrong = cameras.contradiction(sizes[0])
    if wrong:
        at, what = wrong
        raise InconsistentData(what, file=shown_name(os.path.join(folder, names[at])), hint=EDITED)
    K = cameras.K[0].copy()
    changed = np.flatnonzero((K != cameras.K).any(axis=(1, 2)))
    if len(changed):
        at = int(changed[0])
        _two_runs(folder, names, at, "K", _in_words(K), _in_words(cameras.K[at]))
    missing = tuple(np.setdiff1d(np.arange(ids[-1] + 1), ids).tolist())
    warnings = (*_gaps(missing, int(ids[-1]) + 1), *_leftovers(names, steps))
    return Sequence(Path(folder), K, cameras.R, cameras.t, ids, sizes[0], missing, warnings)


def _names_in_order(folder: Path) -> list[str]:
    """The folder's `.frame` names by their number; other files do not matter."""
    shown = shown_name(os.fspath(folder))
    try:
        names = [name for name in os.listdir(folder) if name.endswith(SUFFIX)]
    except OSError as e:
        what = f"cannot be listed: {e.strerror}"
        raise NotFoundError(what, where=shown, hint="`sync` brings the checkpoints home") from e
    if not names:
        raise NotFoundError("holds no .frame file", where=shown, hint="`sync` brings them home")
    numbers: dict[int, str] = {}
    for name in names:
        stem = name[: -len(SUFFIX)]
        path = shown_name(os.path.join(folder, name))
        if not is_frame_id(stem):
            raise InconsistentData("is named by no frame_id", file=path, hint="move it out of the folder")
        twin = numbers.setdefault(int(stem), name)
        if twin != name:
            raise InconsistentData(f"has the same id as {twin}", file=path, hint="move one of them out")
    return [numbers[n] for n in sorted(numbers)]


def _two_runs(folder: Path, names: list[str], at: int, what: str, first: str, then: str) -> None:
    raise InconsistentData(
        f"{what} changes at {names[at]}: {names[0]} to {names[at - 1]} have {first}, {names[at]} has {then}",
        file=shown_name(os.fspath(folder)),
        hint="these are two runs in one folder; keep one of them there",
    )


def _gaps(missing: tuple[int, ...], expected: int) -> tuple[str, ...]:
    if not missing:
        return ()
    listed = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
    return (f"{len(missing)} of {expected} frames have no file: {listed}",)


def _leftovers(names: list[str], steps: list[int]) -> tuple[str, ...]:
    # The step only rises while a video is tracked. Poses that the key-frame stage (or an earlier
    # run) left under the same names come from a smaller one.
    for i in range(1, len(names)):
        if steps[i] < steps[i - 1]:
            return (
                f"{names[i]} was written before {names[i - 1]} (step {steps[i]} after {steps[i - 1]}):"
                " from there on poses may be left over from the key-frame stage or another run",
            )
    return ()


def _in_words(K: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    return f"f {K[0, 0]:.5f}, c {K[0, 2]:.5f} {K[1, 2]:.5f}"
