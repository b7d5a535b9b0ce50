"""All that any snapshot names is read again: what rotted is named, repaired where it can be, set aside.

A rotten content is repaired from a live file that still has the right bytes, never linked with it.
What stays lost is left out of a new snapshot, so that whoever plans next sees it as news: the host
that still has these bytes repairs every snapshot that names them, since contents lie by their hash.
Reads the live tree for repairs only; `settle(deep=True)` is what judges it, and comes afterwards.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from being_remote.backup import live_tree as current
from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.backup.objects import faults
from being_remote.durable_files import Stat, copy_apart, sync_files
from being_remote.errors import InconsistentData
from being_remote.session import OnProgress
from being_remote.transfer.checked_files import Fault, find_fault, find_faults, hash_of
from being_remote.transfer.quarantine import quarantine_file


@dataclass(frozen=True)
class CorruptObject:
    """One content that was rotten or missing.

    Attributes:
        sha256, bytes: what it should be.
        paths: the files that have this content, in any snapshot.
        snapshots: those that name it, oldest first.
        fault: "rotten" or "missing".
        repaired_from: the live file whose copy has its place now; None when it is lost here.
        kept_as: where the rotten bytes lie in quarantine, with a note.
    """

    sha256: str
    bytes: int
    paths: tuple[str, ...]
    snapshots: tuple[int, ...]
    fault: Fault
    repaired_from: Path | None = None
    kept_as: Path | None = None


@dataclass(frozen=True)
class VerifyResult:
    """What reading everything again came to.

    How to go on: `scrub` first, `settle(deep=True)` next (what it puts back was just read), then list,
    plan and fetch as ever. Nothing more is needed for the pod to repair: paths of the newest snapshot
    whose content is lost are in `left_out`, and a snapshot without them is the newest now. So a
    plan finds them to be news, and what is fetched takes its place in the history by its hash. A rot
    of `lost` is mended when `history.object(rot.sha256)` exists after the fetch.

    Attributes:
        objects, bytes: how many contents were read, and their size.
        repaired, lost: rot that was made good here, and rot that was not.
        left_out: paths of the newest snapshot whose content is lost.
        unreadable: damaged manifests; what only they name was not read.
        orphans, orphan_bytes: contents that no readable manifest names; no error. `--prune` removes them.
    """

    objects: int
    bytes: int
    repaired: tuple[CorruptObject, ...] = ()
    lost: tuple[CorruptObject, ...] = ()
    left_out: tuple[str, ...] = ()
    unreadable: tuple[Path, ...] = ()
    orphans: int = 0
    orphan_bytes: int = 0

    @property
    def rots(self) -> tuple[CorruptObject, ...]:
        """All that was wrong."""
        return (*self.repaired, *self.lost)


@dataclass(frozen=True)
class Inspection:
    """What reading everything again came to where nothing may be changed.

    Attributes:
        rots: contents that are rotten or missing; none of them is repaired.
        unreadable: as of `VerifyResult`.
        sound: live files with the bytes that they had when they came home.
        rotten: live files with other bytes than their size and time promise.
    """

    rots: tuple[CorruptObject, ...] = ()
    unreadable: tuple[Path, ...] = ()
    sound: frozenset[str] = frozenset()
    rotten: tuple[str, ...] = ()


def inspect(history: History, newest: Manifest, on_progress: OnProgress) -> Inspection:
    """Read all contents and the live tree again, and leave all as it is.

    Without the lock: what somebody else removes or rewrites meanwhile is no rot.

    Args:
        history: the backup.
        newest: its newest snapshot.
        on_progress: told how far it is.

    Raises:
        InconsistentData: a link or a special lies in the live tree.
    """
    sizes, unreadable = _named(history)
    rots = _rots(history, faults(history, sorted(sizes), on_progress), sizes)
    files = newest.files
    alike = [p for p, at in current.scan(history.root).items() if p in files and files[p].looks_like(at)]
    wrong = find_faults(
        alike, lambda path: (history.root / path, files[path].sha256), "reading the live tree", on_progress
    )
    still = current.scan(history.root) if wrong else {}
    rotten = tuple(path for path in wrong if path in still and files[path].looks_like(still[path]))
    named = tuple(rot for rot in rots if rot.snapshots)
    return Inspection(named, unreadable, frozenset(alike).difference(wrong), rotten)


def scrub(history: History, on_progress: OnProgress) -> VerifyResult:
    """Read all contents again, and repair what can be. The caller holds the lock.

    Args:
        history: the backup.
        on_progress: told how far it is.

    Raises:
        InconsistentData: a link or a special lies in the live tree.
    """
    sizes, unreadable = _named(history)
    wrong = faults(history, sorted(sizes), on_progress)
    rots = _rots(history, wrong, sizes)
    if rots:
        found = current.scan(history.root)
        rots = [_mended(history, rot, found) for rot in rots]
    lost = tuple(rot for rot in rots if rot.repaired_from is None)
    left_out = _left_out(history, {rot.sha256 for rot in lost}) if lost else ()
    orphans = [size for name, size in history.contents() if name not in sizes]
    return VerifyResult(
        objects=len(sizes),
        bytes=sum(sizes.values()),
        repaired=tuple(rot for rot in rots if rot.repaired_from is not None),
        lost=lost,
        left_out=left_out,
        unreadable=unreadable,
        orphans=len(orphans),
        orphan_bytes=sum(orphans),
    )


def _named(history: History) -> tuple[dict[str, int], tuple[Path, ...]]:
    """Every content that a snapshot names, with its size; and the manifests that cannot be read.

    One snapshot at a time: a hundred of them do not fit into the memory.
    """
    sizes: dict[str, int] = {}
    unreadable = []
    for number in history.snapshot_numbers():
        try:
            files = history.read(number).files
        except FileNotFoundError:
            continue  # pruned meanwhile, while nobody holds the lock
        except InconsistentData as e:
            unreadable.append(Path(e.file))
            continue
        sizes |= {entry.sha256: entry.bytes for entry in files.values()}
    return sizes, tuple(unreadable)


def _rots(history: History, wrong: Mapping[str, Fault], sizes: Mapping[str, int]) -> list[CorruptObject]:
    """Where each wrong content belongs; the manifests are only read again when something is wrong."""
    paths: dict[str, dict[str, None]] = {sha256: {} for sha256 in wrong}
    snapshots: dict[str, list[int]] = {sha256: [] for sha256 in wrong}
    for number in history.snapshot_numbers() if wrong else ():
        try:
            files = history.read(number).files
        except (FileNotFoundError, InconsistentData):
            continue  # pruned meanwhile, or named already
        for path, entry in files.items():
            if entry.sha256 in wrong:
                paths[entry.sha256][path] = None
                if snapshots[entry.sha256][-1:] != [number]:
                    snapshots[entry.sha256].append(number)
    return [CorruptObject(s, sizes[s], tuple(paths[s]), tuple(snapshots[s]), wrong[s]) for s in wrong]


def _mended(history: History, rot: CorruptObject, found: Mapping[str, Stat]) -> CorruptObject:
    """Put rotten bytes into quarantine, and a copy of a good live file into their place."""
    kept_as = None
    if rot.fault == "rotten":
        kept_as = _quarantined(history, history.object(rot.sha256), rot.paths[0])
    source = _good_copy(history, rot, found)
    if source is not None:
        history.keep([(history.scratch, rot.sha256)])
    return replace(rot, repaired_from=source, kept_as=kept_as)


def _good_copy(history: History, rot: CorruptObject, found: Mapping[str, Stat]) -> Path | None:
    """Copy a live file that has the right bytes to `scratch`, durably, and name it. The copy is read."""
    for path in rot.paths:
        if path in found and found[path].st_size == rot.bytes:
            copy_apart(history.root / path, history.scratch)
            if find_fault(history.scratch, rot.sha256) is None:
                sync_files(history.root, [history.scratch])
                return history.root / path
    return None


def _left_out(history: History, lost: Collection[str]) -> tuple[str, ...]:
    """Make a snapshot without the live files whose content is lost; none where there are none.

    A live file that looks like a lost one has rotted as well: else a plan would believe its size and time.
    """
    try:
        newest = history.newest()
    except InconsistentData:
        return ()  # named already
    files = newest.files if newest is not None else {}
    gone = {path: entry for path, entry in files.items() if entry.sha256 in lost}
    if newest is None or not gone:
        return ()
    found = current.scan(history.root)
    for path, entry in gone.items():
        if path in found and entry.looks_like(found[path]):
            _quarantined(history, history.root / path, path)
    kept = {path: entry for path, entry in files.items() if path not in gone}
    history.commit(kept, why="verified", host=newest.host, incarnation=newest.incarnation)
    return tuple(gone)


def _quarantined(history: History, file: Path, path: str) -> Path | None:
    """Move bytes that are not what they were into quarantine.

    Without a time, or the host's good file would be taken for the one that was set aside.
    """
    plain = stat.S_ISREG(file.lstat().st_mode)
    aside = quarantine_file(
        history,
        file,
        path=path,
        sha256=hash_of(file) if plain else "",
        bytes=file.lstat().st_size,
        mtime_ns=0,
        reason="it rotted here: its bytes are not those that came home",
    )
    return aside.kept_as
