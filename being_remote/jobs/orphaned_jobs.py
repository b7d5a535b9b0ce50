"""A job whose supervisor died gets another one, which starts nothing.

On the host it looks after the processes that still run, or judges the files of an attempt that ended without
an exit record (`pod/orphaned_attempt.py`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from being_remote.errors import BeingRemoteError, HostError
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import Ledger, LedgerJob
from being_remote.jobs.status_poll import look_at_host, look_at_jobs
from being_remote.jobs.submit import submit
from being_remote.pod.job_states import JobState
from being_remote.schedulers.scheduler import StartRequest
from being_remote.session import Session

# The frames of a long video are read once more: some seconds.
VERIFY_S = 120.0
_PAUSE_S = 0.2


def lacks_supervisor(status: JobStatus) -> bool:
    """Whether its host shows a started attempt without an exit record, and no supervisor of it."""
    evidence = status.evidence
    if not evidence.get("started") or evidence.get("end"):
        return False
    supervised = evidence.get("supervised")
    dropped = evidence.get("lock") != "held" and not supervised  # its process let go of the lock
    return status.state is JobState.LOST or (status.state.started and (supervised is False or dropped))


def supervise_again(
    ledger: Ledger, session: Session, host: SshHost | LocalHost, job: LedgerJob, status: JobStatus
) -> JobStatus:
    """As `supervise_all_again`, for one job.

    Raises:
        HostError: no answer, no supervisor could start, or the files are still being verified: whether the
            attempt is lost is unknown. Asking again does no harm.
    """
    (found,) = supervise_all_again(ledger, session, host, [(job, status)])
    if isinstance(found, JobStatus):
        return found
    raise found


def supervise_all_again(
    ledger: Ledger,
    session: Session,
    host: SshHost | LocalHost,
    jobs: Sequence[tuple[LedgerJob, JobStatus]],
) -> tuple[JobStatus | BeingRemoteError, ...]:
    """Give each attempt that counts a supervisor if it lacks one; returns how the jobs stand then.

    All are submitted in one round trip. The files of those that were lost are judged first, which is awaited.

    Raises:
        HostError: no answer. Asking again does no harm.
    """
    orphans = {
        job.job: status.state
        for job, status in jobs
        if lacks_supervisor(status) and status.attempt == job.attempt
    }
    if not orphans:
        return tuple(status for _, status in jobs)
    # The attempts' folders are there, so their gates are passed: no supervisor starts them.
    requests = [
        StartRequest(job.job, job.spec_sha256, job.attempt, volume=None, pushed=None, files={})
        for job, _ in jobs
        if job.job in orphans
    ]
    results = submit(session, host, lambda _: requests)
    refused = {job: result for job, result in results.items() if isinstance(result, BeingRemoteError)}
    lost = {job for job, state in orphans.items() if state is JobState.LOST}
    for job in _await_verdicts(session, host, lost - refused.keys()):
        refused[job] = HostError(
            f"{job}: its files are still being verified after {VERIFY_S:g} s",
            host=host.name,
            hint=f"give the command again later; jobs --why {job}",
        )
    judged = [ledger.find(job) for job in orphans if job not in refused]
    judged = [job for job in judged if job.host == host.name]  # another terminal may have moved one
    after = {row.job: row for row in look_at_jobs(ledger, session, host, judged)}
    return tuple(refused.get(job.job) or after.get(job.job) or status for job, status in jobs)


def _await_verdicts(session: Session, host: SshHost | LocalHost, jobs: Collection[str]) -> set[str]:
    """Wait until the files of these lost jobs are judged; returns those that are not in time."""
    deadline, waiting = time.monotonic() + VERIFY_S, set(jobs)
    while waiting:
        seen = look_at_host(session, host, sorted(waiting))
        rows = {job: seen.job(job) for job in waiting}
        waiting = {job for job, row in rows.items() if row is not None and row.evidence.get("supervised")}
        if time.monotonic() > deadline:
            break
        if waiting:
            time.sleep(_PAUSE_S)
    return waiting
