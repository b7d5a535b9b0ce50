"""`cancel JOB`: end the job's processes, and keep it from starting; repeating it does no harm."""

from __future__ import annotations

import functools
from dataclasses import replace

from being_remote.errors import BeingRemoteError, HostError, UsageError
from being_remote.inventory import Inventory
from being_remote.jobs.cancel import (
    CancelAllReport,
    CancelReport,
    abandon,
    cancel_abandoned,
    cancel_current,
    cancel_former,
    former_attempt,
)
from being_remote.jobs.context import JobContext
from being_remote.jobs.job_status import ended_status
from being_remote.jobs.ledger import LedgerJob
from being_remote.jobs.take_over import find_job
from being_remote.pod.job_states import JobState
from being_remote.session import Session
from being_remote.workflows.job_context import job_context

NEVER_SENT = "cancelled before it was sent"


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

    return _cancel_found(context, found, pod_is_gone=pod_is_gone, dry_run=dry_run)


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
    if jobs and not dry_run and name in inventory.hosts:
        try:
            context.open_session(name).close()
        except HostError as silent:
            context = replace(context, open_session=functools.partial(_give_up, silent))
    reports = []
    for job in jobs:
        try:
            report = _cancel_found(context, job, pod_is_gone=pod_is_gone, dry_run=dry_run)
        except BeingRemoteError as e:
            report = CancelReport(job.job, name, job.attempt, JobState.UNKNOWN, _with_hint(e), False, dry_run)
        if not (job.ended and report.was_ended):
            reports.append(report)
    return CancelAllReport(name, tuple(reports), dry_run)


def _with_hint(error: BeingRemoteError) -> str:
    return f"{error.what}; {error.hint}" if error.hint else error.what


def _give_up(error: HostError, _: str) -> Session:
    """A host that gave no answer is not asked once for each of its jobs."""
    raise error


def _cancel_found(context: JobContext, found: LedgerJob, *, pod_is_gone: bool, dry_run: bool) -> CancelReport:
    """Cancel the attempt that counts."""
    inventory, ledger = context.inventory, context.ledger

    def report(state: JobState, reason: str, *, was_ended: bool) -> CancelReport:
        return CancelReport(found.job, found.host, found.attempt, state, reason, was_ended, dry_run)

    if found.state is JobState.ABANDONED and not pod_is_gone and found.host in inventory.hosts:
        try:
            session = context.open_session(found.host)
        except HostError:
            session = None  # silent, as when it was abandoned
        if session is not None:
            with session:
                still_ran = cancel_abandoned(session, inventory.host(found.host), found, dry_run=dry_run)
            if still_ran is not None:
                return still_ran
    if found.ended:
        status = ended_status(found, ledger.history(found.job))
        return report(status.state, status.reason, was_ended=True)
    if dry_run:
        return report(found.state, f"a cancel would be sent to {found.host}", was_ended=False)
    unsent = ledger.cancel_unsent(found.job, found.attempt, {"reason": NEVER_SENT})
    if unsent is not None:
        return report(unsent.state, NEVER_SENT, was_ended=False)
    if pod_is_gone and found.host not in inventory.hosts:
        return abandon(ledger, found, "the inventory does not name its host any more")
    where = inventory.host(found.host)
    if_gone = f"if its pod is gone for good: cancel {found.job} --pod-is-gone"
    try:
        with context.open_session(where.name) as session:
            made = cancel_current(ledger, session, where, found)
    except HostError as e:
        if not pod_is_gone:
            e.hint = f"{e.hint}; {if_gone}" if e.hint else if_gone
            raise
        return abandon(ledger, found, e.what)
    if made.state is not JobState.UNKNOWN:
        return made
    if pod_is_gone:
        return abandon(ledger, found, made.reason)
    return replace(made, reason=f"{made.reason}; {if_gone}")
