"""`cancel JOB`: end the job's processes, and keep it from starting; repeating it does no harm."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from being_remote.errors import BeingRemoteError, HostError, InventoryError, UsageError, as_host_error
from being_remote.inventory import Inventory
from being_remote.jobs.cancel import (
    CancelAllReport,
    CancelReport,
    cancel_abandoned,
    cancel_current,
    cancel_former,
    former_attempt,
)
from being_remote.jobs.context import JobContext
from being_remote.jobs.job_status import NO_HOST, ended_status
from being_remote.jobs.ledger import LedgerJob
from being_remote.jobs.move_permission import abandon, abandonment
from being_remote.jobs.status_poll import look_at_job
from being_remote.jobs.take_over import find_job
from being_remote.pod.job_states import JobState
from being_remote.session import Session
from being_remote.workflows.job_context import job_context

NEVER_SENT = "cancelled before it was sent"
# A session with the jobs' host, or why there is none.
Connect = Callable[[], Session | HostError]


def cancel(
    inventory: Inventory,
    job: str,
    *,
    host: str | None = None,
    pod_is_gone: bool = False,
    take_over: bool = False,
    dry_run: bool = False,
) -> CancelReport:
    """Cancel the job and wait for its end, as long as its own grace allows.

    Args:
        job: an id, a unique beginning, or `last`.
        host: one that the job left: the attempt that was left there is ended, the current one is not.
        pod_is_gone: the user confirms that the pod is gone: where its host gives no answer, or cannot tell
            whether the attempt runs, the attempt is abandoned.
        take_over: the job may be in another laptop's ledger; it is written down here first.

    Raises:
        NotFoundError: no such job in the ledger.
        UsageError: the job never was on that host.
        HostError: the host gave no answer; whether it was cancelled is unknown.
    """
    if host is not None and pod_is_gone:
        raise UsageError(
            "--pod-is-gone is about the attempt that counts",
            where="--host",
            hint="one of the two: an attempt that the job left was abandoned when it moved",
        )
    context = job_context(inventory, dry_run=dry_run)
    ledger = context.ledger
    found = find_job(context, job, "cancel", take_over=take_over, dry_run=dry_run)
    if host is not None and host != found.host:
        where = inventory.host(host)
        former_attempt(ledger, found, host)  # refused before the host is asked
        with context.open_session(host) as session:
            return cancel_former(ledger, session, where, found, dry_run=dry_run)

    with _connection(context, found.host) as connect:
        try:
            return _cancel_found(context, found, connect, pod_is_gone=pod_is_gone, dry_run=dry_run)
        except HostError as e:
            e.hint = _hint(e, found)
            raise


def cancel_all(
    inventory: Inventory, *, host: str | None = None, pod_is_gone: bool = False, dry_run: bool = False
) -> CancelAllReport:
    """Cancel every job that the ledger has on a host and that has not ended; one never hides another.

    Args:
        host: its name; default: the only one.
        pod_is_gone: see `cancel`.

    Raises:
        UsageError: no such host.
    """
    context = job_context(inventory, dry_run=dry_run)
    name = host if host is not None and pod_is_gone else inventory.the_host(host).name
    jobs = [job for job in context.ledger.jobs(host=name) if not job.ended or job.state is JobState.ABANDONED]
    reports = []
    with _connection(context, name) as connect:
        for job in jobs:
            try:
                report = _cancel_found(context, job, connect, pod_is_gone=pod_is_gone, dry_run=dry_run)
            except BeingRemoteError as e:
                reason = "; ".join(filter(None, (e.what, _hint(e, job))))
                report = CancelReport(job.job, name, job.attempt, JobState.UNKNOWN, reason, False, dry_run)
            if not (job.ended and report.was_ended):
                reports.append(report)
    return CancelAllReport(name, tuple(reports), dry_run)


@contextmanager
def _connection(context: JobContext, host: str) -> Iterator[Connect]:
    """The way to a host that is opened with the first job that needs it, and once for all of them."""
    with ExitStack() as stack:

        @functools.cache
        def connect() -> Session | HostError:
            try:
                return stack.enter_context(context.open_session(host))
            except (HostError, InventoryError) as e:
                return as_host_error(e, host)

        yield connect


def _cancel_found(
    context: JobContext, found: LedgerJob, connect: Connect, *, pod_is_gone: bool, dry_run: bool
) -> CancelReport:
    """Cancel the attempt that counts."""
    inventory, ledger = context.inventory, context.ledger

    def report(state: JobState, reason: str, *, was_ended: bool = False) -> CancelReport:
        return CancelReport(found.job, found.host, found.attempt, state, reason, was_ended, dry_run)

    def abandoned(because: str) -> CancelReport:
        return report(abandon(ledger, found, because).state, abandonment(found.state, because)["reason"])

    if found.state is JobState.ABANDONED and not pod_is_gone and found.host in inventory.hosts:
        there = connect()
        if not isinstance(there, HostError):  # else it is silent, as when it was abandoned
            still_ran = cancel_abandoned(there, inventory.host(found.host), found, dry_run=dry_run)
            if still_ran is not None:
                return still_ran
    if found.ended:
        status = ended_status(found, ledger.history(found.job))
        return report(status.state, status.reason, was_ended=True)
    if dry_run:
        why = _find_no_answer(context, found, connect) if pod_is_gone else None
        would = f"a cancel would be sent to {found.host}"
        return report(found.state, would if why is None else f"its attempt would be abandoned because {why}")
    unsent = ledger.cancel_unsent(found.job, found.attempt, {"reason": NEVER_SENT})
    if unsent is not None:
        return report(unsent.state, NEVER_SENT)
    if pod_is_gone and found.host not in inventory.hosts:
        return abandoned(NO_HOST)
    where = context.host_of(found)
    there = connect()
    try:
        if isinstance(there, HostError):
            raise there
        made = cancel_current(ledger, there, where, found)
    except HostError as e:
        if not pod_is_gone:
            raise
        return abandoned(e.what)
    if made.state is not JobState.UNKNOWN:
        return made
    if pod_is_gone:
        return abandoned(made.reason)
    return replace(made, reason=f"{made.reason}; {_if_gone(found)}")


def _find_no_answer(context: JobContext, found: LedgerJob, connect: Connect) -> str | None:
    """Why the host cannot say how the attempt stands; None if it can. Nothing is written."""
    if found.host not in context.inventory.hosts:
        return NO_HOST
    there = connect()
    if isinstance(there, HostError):
        return there.what
    try:
        host = context.inventory.host(found.host)
        status = look_at_job(context.ledger, there, host, found, remember=False)
    except HostError as e:
        return e.what
    return status.reason if status.state is JobState.UNKNOWN else None


def _hint(error: BeingRemoteError, job: LedgerJob) -> str:
    if not isinstance(error, HostError):
        return error.hint
    return f"{error.hint}; {_if_gone(job)}" if error.hint else _if_gone(job)


def _if_gone(job: LedgerJob) -> str:
    return f"if its pod is gone for good: cancel {job.job} --pod-is-gone"
