"""A corrupt ledger: kept under another name, and rebuilt from its readable rows and from the hosts.

Killed at any point, the next command does it again: a mark lies beside the ledger until the new one is
in its place. Nothing of the corrupt file is deleted or changed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from being_remote.durable_files import room_on_disk, sync_files, sync_folder
from being_remote.errors import DataError, HostError, InventoryError, UsageError
from being_remote.jobs.context import JobContext
from being_remote.jobs.ledger import Ledger
from being_remote.jobs.status_poll import look_at_host
from being_remote.jobs.take_over import read_spec, write_down
from being_remote.local_lock import LockRequest, held_lock
from being_remote.pod_client.many_hosts import ask_all
from being_remote.scratch import temporary_folder

log = logging.getLogger("being_remote")

_REPAIR_S = 600.0  # it asks every host
_COMPANIONS = ("-wal", "-shm")


@dataclass(frozen=True)
class LedgerRepair:
    """What became of a corrupt ledger.

    Attributes:
        kept: the corrupt file, under its new name.
        kept_jobs: jobs whose rows could be read.
        found_jobs: further jobs that a host has.
        silent: hosts that gave no answer, and jobs that could not be read there: one line each.
    """

    kept: Path
    problem: str
    kept_jobs: int
    found_jobs: int
    silent: tuple[str, ...]

    def __str__(self) -> str:
        text = (
            f"{self.kept.parent}: the ledger was corrupt ({self.problem}); it is kept as {self.kept.name}."
            f" The new one has {self.kept_jobs} jobs of it and {self.found_jobs} more from the hosts"
        )
        missing = "".join(f"\n  not asked or not read: {line}" for line in self.silent)
        hint = "\n  a job that is missing: logs JOB --take-over, once its host answers" if missing else ""
        return text + missing + hint


def repair_ledger(context: JobContext) -> LedgerRepair | None:
    """Rebuild the ledger if it is corrupt, and say so as a warning; None where it is whole.

    Raises:
        UsageError: the ledger's folder cannot be written.
        Busy: another command has repaired it for ten minutes.
        NoSpace: the disk is full; nothing was changed.
    """
    ledger = context.ledger
    if ledger.find_damage() is None:
        return None
    with room_on_disk(ledger.path.parent), _locked(ledger.path):
        problem = ledger.find_damage()
        if problem is None:
            return None  # another terminal was faster
        repair = _rebuild(context, problem)
    log.warning("%s", repair)
    return repair


def _rebuild(context: JobContext, problem: str) -> LedgerRepair:
    path = context.ledger.path
    fresh = Ledger(path.with_name(f"{path.name}.new"))
    for leftover in (fresh.path, *_companions(fresh.path)):
        leftover.unlink(missing_ok=True)
    context.ledger.repair_mark.touch()
    sync_folder(path.parent)
    known_uuid = _copy_readable_rows(path, fresh)
    kept_jobs = len(fresh.jobs())
    silent = _add_jobs_of_hosts(context, fresh, only_of=known_uuid)
    found_jobs = len(fresh.jobs()) - kept_jobs
    fresh.fold_log()
    kept = _keep(path)
    for companion in _companions(path):
        companion.unlink(missing_ok=True)  # or SQLite would apply it to the new file
    os.replace(fresh.path, path)
    sync_folder(path.parent)
    context.ledger.repair_mark.unlink(missing_ok=True)
    return LedgerRepair(kept, problem, kept_jobs, found_jobs, silent)


def _copy_readable_rows(path: Path, fresh: Ledger) -> str | None:
    """Copy what SQLite still reads; returns the ledger's own name, None where that is lost."""
    with temporary_folder() as scratch:
        for file in (path, *_companions(path)):
            if file.exists() and not file.name.endswith("-shm"):
                shutil.copyfile(file, scratch / file.name)
        with contextlib.closing(sqlite3.connect(scratch / path.name, isolation_level=None)) as old:
            return fresh.adopt_rows(old)


def _add_jobs_of_hosts(context: JobContext, fresh: Ledger, *, only_of: str | None) -> tuple[str, ...]:
    """Take over what the hosts show: this ledger's jobs, or all where its name is lost."""
    inventory = context.inventory

    def ask(name: str) -> list[str]:
        host = inventory.host(name)
        problems: list[str] = []
        try:
            with context.open_session(name) as session:
                answer = look_at_host(session, host)
                for seen in answer.jobs:
                    try:
                        spec = read_spec(inventory, session, host, seen)
                    except (DataError, UsageError) as e:
                        problems.append(f"{name}: {seen.job}: {e.what}")
                        continue
                    if only_of in (None, spec.ledger):
                        write_down(fresh, host, spec, seen, answer.incarnation.volume)
        except (HostError, InventoryError) as e:
            problems.append(f"{name}: {e.what}")
        return problems

    return tuple(line for lines in ask_all(list(inventory.hosts), ask) for line in lines)


def _keep(path: Path) -> Path:
    """Give the corrupt file, and what SQLite keeps beside it, names that stay."""
    number = 1
    while os.path.lexists(kept := path.with_name(f"{path.name}.corrupt-{number}")):
        number += 1
    shutil.copyfile(path, kept)
    copies = [kept]
    for companion in _companions(path):
        if companion.exists():
            copies.append(companion.with_name(companion.name.replace(path.name, kept.name)))
            shutil.copyfile(companion, copies[-1])
    sync_files(path.parent, copies)
    return kept


def _companions(path: Path) -> list[Path]:
    return [path.with_name(path.name + ending) for ending in _COMPANIONS]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One terminal at a time repairs the ledger."""
    what = "another command repairs the ledger"
    lock = path.with_name(f"{path.name}.lock")
    with held_lock(lock, what, where=str(path), asked=LockRequest(wait_s=_REPAIR_S)):
        yield
