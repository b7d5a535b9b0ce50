"""What the history holds, snapshot by snapshot, and what it costs. Looks only; needs no lock."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from being_remote.backup import live_tree as current
from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.errors import InconsistentData
from being_remote.transfer.stored_file import StoredFile


@dataclass(frozen=True)
class SnapshotChange:
    """How many files one snapshot has that another had not, has changed, and has no more."""

    added: int
    changed: int
    dropped: int


@dataclass(frozen=True)
class Snapshot:
    """One snapshot: why it was made, of which host's files, and how it differs from the one before.

    Attributes:
        created: UTC, ISO 8601.
        of: the snapshot that a restored one shows again.
        live: the live tree shows it.
    """

    generation: int
    created: str
    why: str
    of: int | None
    host: str | None
    files: int
    bytes: int
    change: SnapshotChange
    live: bool


@dataclass(frozen=True)
class HistorySummary:
    """All snapshots, oldest first, and the disk that they take.

    Attributes:
        unreadable: damaged manifests.
        unsaved: live files that were put, changed or removed by hand since; the next sync looks after them.
        history_bytes: all below `.history`.
        old_bytes: contents that only snapshots need which are not live.
        orphan_bytes: contents that no snapshot names.
    """

    snapshots: tuple[Snapshot, ...]
    unreadable: tuple[Path, ...]
    unsaved: int
    history_bytes: int
    old_bytes: int
    orphan_bytes: int


def survey(history: History) -> HistorySummary:
    """Read every manifest, at most two at a time.

    Raises:
        InconsistentData: a link or a special lies in the live tree.
    """
    shown, unreadable = history.shown(), list[Path]()
    unsaved = _unsaved(history, shown)
    rows, named, needed = _told(history, shown, unreadable)
    old_bytes, orphan_bytes = 0, 0
    for name, size in history.contents():
        if name not in named:
            orphan_bytes += size
        elif name not in needed:
            old_bytes += size
    return HistorySummary(
        snapshots=tuple(rows),
        unreadable=tuple(unreadable),
        unsaved=unsaved,
        history_bytes=_bytes_below(history.history_folder),
        old_bytes=old_bytes,
        orphan_bytes=orphan_bytes,
    )


def _told(
    history: History, shown: int | None, unreadable: list[Path]
) -> tuple[list[Snapshot], set[str], set[str]]:
    """A row for each snapshot, the contents that any of them names, and those that the live one needs."""
    rows, named, needed = [], set[str](), set[str]()
    before: Mapping[str, StoredFile] = {}
    for number in history.snapshot_numbers():
        made = _readable(history, number, unreadable)
        if made is None:
            continue
        rows.append(_row(made, before, live=number == shown))
        named.update(entry.sha256 for entry in made.files.values())
        if number == shown:
            needed = {entry.sha256 for entry in made.files.values()}
        before = made.files
    return rows, named, needed


def _readable(history: History, number: int, unreadable: list[Path]) -> Manifest | None:
    """One snapshot; None, and its file noted, where it is damaged."""
    try:
        return history.read(number)
    except FileNotFoundError:
        return None  # a watch at work has just made one of this and the next
    except InconsistentData as e:
        unreadable.append(Path(e.file))
        return None


def change(before: Mapping[str, StoredFile], after: Mapping[str, StoredFile]) -> SnapshotChange:
    """What it takes from one set of files to another; a file that was only touched has not changed."""
    both = [path for path in after if path in before]
    changed = sum(before[path].sha256 != after[path].sha256 for path in both)
    return SnapshotChange(len(after) - len(both), changed, len(before) - len(both))


def _row(made: Manifest, before: Mapping[str, StoredFile], *, live: bool) -> Snapshot:
    size = sum(entry.bytes for entry in made.files.values())
    return Snapshot(
        made.number,
        made.created,
        made.why,
        made.of,
        made.host,
        len(made.files),
        size,
        change(before, made.files),
        live,
    )


def _unsaved(history: History, shown: int | None) -> int:
    """By size and time, as a sync would look first."""
    live = _readable(history, shown, []) if shown is not None else None
    files = live.files if live is not None else {}
    found = current.scan(history.root)
    changed = sum(path not in files or not files[path].looks_like(at) for path, at in found.items())
    return changed + sum(path not in found for path in files)


def _bytes_below(folder: os.DirEntry[str] | Path) -> int:
    """The bytes of all files below a folder, which may change meanwhile."""
    total = 0
    with os.scandir(folder) as found:
        for entry in found:
            try:
                if entry.is_dir(follow_symlinks=False):
                    total += _bytes_below(entry)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue
    return total
