"""The snapshots of a backup, and the disk that they take. Looks only; needs no lock."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from being_remote.backup.history import History
from being_remote.backup.live_tree import scan
from being_remote.transfer.checked_files import StoredFile


@dataclass(frozen=True)
class SnapshotChange:
    """How many files a snapshot has more than another, has changed, and lacks."""

    added: int
    changed: int
    dropped: int


@dataclass(frozen=True)
class Snapshot:
    """One snapshot: why it was made, of which host's files, and how it differs from the one before.

    `of` is the snapshot that a restored one shows again; `live`: the live tree shows it.
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
class SnapshotsReport:
    """Every snapshot of an actor's backup, oldest first.

    Attributes:
        live: the snapshot that the live files show.
        unreadable: corrupt manifests.
        unsaved: live files that were put, changed or removed by hand since; the next sync saves them.
        old_bytes: contents that only snapshots need which are not live.
        orphan_bytes: contents that no snapshot needs.
    """

    actor: str
    folder: Path
    live: int | None
    generations: tuple[Snapshot, ...]
    unreadable: tuple[Path, ...]
    unsaved: int
    history_bytes: int
    old_bytes: int
    orphan_bytes: int

    @property
    def exit_code(self) -> int:
        """6 when a manifest is corrupt."""
        return 6 if self.unreadable else 0


def survey_snapshots(actor: str, history: History) -> SnapshotsReport:
    """Read every manifest, at most two at a time.

    Raises:
        InconsistentData: a link or a special lies in the live tree.
    """
    shown, unreadable = history.shown(), list[Path]()
    rows, needed_by_any = list[Snapshot](), set[str]()
    before: Mapping[str, StoredFile] = {}
    live: Mapping[str, StoredFile] = {}
    for manifest in history.readable(unreadable, oldest_first=True):
        files = manifest.files
        rows.append(
            Snapshot(
                manifest.number,
                manifest.created,
                manifest.why,
                manifest.of,
                manifest.host,
                len(files),
                sum(entry.bytes for entry in files.values()),
                compare_snapshots(before, files),
                manifest.number == shown,
            )
        )
        needed_by_any.update(entry.sha256 for entry in files.values())
        if manifest.number == shown:
            live = files
        before = files
    needed_by_live = {entry.sha256 for entry in live.values()}
    contents = list(history.contents())
    orphan_bytes = sum(size for sha256, size in contents if sha256 not in needed_by_any)
    live_bytes = sum(size for sha256, size in contents if sha256 in needed_by_live)
    return SnapshotsReport(
        actor=actor,
        folder=history.root,
        live=shown,
        generations=tuple(rows),
        unreadable=tuple(unreadable),
        unsaved=_count_unsaved(history, live),
        history_bytes=_bytes_below(history.history_folder),
        old_bytes=sum(size for _, size in contents) - orphan_bytes - live_bytes,
        orphan_bytes=orphan_bytes,
    )


def compare_snapshots(before: Mapping[str, StoredFile], after: Mapping[str, StoredFile]) -> SnapshotChange:
    """What changes from one set of files to another; another time alone does not count."""
    both = [path for path in after if path in before]
    changed = sum(before[path].sha256 != after[path].sha256 for path in both)
    return SnapshotChange(len(after) - len(both), changed, len(before) - len(both))


def _count_unsaved(history: History, live: Mapping[str, StoredFile]) -> int:
    """By size and time, as a sync looks first."""
    found = scan(history.root)
    changed = sum(path not in live or not live[path].looks_like(stat) for path, stat in found.items())
    return changed + sum(path not in found for path in live)


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
