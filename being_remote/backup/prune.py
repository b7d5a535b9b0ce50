"""Old generations removed, and the contents that only they needed: mark, then sweep.

Manifests go first, each durably, contents afterwards: killed anywhere, no manifest names a content that
is gone. What a killed prune left is swept by the next one. The live tree and the quarantine are not
touched. Refuses to remove a snapshot with more than twice the frames of the newest one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from being_remote.backup.current import count_frames
from being_remote.backup.history import History
from being_remote.errors import InconsistentData, UsageError

_CONTENT = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Pruning:
    """What goes and what stays.

    Attributes:
        kept, removed: generations, oldest first.
        contents: what no kept generation names, by sha256.
        bytes: what that frees, manifests aside.
    """

    kept: tuple[int, ...]
    removed: tuple[int, ...]
    contents: tuple[str, ...]
    bytes: int


def marked(history: History, keep: int, *, force: bool = False) -> Pruning:
    """Decide what goes: all but the newest `keep` generations, and never what is live or newer.

    While a killed sync waits to be taken up (`fetching` is there), contents in no generation at all may
    be what it had brought home last; they stay.

    Args:
        history: the backup.
        keep: how many generations to keep.
        force: also where the newest one holds under half of the frames of one that goes.

    Raises:
        UsageError: `keep` is less than 1.
        InconsistentData: a manifest is damaged, so nobody knows what it needs; or, without `force`, the
            newest generation holds under half of the frames of one that would go.
    """
    if keep < 1:
        raise UsageError("at least one generation is kept", where="--prune", hint="e.g. --prune keep=5")
    numbers, shown = history.generations(), history.shown()
    # A refresh that was cut short needs all from the one that the live tree still shows.
    live = numbers[0] if shown is None and numbers else shown
    kept = [n for n in numbers if n in numbers[-keep:] or (live is not None and n >= live)]
    removed = [n for n in numbers if n not in kept]
    (needed, left), (old, gone) = _named(history, kept), _named(history, removed)
    richest = max(gone, key=lambda n: gone[n], default=None)
    newest = left[kept[-1]] if kept and kept[-1] in left else 0
    if not force and richest is not None and 2 * newest < gone[richest]:
        raise InconsistentData(
            f"frames: {gone[richest]} in snapshot {richest}, {newest} in the newest one; nothing was removed",
            file=str(history.root),
            hint=f"`sync --restore {richest}` makes the fuller one live again; add --force to remove it",
        )
    spare = history.fetching.exists()
    contents = {
        name: size
        for name, size in history.contents()
        if name not in needed and _CONTENT.fullmatch(name) and (name in old or not spare)
    }
    return Pruning(tuple(kept), tuple(removed), tuple(contents), sum(contents.values()))


def prune(history: History, pruning: Pruning) -> None:
    """Carry it out. The caller has held the lock since it was `marked`."""
    for generation in pruning.removed:
        history.remove(generation)
    for sha256 in pruning.contents:
        history.object(sha256).unlink()


def _named(history: History, generations: list[int]) -> tuple[set[str], dict[int, int]]:
    """What these generations name, and how many frames each of them has."""
    named, frames = set[str](), dict[int, int]()
    for generation in generations:
        try:
            files = history.read(generation).files
        except FileNotFoundError:
            # Where only looked at, without the lock, a watch may just have put the next one in its place.
            continue
        named.update(entry.sha256 for entry in files.values())
        frames[generation] = count_frames(files)
    return named, frames
