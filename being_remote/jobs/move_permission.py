"""Whether a job may leave its host: only after a known end, or when the user gives the attempt up.

The host is asked only where the ledger does not know the end. Nothing is given up here: the ledger
records that when the next attempt is made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from being_remote.errors import HostError, UsageError
from being_remote.jobs.context import JobContext
from being_remote.jobs.job_status import (
    NO_HOST,
    JobStatus,
    ended_status,
    status_without_answer,
    unknown_error,
)
from being_remote.jobs.ledger import Ledger, LedgerJob, volume_of
from being_remote.jobs.orphaned_jobs import lacks_supervisor, supervise_again
from being_remote.jobs.status_poll import look_at_job, record_answer
from being_remote.pod.job_states import JobState

UNSENT = "given up before it was sent"
POD_IS_GONE = "its pod is gone"


@dataclass(frozen=True)
class MovePermission:
    """How the attempt stands that is left; `word` is the evidence by which it is abandoned, if it is."""

    state: JobState
    reason: str
    word: Mapping[str, Any] | None


def permit_move(context: JobContext, job: LedgerJob, *, pod_is_gone: bool, dry_run: bool) -> MovePermission:
    """Check that an attempt on another host may follow the current one.

    Raises:
        UsageError: it has succeeded, or runs, or may be on its way to its host.
        HostError: whether it runs is unknown, and the user has not said that its pod is gone.
    """
    if _was_never_sent(context.ledger, job, dry_run=dry_run):
        return MovePermission(JobState.CREATED, UNSENT, None)
    status = _status(context, job, dry_run=dry_run)
    if status.state.ended_badly:
        return MovePermission(status.state, status.reason, None)
    if status.state is JobState.UNKNOWN:
        if not pod_is_gone:
            raise unknown_error(
                status, hint="if its pod is gone for good, or you accept to pay twice: --pod-is-gone"
            )
        abandoned = abandonment(status.state, status.reason)
        return MovePermission(status.state, status.reason, abandoned)
    if status.state is JobState.SUCCEEDED:
        raise UsageError(
            "it has succeeded; there is nothing to resume",
            where=job.job,
            hint=context.pull_words(job.job, job.recipe),
        )
    stands = (
        f"may be on its way to {status.host}" if status.state is JobState.CREATED else f"is {status.state}"
    )
    raise UsageError(f"it {stands}", where=status.job, hint=f"cancel {status.job}, then this again")


def abandonment(state: JobState, because: str, word: str = POD_IS_GONE) -> dict[str, Any]:
    """The evidence that the ledger keeps where the user abandons an attempt."""
    return {"reason": f"the user's word: {word}", "was": state, "because": because}


def abandon(ledger: Ledger, job: LedgerJob, because: str) -> LedgerJob:
    """Write down the user's word that the pod of the attempt that counts is gone, so that it has ended."""
    evidence = abandonment(job.state, because)
    return ledger.record(job.job, job.attempt, JobState.ABANDONED, evidence)


def _was_never_sent(ledger: Ledger, job: LedgerJob, *, dry_run: bool) -> bool:
    """Whether the attempt was never sent; the ledger then keeps everybody from sending it."""
    if dry_run:
        return job.state is JobState.CREATED and volume_of(ledger.history(job.job), job.attempt) is None
    return ledger.cancel_unsent(job.job, job.attempt, {"reason": UNSENT}) is not None


def _judged_status(context: JobContext, job: LedgerJob, status: JobStatus, *, dry_run: bool) -> JobStatus:
    """An attempt that was lost is judged by its files before another one is paid for, if its host answers."""
    if dry_run or not lacks_supervisor(status) or job.host not in context.inventory.hosts:
        return status
    with contextlib.suppress(HostError), context.open_session(job.host) as session:
        return supervise_again(context.ledger, session, context.inventory.host(job.host), job, status)
    return status


def _status(context: JobContext, job: LedgerJob, *, dry_run: bool) -> JobStatus:
    history = context.ledger.history(job.job)
    if job.ended:
        return _judged_status(context, job, ended_status(job, history), dry_run=dry_run)
    if job.host not in context.inventory.hosts:
        return status_without_answer(job, history, NO_HOST)
    try:
        with context.open_session(job.host) as session:
            host = context.inventory.host(job.host)
            return look_at_job(context.ledger, session, host, job, remember=not dry_run)
    except HostError as e:
        return (
            status_without_answer(job, history, e.what) if dry_run else record_answer(context.ledger, job, e)
        )
