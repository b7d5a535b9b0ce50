"""Which of a host's files are at home: in a backup's history, or among the results of our jobs.

A hash made on the host is looked up in the manifests; the contents must really lie there, with their
size. They are not read again: that is what `sync --verify` does. Reads only, takes no lock, and so
may meet a sync, a watch or a prune at work: a snapshot that is gone meanwhile is passed over.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.errors import InconsistentData
from being_remote.inventory import Inventory
from being_remote.jobs.result_download import runs_of
from being_remote.jobs.result_folder import pulled
from being_remote.safe_to_stop.reasons import RequiredFile
from being_remote.transfer.quarantine import kept

_LOOKS = 3


def sizes_at_home(inventory: Inventory) -> frozenset[int]:
    """The size of every content in a backup, its quarantine or a job's folder.

    A file of another size need not be hashed: its bytes are not among them.
    """
    sizes: set[int] = set()
    for actor in inventory.actors.values():
        history = History(inventory.backup_of(actor))
        for number in history.snapshot_numbers():
            manifest = _read(history, number)
            if manifest is not None:
                sizes |= {entry.bytes for entry in manifest.files.values()}
        sizes |= {aside.bytes for asides in kept(history).values() for aside in asides}
    for folder in folders_of_all_jobs(inventory):
        sizes |= {entry["bytes"] for entry in (pulled(folder) or {}).get("files", {}).values()}
    return frozenset(sizes)


def lacking(history: History, files: Iterable[RequiredFile], *, by_path: bool) -> list[RequiredFile]:
    """Those of `files` that no snapshot holds.

    Args:
        history: one actor's.
        files: what the host has.
        by_path: a file counts under its own path only; else its contents do, whatever they are called.
    """
    left = list(files)
    for _ in range(_LOOKS):
        numbers = history.snapshot_numbers()
        for number in reversed(numbers):
            if not left:
                return []
            manifest = _read(history, number)
            if manifest is not None:
                left = _not_in(manifest, history, left, by_path=by_path)
        if history.snapshot_numbers() == numbers:
            break
    return left


def _not_in(
    manifest: Manifest, history: History, files: Sequence[RequiredFile], *, by_path: bool
) -> list[RequiredFile]:
    contents = set() if by_path else {entry.sha256 for entry in manifest.files.values()}

    def holds(file: RequiredFile) -> bool:
        if file.sha256 is None:
            return False
        if by_path:
            entry = manifest.files.get(file.path)
            named = entry is not None and entry.sha256 == file.sha256
        else:
            named = file.sha256 in contents
        return named and _lies(history.object(file.sha256), file.bytes)

    return [file for file in files if not holds(file)]


def _read(history: History, number: int) -> Manifest | None:
    """A snapshot; None for one that was replaced or pruned just now, or is damaged."""
    try:
        return history.read(number)
    except (FileNotFoundError, InconsistentData):
        return None


class LocalResults:
    """What lies at home of one job: its folder, and those of earlier attempts kept beside it.

    Attributes:
        names: every file that was ever pulled, whatever became of it.
        refused_names: every file that was fetched and found torn or unsafe.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.names: set[str] = set()
        self._held: set[tuple[str, str]] = set()
        self._torn: set[tuple[str, str]] = set()
        for folder in folders:
            record = pulled(folder) or {}
            for name, entry in record.get("files", {}).items():
                self.names.add(name)
                if _lies(folder / name, entry["bytes"]):
                    self._held.add((name, entry["sha256"]))
            self._torn |= {(n, e["sha256"]) for n, e in record.get("set_aside", {}).items()}

    @property
    def refused_names(self) -> set[str]:
        return {name for name, _ in self._torn}

    def holds(self, file: RequiredFile) -> bool:
        """Whether this very file is at home."""
        return file.sha256 is not None and (file.path, file.sha256) in self._held

    def refused(self, file: RequiredFile) -> bool:
        """Whether this very file was fetched and found torn or unsafe."""
        return file.sha256 is not None and (file.path, file.sha256) in self._torn

    @property
    def contents(self) -> set[str]:
        """The hashes of all that is at home."""
        return {sha256 for _, sha256 in self._held}


def folders_of_job(inventory: Inventory, job: str, actor: str | None) -> list[Path]:
    """Where a job's results may lie at home: another ledger's job may be anybody's."""
    # The last one is what a pull that takes its place moved away for a moment.
    names = (job, f"{job}.attempt-*", f".{job}.old")
    roots = [runs_of(inventory, name) for name in dict.fromkeys([actor, None, *inventory.actors])]
    return [folder for root in roots for name in names for folder in root.glob(name) if folder.is_dir()]


def folders_of_all_jobs(inventory: Inventory) -> list[Path]:
    """Every folder of results of any job that the inventory's actors have."""
    roots = [runs_of(inventory, name) for name in (None, *inventory.actors)]
    return [folder for root in roots for folder in root.glob("*") if folder.is_dir()]


def _lies(file: Path, size: int) -> bool:
    """Whether a plain file of that size lies there."""
    try:
        found = os.lstat(file)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size
