"""Whether a job may leave its host: only after a known end, or when the user gives the attempt up.

The host is asked only where the ledger does not know the end. Nothing is given up here: the ledger
records that when the next attempt is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from being_remote.errors import HostError, UsageError
from being_remote.jobs.context import JobContext
from being_remote.jobs.job_status import BAD, JobStatus, ended_row, silent_row, volume_in
from being_remote.jobs.ledger import Ledger, LedgerJob
from being_remote.jobs.status_poll import learnt, look_at

UNSENT = "given up before it was sent"


@dataclass(frozen=True)
class MovePermission:
    """How the attempt stands that is left; `word` is the evidence by which it is abandoned, if it is."""

    state: str
    reason: str
    word: Mapping[str, Any] | None


def permit_move(context: JobContext, job: LedgerJob, *, pod_is_gone: bool, dry_run: bool) -> MovePermission:
    """Check that an attempt on another host may follow the current one.

    Raises:
        UsageError: it has succeeded, or runs, or may be on its way to its host.
        HostError: whether it runs is unknown, and the user has not said that its pod is gone.
    """
    if _was_never_sent(context.ledger, job, dry_run=dry_run):
        return MovePermission("created", UNSENT, None)
    status = _status(context, job, dry_run=dry_run)
    if status.state in BAD:
        return MovePermission(status.state, status.reason, None)
    if status.state == "unknown":
        if not pod_is_gone:
            raise HostError(
                f"{status.job}: whether attempt {status.attempt} still runs is unknown: {status.reason}",
                host=status.host,
                hint="if its pod is gone for good, or you accept to pay twice: --pod-is-gone",
            )
        abandoned = abandonment(status.state, status.reason, "its pod is gone")
        return MovePermission(status.state, status.reason, abandoned)
    if status.state == "succeeded":
        raise UsageError(
            "it has succeeded; there is nothing to resume", where=status.job, hint=f"pull {status.job}"
        )
    stands = f"may be on its way to {status.host}" if status.state == "created" else f"is {status.state}"
    raise UsageError(f"it {stands}", where=status.job, hint=f"cancel {status.job}, then this again")


def abandonment(state: str, because: str, word: str) -> dict[str, Any]:
    """The evidence that the ledger keeps where the user abandons an attempt."""
    return {"reason": f"the user's word: {word}", "was": state, "because": because}


def _was_never_sent(ledger: Ledger, job: LedgerJob, *, dry_run: bool) -> bool:
    """Whether the attempt was never sent; the ledger then keeps everybody from sending it."""
    if dry_run:
        return job.state == "created" and volume_in(ledger.story(job.job), job.attempt) is None
    return ledger.cancel_unsent(job.job, job.attempt, {"reason": UNSENT}) is not None


def _status(context: JobContext, job: LedgerJob, *, dry_run: bool) -> JobStatus:
    story = context.ledger.story(job.job)
    if job.ended:
        return ended_row(job, story)
    if job.host not in context.inventory.hosts:
        return silent_row(job, story, "the inventory does not name this host any more")
    try:
        with context.open_session(job.host) as session:
            host = context.inventory.host(job.host)
            return look_at(context.ledger, session, host, job, remember=not dry_run)
    except HostError as e:
        return silent_row(job, story, e.what) if dry_run else learnt(context.ledger, job, e)
