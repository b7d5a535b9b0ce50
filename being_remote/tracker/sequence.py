"""A folder of `.frame` files -> the cameras of one run, or the reason why they are not one run.

The tracker fits K on its key frames and freezes it, so every file of a run holds the same K and image
size. A run that was tracked in chunks has one K a chunk, and two mixed runs look alike: `read_sequence`
refuses both; `read_cameras` takes K frame by frame and reports what is doubtful. Poses are in the order
of frame_id as a number (as text, 100000 would come before 99999). Nothing is written.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import numpy as np

from being_remote.errors import DataError, InconsistentData, NotFoundError
from being_remote.tracker.camera_blocks import ENTRIES, CameraBlocks
from being_remote.tracker.frame_entries import is_frame_id, parse_stored, shown_name
from being_remote.tracker.frame_file import EDITED, MAX_FRAME_BYTES, image_size_wh, read_bytes
from being_remote.tracker.layout import FRAME_SUFFIX

if TYPE_CHECKING:
    from being_remote.tracker.frame_entries import StoredFrame

    Floats = np.ndarray[Any, np.dtype[np.float64]]


# Files that do not belong to the rest: few of many are left out, more are two runs.
STRAY_SHARE, STRAYS = 0.01, 1
LISTED = 5


@dataclass(frozen=True, eq=False)
class Sequence:
    """The cameras of one run, as tracked: for the crop, not yet for the original video."""

    folder: Path  # of the files
    K: Floats  # (3, 3) float64, corner convention, pixels of the network image; that of the first frame
    K_each: Floats  # (N, 3, 3) of every frame; all alike but for a run with one K a chunk
    R: Floats  # (N, 3, 3) float64, world-to-camera, OpenCV axes
    t: Floats  # (N, 3) float64, metres
    frame_ids: np.ndarray[Any, np.dtype[np.int64]]  # (N,) int64, rising
    files: tuple[str, ...]  # their names in `folder`
    image_size_wh: tuple[int, int]  # of the network image, pixels
    missing_ids: tuple[int, ...]  # ids up to the last one that have no file
    warnings: tuple[str, ...]  # what a person should know; empty for a whole run

    @property
    def stretches(self) -> tuple[tuple[int, int], ...]:
        """First and last frame_id of each stretch of frames with one K; one for a whole run.

        Example:
            >>> K = np.array([np.eye(3), np.eye(3), 2 * np.eye(3)])
            >>> ids, nothing = np.array([0, 1, 7]), np.zeros((3, 3))
            >>> Sequence(Path(), K[0], K, K, nothing, ids, (), (1, 1), (), ()).stretches
            ((0, 1), (7, 7))
        """
        starts = np.flatnonzero(np.r_[True, (self.K_each[1:] != self.K_each[:-1]).any(axis=(1, 2))])
        ends = [*(starts[1:] - 1).tolist(), len(self.frame_ids) - 1]
        return tuple((int(self.frame_ids[a]), int(self.frame_ids[b])) for a, b in zip(starts.tolist(), ends))


def read_sequence(
    folder: Path, each: Callable[[StoredFrame], None] | None = None, names: list[str] | None = None
) -> Sequence:
    """Read every `.frame` of a folder. One file that cannot be read stops the reading and is named.

    Args:
        each: called with each file in the order of frame_id, for what else is read from it.
        names: the files to read, in that order; None: all.

    Raises:
        NotFoundError: the folder is missing or holds no `.frame`.
        UnsafeFile, TornFile: of the first file that cannot be read; see `frame_file.read_frame`.
        InconsistentData: K or the image size changes within the folder (the error names where), a
            file contradicts itself, or two files have one id.
    """
    if names is None:
        names, strays = _names_in_order(folder)
        if strays:
            raise strays[0].error
    found = _read(folder, names, each, None)
    changed = np.flatnonzero((found.K_each != found.K).any(axis=(1, 2)))
    if len(changed):
        at = int(changed[0])
        raise _two_runs(folder, names, at, "K", _in_words(found.K), _in_words(found.K_each[at]))
    return found


def read_cameras(folder: Path) -> Sequence:
    """Read the cameras of a folder that may hold one K a stretch, and a few files of another run.

    A file that is not named by a frame_id is left out, and of the others up to one in a hundred that
    cannot be read, contradict themselves, or have an image size or K of their own. Each is named in
    the warnings.

    Raises:
        NotFoundError: the folder is missing or holds no `.frame`.
        DataError: more files cannot be read, or the run has several image sizes.
    """
    names, strays = _names_in_order(folder)
    if not names:
        raise strays[0].error
    return _read(folder, names, None, strays)


class _ForeignFrame(NamedTuple):
    """A file that is not of the run, and why."""

    name: str
    error: DataError


def _read(
    folder: Path,
    names: list[str],
    each: Callable[[StoredFrame], None] | None,
    strays: list[_ForeignFrame] | None,
) -> Sequence:
    """The cameras of these files; with a list of `strays`, a few may join it, without one none."""
    room = max(STRAYS, int(STRAY_SHARE * len(names))) if strays is not None and len(names) > 2 else 0
    named: list[_ForeignFrame] = strays or []
    left_out: list[_ForeignFrame] = []

    def leave_out(name: str, error: DataError) -> None:
        left_out.append(_ForeignFrame(name, error))
        if len(left_out) > room:
            raise left_out[0].error

    kept, stored = [], []
    for name in names:
        path = os.path.join(folder, name)
        try:
            one = _stored_camera(parse_stored(read_bytes(path, MAX_FRAME_BYTES), path), path, each)
        except DataError as e:
            leave_out(name, e)
        else:
            kept.append(name)
            stored.append(one)
    sizes = [one.size_wh for one in stored]
    usual = max(sizes, key=sizes.count) if strays is not None else sizes[0]
    for at in reversed([i for i, size in enumerate(sizes) if size != usual]):
        first = next(i for i, size in enumerate(sizes) if size != sizes[0])
        what = f"{sizes[first]} (width, height)"
        leave_out(kept[at], _two_runs(folder, kept, first, "img_size", f"{sizes[0]}", what))
        del kept[at], stored[at]
    cameras = CameraBlocks.empty(len(kept))
    for i, one in enumerate(stored):
        cameras.put(i, one.arrays)
    while wrong := cameras.contradiction(usual):
        at, what = wrong
        path = shown_name(os.path.join(folder, kept[at]))
        leave_out(kept[at], InconsistentData(what, file=path, hint=EDITED))
        cameras = cameras.without(at)
        del kept[at], stored[at]
    # In a short run a single frame may be a chunk of its own; that is said, and nothing is left out.
    of_many = int(STRAY_SHARE * len(names)) if strays is not None else 0
    for at in reversed(_of_another_K(cameras.K, of_many - len(left_out))):
        what = f"has another K than the rest, {_in_words(cameras.K[at])}"
        leave_out(kept[at], InconsistentData(what, file=shown_name(os.path.join(folder, kept[at]))))
        cameras = cameras.without(at)
        del kept[at], stored[at]
    ids = np.array([int(name[: -len(FRAME_SUFFIX)]) for name in kept], dtype=np.int64)
    missing = tuple(np.setdiff1d(np.arange(ids[-1] + 1), ids).tolist())
    return Sequence(
        Path(folder),
        cameras.K[0].copy(),
        cameras.K,
        cameras.R,
        cameras.t,
        ids,
        tuple(kept),
        usual,
        missing,
        (
            *_left_out([*named, *left_out]),
            *_gaps(missing, int(ids[-1]) + 1),
            *_leftovers(kept, [one.global_step for one in stored], cameras.K),
            *_foreign([one.notes for one in stored]),
        ),
    )


class _StoredCamera(NamedTuple):
    """What a camera needs of a file; the rest is let go, so that 100 000 files fit into memory."""

    size_wh: tuple[int, int]
    global_step: int | None
    notes: tuple[str, ...]
    arrays: dict[str, np.ndarray[Any, np.dtype[Any]]]


def _stored_camera(
    stored: StoredFrame, path: str, each: Callable[[StoredFrame], None] | None
) -> _StoredCamera:
    size_wh = image_size_wh(stored, shown_name(path))
    arrays = {key: np.array(numbers) for key, numbers in stored.arrays(ENTRIES).items()}
    if each is not None:
        each(stored)
    return _StoredCamera(size_wh, stored.global_step, stored.notes, arrays)


def _of_another_K(K: Floats, room: int) -> list[int]:
    """The frames that hold another K than all others, where there are no more than `room`."""
    if room <= 0:
        return []
    _, which, counts = np.unique(K.reshape(len(K), -1), axis=0, return_inverse=True, return_counts=True)
    others = np.flatnonzero(which.ravel() != int(counts.argmax()))
    return others.tolist() if len(others) <= room else []


def _names_in_order(folder: Path) -> tuple[list[str], list[_ForeignFrame]]:
    """The folder's `.frame` names by their number, and those that have none of their own."""
    shown = shown_name(os.fspath(folder))
    try:
        names = [name for name in os.listdir(folder) if name.endswith(FRAME_SUFFIX)]
    except OSError as e:
        what = f"cannot be listed: {e.strerror}"
        raise NotFoundError(what, where=shown, hint="`sync` downloads the checkpoints") from e
    if not names:
        raise NotFoundError("holds no .frame files", where=shown, hint="`sync` downloads them")
    numbers: dict[int, str] = {}
    strays: list[_ForeignFrame] = []
    # The tracker's own name, of five digits, comes before others of the same number.
    for name in sorted(names, key=lambda n: (len(n) != 5 + len(FRAME_SUFFIX), n)):
        stem = name[: -len(FRAME_SUFFIX)]
        path = shown_name(os.path.join(folder, name))
        if not is_frame_id(stem):
            what, hint = "is not named by a frame_id", "move it out of the folder"
            strays.append(_ForeignFrame(name, InconsistentData(what, file=path, hint=hint)))
            continue
        twin = numbers.setdefault(int(stem), name)
        if twin != name:
            what, hint = f"has the same id as {twin}", "move one of them out"
            strays.append(_ForeignFrame(name, InconsistentData(what, file=path, hint=hint)))
    return [numbers[n] for n in sorted(numbers)], strays


