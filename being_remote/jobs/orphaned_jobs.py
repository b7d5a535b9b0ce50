"""A job whose supervisor died gets another one, which starts nothing.

On the host it looks after the processes that still run, or judges the files of an attempt that ended without
an exit record (`pod/orphaned_attempt.py`).
"""

from __future__ import annotations

import time

from being_remote.errors import BeingRemoteError, HostError
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import Ledger, LedgerJob
from being_remote.jobs.status_poll import look_at_host, look_at_job
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
    """Give the attempt that counts a supervisor if it lacks one; returns how the job stands then.

    The files of one that was lost are judged first, which is awaited.

    Raises:
        HostError: no answer, no supervisor could start, or the files are still being verified: whether the
            attempt is lost is unknown. Asking again does no harm.
    """
    if not lacks_supervisor(status) or status.attempt != job.attempt:
        return status
    # The attempt's folder is there, so its gate is passed: no supervisor starts it.
    request = StartRequest(job.job, job.spec_sha256, job.attempt, volume=None, pushed=None, files={})
    result = submit(session, host, lambda _: [request]).get(job.job)
    if isinstance(result, BeingRemoteError):
        raise result
    deadline = time.monotonic() + VERIFY_S
    while status.state is JobState.LOST:
        seen = look_at_host(session, host, [job.job]).job(job.job)
        if seen is None or not seen.evidence.get("supervised"):
            break
        if time.monotonic() > deadline:
            raise HostError(
                f"{job.job}: its files are still being verified after {VERIFY_S:g} s",
                host=host.name,
                hint=f"give the command again later; jobs --why {job.job}",
            )
        time.sleep(_PAUSE_S)
    return look_at_job(ledger, session, host, ledger.find(job.job))
