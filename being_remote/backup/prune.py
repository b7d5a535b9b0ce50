"""Remove old snapshots, and the contents that only they need: mark, then sweep.

Manifests go first, each durably, contents afterwards: killed anywhere, no manifest names a missing content,
and the next prune removes what is left. The live tree and the quarantine are not touched. A corrupt manifest
stays, and with it all that it seems to name. Rounds of a watch that only add files make one snapshot: else an
hour would leave 700 of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from being_remote.backup.history import History
from being_remote.backup.live_tree import count_frames
from being_remote.backup.manifest import Manifest, contents_in
from being_remote.errors import InconsistentData, UsageError
from being_remote.transfer.checked_files import StoredFile, hash_of

_CONTENT = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Pruning:
    """What is removed and what stays.

    Attributes:
        contents: what no kept snapshot names, by sha256.
        bytes: what removing them frees, manifests aside.
        damaged: corrupt manifests.
    """

    kept: tuple[int, ...]
    removed: tuple[int, ...]
    contents: tuple[str, ...]
    bytes: int
    damaged: tuple[Path, ...] = ()


def plan_pruning(history: History, keep: int, *, force: bool = False) -> Pruning:
    """Mark all but the newest `keep` snapshots, and never what is live or newer.

    Contents that no snapshot names stay while a manifest is corrupt, and after a killed sync (`fetching` is
    there), which may have downloaded them last.

    Raises:
        UsageError: `keep` is less than 1.
        InconsistentData: without `force`: the newest holds under half of the frames of one that is removed.
    """
    if keep < 1:
        raise UsageError("at least one snapshot must be kept", where="--prune", hint="e.g. --prune keep=5")
    shown, damaged = history.shown(), list[Path]()
    kept, removed, frames = list[int](), list[int](), dict[int, int]()
    needed, old = set[str](), set[str]()
    for manifest in history.readable(damaged):
        # An interrupted refresh needs all from the one that the live tree still shows.
        stays = len(kept) < keep or shown is None or manifest.number >= shown
        (kept if stays else removed).append(manifest.number)
        (needed if stays else old).update(entry.sha256 for entry in manifest.files.values())
        frames[manifest.number] = count_frames(manifest.files)
    richest = max(removed, key=lambda n: frames[n], default=None)
    if not force and richest is not None and 2 * frames[kept[0]] < frames[richest]:
        raise InconsistentData(
            f"frames: {frames[richest]} in snapshot {richest}, {frames[kept[0]]} in the newest one;"
            " nothing was removed",
            file=str(history.root),
            hint=f"`sync --restore {richest}` makes the fuller one live again; add --force to remove it",
        )
    for path in damaged:
        needed |= contents_in(path)
    only_old = bool(damaged) or history.fetching.exists()
    contents = {
        name: size
        for name, size in history.contents()
        if name not in needed and _CONTENT.fullmatch(name) and (name in old or not only_old)
    }
    kept, removed = sorted(kept), sorted(removed)
    return Pruning(tuple(kept), tuple(removed), tuple(contents), sum(contents.values()), tuple(damaged))


def prune(history: History, pruning: Pruning) -> None:
    """Carry it out. The caller has held the lock since `plan_pruning`."""
    for number in pruning.removed:
        history.remove(number)
    for sha256 in pruning.contents:
        history.object(sha256).unlink()


def merge_snapshots(history: History, earlier: Manifest, later: Manifest) -> bool:
    """Remove snapshot `earlier` if `later`, which is live, has all its contents. The caller holds the lock.

    A file that only grew at its end, as a log does, counts as having them; its earlier content is removed,
    or a log that grows all day would be kept once for each round. Killed before `later` is live, one snapshot
    more than needed stays.

    Returns:
        Whether it was removed. It stays if another file changed or was dropped, if either replaced the live
        tree as a whole, or if they are of different hosts or starts of a host.
    """
    if later.number != earlier.number + 1 or history.shown() != later.number:
        return False
    if earlier.why != "sync" or later.why != "sync" or earlier.new_tree or later.new_tree:
        return False
    if (earlier.host, earlier.incarnation) != (later.host, later.incarnation):
        return False
    if not all(_contains(history, later.files.get(path), was) for path, was in earlier.files.items()):
        return False
    grown = [e.sha256 for path, e in earlier.files.items() if later.files[path].sha256 != e.sha256]
    history.remove(earlier.number)
    if grown:
        history.drop(grown)
    return True


def _contains(history: History, now: StoredFile | None, was: StoredFile) -> bool:
    """Whether a file begins with all bytes of its earlier version."""
    if now is None or now.bytes < was.bytes:
        return False
    return now.sha256 == was.sha256 or hash_of(history.object(now.sha256), was.bytes) == was.sha256