def _two_runs(folder: Path, names: list[str], at: int, what: str, first: str, then: str) -> InconsistentData:
    return InconsistentData(
        f"{what} changes at {names[at]}: {names[0]} to {names[at - 1]} have {first}, {names[at]} has {then}",
        file=shown_name(os.fspath(folder)),
        hint="these are two runs in one folder; keep one of them there",
    )


def _left_out(strays: list[_ForeignFrame]) -> Iterator[str]:
    for name, error in strays[:LISTED]:
        yield f"{shown_name(name)} is left out: {error.what}"
    if strays[LISTED:]:
        yield f"{len(strays) - LISTED} more files are left out"


def _foreign(notes: list[tuple[str, ...]]) -> tuple[str, ...]:
    """How the files differ from the tracker's form, each difference once."""
    counts = Counter(note for one in notes for note in dict.fromkeys(one))
    every = [note for note, count in counts.items() if count == len(notes)]
    some = [f"{note} (in {count} of {len(notes)})" for note, count in counts.items() if count < len(notes)]
    if not counts:
        return ()
    ways = [*every, *some]
    listed = "; ".join(ways[:LISTED]) + (f"; and {len(ways) - LISTED} more" if ways[LISTED:] else "")
    return (f"the .frame files are not of metrical-tracker's own form: {listed}",)


def _gaps(missing: tuple[int, ...], expected: int) -> tuple[str, ...]:
    if not missing:
        return ()
    listed = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
    return (f"{len(missing)} of {expected} frames have no file: {listed}",)


def _leftovers(names: list[str], steps: list[int | None], K: Floats) -> tuple[str, ...]:
    # The step only rises while a video is tracked, in each chunk with a K of its own. Poses that the
    # key-frame stage (or an earlier run) left under the same names come from a smaller one.
    for i in range(1, len(names)):
        before, step = steps[i - 1], steps[i]
        if before is not None and step is not None and step < before and (K[i] == K[i - 1]).all():
            return (
                f"{names[i]} was written before {names[i - 1]} (step {step} after {before}):"
                " from there on poses may be left over from the key-frame stage or another run",
            )
    return ()


def _in_words(K: Floats) -> str:
    return f"f {K[0, 0]:.5f}, c {K[0, 2]:.5f} {K[1, 2]:.5f}"
