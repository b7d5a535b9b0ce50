"""Read again all that any snapshot names; name what is corrupt, repair what can be, quarantine the rest.

A corrupt content is repaired from a live file that still has the right bytes, as a copy. What stays lost is
left out of a new snapshot, so that the next plan finds it missing: a host that still has these bytes repairs
every snapshot that names them, since contents are stored by their hash. Reads the live tree for repairs only;
`settle(deep=True)`, which comes afterwards, checks it.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from being_remote.backup.history import History
from being_remote.backup.live_tree import scan
from being_remote.backup.manifest import Manifest
from being_remote.durable_files import Stat, copy_apart, sync_files
from being_remote.errors import InconsistentData
from being_remote.session import OnProgress
from being_remote.transfer.checked_files import CheckedFile, Fault, find_fault, find_faults, hash_of
from being_remote.transfer.quarantine import CORRUPT, quarantine_of


@dataclass(frozen=True)
class CorruptObject:
    """One content that is corrupt or missing.

    Attributes:
        sha256, bytes: what it should be.
        paths: the files that have this content, in any of `snapshots`, which are those that name it.
        repaired_from: the live file whose copy replaces it now; None: lost here.
        kept_as: where the corrupt bytes are quarantined.
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
    """What a scrub found.

    After it comes `settle(deep=True)`, then listing, plan and download as usual: paths whose content is lost
    are in `left_out`, so the plan finds them missing, and what is downloaded repairs the history by its hash.

    Attributes:
        objects, bytes: how many contents were read, and their size.
        left_out: paths of the newest snapshot whose content is lost.
        unreadable: corrupt manifests; what only they name was not read.
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
    def corrupt(self) -> tuple[CorruptObject, ...]:
        return (*self.repaired, *self.lost)


@dataclass(frozen=True)
class Inspection:
    """What reading everything again found where nothing may be changed.

    Attributes:
        sound: live files with the bytes that were downloaded.
        corrupt_files: live files with other bytes than their size and time promise.
    """

    corrupt: tuple[CorruptObject, ...] = ()
    unreadable: tuple[Path, ...] = ()
    sound: frozenset[str] = frozenset()
    corrupt_files: tuple[str, ...] = ()


def inspect(history: History, newest: Manifest, on_progress: OnProgress) -> Inspection:
    """Read all contents and the live tree again, and change nothing.

    Without the lock: what another process removes or rewrites meanwhile is not corrupt.

    Raises:
        InconsistentData: a link or a special lies in the live tree.
    """
    sizes, unreadable = _content_sizes(history)
    corrupt = _describe_faults(history, find_corrupt(history, sorted(sizes), on_progress), sizes)
    files = newest.files
    alike = [p for p, found in scan(history.root).items() if p in files and files[p].looks_like(found)]
    wrong = find_faults(
        alike, lambda path: (history.root / path, files[path].sha256), "reading the live tree", on_progress
    )
    still = scan(history.root) if wrong else {}
    corrupt_files = tuple(path for path in wrong if path in still and files[path].looks_like(still[path]))
    named = tuple(content for content in corrupt if content.snapshots)
    return Inspection(named, unreadable, frozenset(alike).difference(wrong), corrupt_files)


def scrub(history: History, on_progress: OnProgress) -> VerifyResult:
    """Read all contents again, and repair what can be. The caller holds the lock.

    Raises:
        InconsistentData: a link or a special lies in the live tree.
    """
    sizes, unreadable = _content_sizes(history)
    corrupt = _describe_faults(history, find_corrupt(history, sorted(sizes), on_progress), sizes)
    if corrupt:
        found = scan(history.root)
        corrupt = [_repair(history, content, found) for content in corrupt]
    lost = tuple(content for content in corrupt if content.repaired_from is None)
    left_out = _leave_out(history, {content.sha256 for content in lost}) if lost else ()
    orphans = [size for name, size in history.contents() if name not in sizes]
    return VerifyResult(
        objects=len(sizes),
        bytes=sum(sizes.values()),
        repaired=tuple(content for content in corrupt if content.repaired_from is not None),
        lost=lost,
        left_out=left_out,
        unreadable=unreadable,
        orphans=len(orphans),
        orphan_bytes=sum(orphans),
    )


def find_corrupt(history: History, contents: Sequence[str], on_progress: OnProgress) -> Mapping[str, Fault]:
    """Read contents of the history (sha256) again; those that are not what they should be."""
    return find_faults(
        contents, lambda sha256: (history.object(sha256), sha256), "reading the history", on_progress
    )


def _content_sizes(history: History) -> tuple[dict[str, int], tuple[Path, ...]]:
    """The size of every content that a snapshot names, and the corrupt manifests."""
    sizes, unreadable = dict[str, int](), list[Path]()
    for manifest in history.readable(unreadable, oldest_first=True):
        sizes |= {entry.sha256: entry.bytes for entry in manifest.files.values()}
    return sizes, tuple(unreadable)


def _describe_faults(
    history: History, wrong: Mapping[str, Fault], sizes: Mapping[str, int]
) -> list[CorruptObject]:
    """Where each corrupt content belongs, by its newest path; the manifests are read again only for one."""
    paths: dict[str, dict[str, None]] = {sha256: {} for sha256 in wrong}
    snapshots: dict[str, dict[int, None]] = {sha256: {} for sha256 in wrong}
    for manifest in history.readable(oldest_first=True) if wrong else ():
        for path, entry in manifest.files.items():
            if entry.sha256 in wrong:
                paths[entry.sha256][path] = None
                snapshots[entry.sha256][manifest.number] = None
    found = (CorruptObject(s, sizes[s], tuple(paths[s]), tuple(snapshots[s]), wrong[s]) for s in wrong)
    return sorted(found, key=lambda content: (content.paths[-1:], content.sha256))


def _repair(history: History, content: CorruptObject, found: Mapping[str, Stat]) -> CorruptObject:
    """Quarantine corrupt bytes, and replace them by a copy of a live file with the right ones."""
    kept_as = None
    if content.fault == "rotten":
        kept_as = _quarantine(history, history.object(content.sha256), content.paths[0])
    source = _copy_good_file(history, content, found)
    if source is not None:
        history.keep([(history.scratch, content.sha256)])
    return replace(content, repaired_from=source, kept_as=kept_as)


def _copy_good_file(history: History, content: CorruptObject, found: Mapping[str, Stat]) -> Path | None:
    """Copy a live file with the right bytes to `scratch`, durably; the copy is what is verified."""
    for path in content.paths:
        if path in found and found[path].st_size == content.bytes:
            copy_apart(history.root / path, history.scratch)
            if find_fault(history.scratch, content.sha256) is None:
                sync_files(history.root, [history.scratch])
                return history.root / path
    return None


def _leave_out(history: History, lost: Collection[str]) -> tuple[str, ...]:
    """Make a snapshot without the live files whose content is lost; none where there are no such files.

    A live file that looks like a lost one is corrupt as well: else a plan would trust its size and time.
    """
    try:
        newest = history.newest()
    except InconsistentData:
        return ()  # reported already
    files = newest.files if newest is not None else {}
    missing = {path: entry for path, entry in files.items() if entry.sha256 in lost}
    if newest is None or not missing:
        return ()
    found = scan(history.root)
    for path, entry in missing.items():
        if path in found and entry.looks_like(found[path]):
            _quarantine(history, history.root / path, path)
    kept = {path: entry for path, entry in files.items() if path not in missing}
    history.commit(kept, why="verified", host=newest.host, incarnation=newest.incarnation)
    return tuple(missing)


def _quarantine(history: History, file: Path, path: str) -> Path | None:
    """Quarantine corrupt bytes.

    Without a time, or the host's good file would be taken for the quarantined one.
    """
    found = file.lstat()
    sha256 = hash_of(file) if stat.S_ISREG(found.st_mode) else ""
    seen = CheckedFile(path, file, sha256, found.st_size, 0, judged=False, error=None)
    return quarantine_of(history).keep(seen, 0, reason=CORRUPT).kept_as
