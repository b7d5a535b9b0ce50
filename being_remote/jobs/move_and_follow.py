"""A job that leaves its host: moved, sent, and followed there if that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.jobs.background_download import DownloadSummary
from being_remote.jobs.dispatch import send
from being_remote.jobs.follow import Say, follow
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import Ledger, LedgerJob
from being_remote.jobs.move import Move, move
from being_remote.jobs.move_permission import MovePermission
from being_remote.jobs.result_download import folder_of
from being_remote.session import OnProgress, Session


@dataclass(frozen=True)
class MoveResult:
    """What became of the job on its new host; `row` is None in a dry run."""

    row: JobStatus | None
    home: DownloadSummary | None
    move: Move


def go_on_elsewhere(
    inventory: Inventory,
    ledger: Ledger,
    known: LedgerJob,
    host: SshHost | LocalHost,
    leaving: MovePermission,
    *,
    say: Say | None,
    dry_run: bool,
    on_progress: OnProgress,
) -> MoveResult:
    """Make the next attempt of `known` on `host` and start it.

    Args:
        inventory, ledger: who is who, and where the job is written down.
        known: the job, on the host that it leaves.
        host: where it goes on.
        leaving: how the attempt stands that is left.
        say: follow the new attempt to its end and tell this; None: do not.
        dry_run: only look.
        on_progress: told how far it is with what the job takes along.

    Raises:
        UsageError, NotFoundError, DataError, HostError: as of `moving.move`, `send` and `follow`.
    """
    from being_remote.transport import open_session

    with open_session(host, inventory, remember=not dry_run) as session:
        done = move(
            inventory,
            ledger,
            session,
            host,
            known,
            why=f"goes on on {host.name} after {leaving.state}",
            word=leaving.word,
            dry_run=dry_run,
            on_progress=on_progress,
        )
        if dry_run:
            return MoveResult(None, None, done)
        now = ledger.find(known.job)
        row = send(ledger, session, host, now)
        if say is None:
            return MoveResult(row, None, done)
        followed = follow(ledger, session, host, ledger.find(known.job), say, home=folder_of(inventory, now))
        return MoveResult(followed.row, followed.home, done)


@contextmanager
def at_its_host(
    inventory: Inventory, known: LedgerJob, session: Session, host: SshHost | LocalHost
) -> Iterator[tuple[Session, SshHost | LocalHost]]:
    """An open way to the job's host: the one that is open, unless the job is elsewhere by now.

    Raises:
        HostError: no session with the other host.
    """
    from being_remote.transport import open_session

    if known.host == host.name:
        yield session, host
        return
    its_host = inventory.host(known.host)
    with open_session(its_host, inventory) as there:
        yield there, its_host


def moved_here(ledger: Ledger, known: LedgerJob) -> bool:
    """Whether the attempt that counts is the one with which the job came to its host."""
    return any(t.attempt == known.attempt and "from_host" in t.evidence for t in ledger.story(known.job))
