"""Which files are local: in a backup's history, among the results of jobs, or an actor's original video.

A hash made on the host is looked up in the manifests; the contents must lie in the history with the right
size. They are not read again: `sync --verify` does that. Reads only and takes no lock, so a sync or a prune
may run meanwhile: a snapshot that is missing by then is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.durable_files import stat_plain
from being_remote.inventory import Actor, Inventory
from being_remote.jobs.result_download import runs_of
from being_remote.jobs.result_folder import ResultFolder, read_record
from being_remote.safe_to_stop.host_files import NOT_HASHED, HostFile
from being_remote.transfer.checked_files import hash_of
from being_remote.transfer.quarantine import quarantine_of

_TRIES = 3


class LocalCopies:
    """What the backups, results and originals of an inventory hold."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._histories = [History(inventory.backup_of(actor)) for actor in inventory.actors.values()]

    @cached_property
    def sizes(self) -> frozenset[int]:
        """The size of every file: a host's file of another size need not be hashed."""
        sizes: set[int] = set()
        for history in self._histories:
            for manifest in history.readable():
                sizes |= {entry.bytes for entry in manifest.files.values()}
            sizes |= {file.bytes for files in quarantine_of(history).read().values() for file in files}
        for folder in self._all_job_folders():
            sizes |= {entry["bytes"] for entry in (read_record(folder) or {}).get("files", {}).values()}
            kept = ResultFolder(folder).quarantine.read()
            sizes |= {file.bytes for files in kept.values() for file in files}
        for actor in self._inventory.actors.values():
            sizes |= {file.stat().st_size for file in _original_files(actor)}
        return frozenset(sizes)

    def find_missing(self, files: Iterable[HostFile]) -> list[HostFile]:
        """The files whose bytes lie in no backup and among no job's results, under any name."""
        missing = list(files)
        for history in self._histories:
            missing = find_missing(history, missing, by_path=False)
        return [file for file in missing if file.sha256 not in self._result_hashes] if missing else []

    def find_unlike_original(self, actor: Actor, files: Iterable[HostFile]) -> list[HostFile]:
        """The files that differ from the actor's original: its video, or the folder of its pictures."""
        files = list(files)
        sizes = {file.bytes for file in files}
        originals = [file for file in _original_files(actor) if file.stat().st_size in sizes]
        hashes = {hash_of(file.resolve()) for file in originals} - {NOT_HASHED}
        return [file for file in files if file.sha256 not in hashes]

    def results_of(self, job: str, actor: str | None) -> LocalResults:
        """The results of one job. A job of another ledger may belong to any actor."""
        # The last one exists for a moment while a pull replaces the folder.
        names = (job, f"{job}.attempt-*", f".{job}.old")
        roots = [
            runs_of(self._inventory, name) for name in dict.fromkeys([actor, None, *self._inventory.actors])
        ]
        return LocalResults(
            folder for root in roots for name in names for folder in root.glob(name) if folder.is_dir()
        )

    @cached_property
    def _result_hashes(self) -> set[str]:
        return LocalResults(self._all_job_folders()).hashes

    def _all_job_folders(self) -> list[Path]:
        roots = [runs_of(self._inventory, name) for name in (None, *self._inventory.actors)]
        return [folder for root in roots for folder in root.glob("*") if folder.is_dir()]


class LocalResults:
    """Results of jobs in some folders.

    Attributes:
        names: every file that was ever pulled.
        refused_names: every file that was downloaded and quarantined.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.names: set[str] = set()
        self._held: set[tuple[str, str]] = set()
        self._refused: set[tuple[str, str]] = set()
        for folder in folders:
            record = read_record(folder) or {}
            for name, entry in record.get("files", {}).items():
                self.names.add(name)
                if _has_size(folder / name, entry["bytes"]):
                    self._held.add((name, entry["sha256"]))
            self._refused |= {(n, e["sha256"]) for n, e in record.get("set_aside", {}).items()}
            kept = ResultFolder(folder).quarantine.read()
            self._refused |= {(name, file.sha256) for name, files in kept.items() for file in files}
        self.refused_names = {name for name, _ in self._refused}
        self.hashes = {sha256 for _, sha256 in self._held}

    def holds(self, file: HostFile) -> bool:
        return file.sha256 is not None and (file.path, file.sha256) in self._held

    def refused(self, file: HostFile) -> bool:
        """Whether this very file was downloaded and quarantined."""
        return file.sha256 is not None and (file.path, file.sha256) in self._refused


def find_missing(history: History, files: Iterable[HostFile], *, by_path: bool) -> list[HostFile]:
    """The files, as hashed on the host, that no snapshot of an actor holds.

    With `by_path` a file counts under its own path only; else its contents count under any name.
    """
    missing = list(files)
    for _ in range(_TRIES):
        numbers = history.snapshot_numbers()
        for manifest in history.readable():
            missing = _not_in(manifest, history, missing, by_path=by_path)
            if not missing:
                return []
        if history.snapshot_numbers() == numbers:
            break
    return missing


def _not_in(manifest: Manifest, history: History, files: list[HostFile], *, by_path: bool) -> list[HostFile]:
    contents = set() if by_path else {entry.sha256 for entry in manifest.files.values()}

    def holds(file: HostFile) -> bool:
        if not file.sha256:
            return False
        entry = manifest.files.get(file.path)
        same = entry is not None and entry.sha256 == file.sha256 if by_path else file.sha256 in contents
        return same and _has_size(history.object(file.sha256), file.bytes)

    return [file for file in files if not holds(file)]


def _original_files(actor: Actor) -> list[Path]:
    """The actor's video, or the pictures in its folder, by the inventory."""
    if actor.video is None:
        return []
    files = sorted(actor.video.iterdir()) if actor.video.is_dir() else [actor.video]
    return [file for file in files if file.is_file()]


def _has_size(file: Path, size: int) -> bool:
    """Whether a plain file of that size lies there."""
    found = stat_plain(file)
    return found is not None and found.st_size == size
