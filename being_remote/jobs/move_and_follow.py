"""A job that leaves its host: moved, sent and, if asked for, followed on the new host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.context import JobContext
from being_remote.jobs.dispatch import send
from being_remote.jobs.follow import Say, follow
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import Ledger, LedgerJob
from being_remote.jobs.live_download import DownloadSummary
from being_remote.jobs.move import Move, move
from being_remote.jobs.move_permission import MovePermission
from being_remote.session import OnProgress, Session


@dataclass(frozen=True)
class MoveResult:
    """How the job stands on its new host; `row` is None in a dry run, `home` where it was not followed."""

    row: JobStatus | None
    home: DownloadSummary | None
    move: Move


def move_and_follow(
    context: JobContext,
    job: LedgerJob,
    host: SshHost | LocalHost,
    permission: MovePermission,
    *,
    say: Say | None,
    dry_run: bool,
    on_progress: OnProgress,
) -> MoveResult:
    """Make the next attempt of `job` on `host`, start it, and follow it to its end if `say` is given.

    Raises:
        UsageError, NotFoundError, DataError, HostError: see `move`, `send` and `follow`.
    """
    with context.open_session(host.name) as session:
        moved = move(context, session, host, job, permission, dry_run=dry_run, on_progress=on_progress)
        if dry_run:
            return MoveResult(None, None, moved)
        status = send(context.ledger, session, host, context.ledger.find(job.job))
        if say is None:
            return MoveResult(status, None, moved)
        followed = follow(context, session, host, context.ledger.find(job.job), say)
        return MoveResult(followed.row, followed.home, moved)


@contextmanager
def session_with_job_host(
    context: JobContext, job: LedgerJob, session: Session, host: SshHost | LocalHost
) -> Iterator[tuple[Session, SshHost | LocalHost]]:
    """A session with the host where the job is now: `session`, or a new one if that is another host.

    Raises:
        HostError: no session with the other host.
    """
    if job.host == host.name:
        yield session, host
        return
    with context.open_session(job.host) as other:
        yield other, context.inventory.host(job.host)


def moved_here(ledger: Ledger, job: LedgerJob) -> bool:
    """Whether the job came to its host with the current attempt."""
    return any(t.attempt == job.attempt and "from_host" in t.evidence for t in ledger.history(job.job))
