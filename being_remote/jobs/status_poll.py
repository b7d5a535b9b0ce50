"""Look at a host's jobs, and record in the ledger what is news."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from being_remote.errors import HostError, UsageError
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.job_pace import with_pace
from being_remote.jobs.job_status import HostJobs, JobStatus, status_of, status_on_host, time_text
from being_remote.jobs.ledger import Ledger, LedgerJob
from being_remote.pod.job_states import JobState
from being_remote.schedulers.registry import scheduler_of
from being_remote.session import Session

# More names fit in no request; then all jobs of the host are looked at.
MOST_NAMES = 1000


def look_at_host(session: Session, host: SshHost | LocalHost, only: Sequence[str] | None = None) -> HostJobs:
    """Look at all jobs of a host (or `only` some) and its GPUs: one round trip, which changes nothing.

    Raises:
        HostError: no answer, or a malformed one; the jobs' state is then unknown.
    """
    if only is not None and len(only) > MOST_NAMES:
        only = None
    answer = scheduler_of(host).look(session, host, only)
    seen = (status_on_host(session.host, facts, answer.incarnation) for facts in answer.jobs)
    jobs = tuple(replace(s, gpus=tuple(gpu for gpu in answer.gpus if gpu.uuid in s.gpu)) for s in seen)
    return HostJobs(jobs, answer.gpus, answer.gpu_problem, answer.incarnation, answer.problems)


def look_at_job(
    ledger: Ledger, session: Session, host: SshHost | LocalHost, job: LedgerJob, *, remember: bool = True
) -> JobStatus:
    """Look at one job; without `remember` nothing is recorded.

    Raises:
        UsageError: another attempt counts meanwhile, on another host.
        HostError: no answer, so that the job is unknown.
    """
    if job.host != host.name:
        hint = f"jobs --why {job.job}"
        raise UsageError(f"{_current(job)}, not that on {host.name}", where=job.job, hint=hint)
    return look_at_jobs(ledger, session, host, [job], remember=remember)[0]


def look_at_jobs(
    ledger: Ledger,
    session: Session,
    host: SshHost | LocalHost,
    jobs: Sequence[LedgerJob],
    *,
    remember: bool = True,
) -> tuple[JobStatus, ...]:
    """Look at jobs of one host, in one round trip, and write down what is news; or only look.

    Raises:
        HostError: no answer, so that the jobs are unknown.
    """
    if not jobs:
        return ()
    try:
        answer = look_at_host(session, host, [job.job for job in jobs])
    except HostError as e:
        if not remember:
            raise
        with ledger.together() as batch:
            for job in jobs:
                record_answer(batch, job, e)
        raise
    if not remember:
        return tuple(status_of(job, ledger.history(job.job), answer) for job in jobs)
    with ledger.together() as batch:
        return tuple(record_answer(batch, job, answer) for job in jobs)


def record_answer(ledger: Ledger, job: LedgerJob, answer: HostJobs | HostError) -> JobStatus:
    """The job's status after a look at its host; what is news is written down.

    An answer about an attempt that no longer counts changes nothing: the status names the one that does.
    """
    history = ledger.history(job.job)
    status = status_of(job, history, answer)
    if status.state is JobState.CREATED or (job.ended and status.state is job.state):
        return replace(status, since=time_text(job.since))  # no news
    boot = {} if isinstance(answer, HostError) else {"incarnation": answer.incarnation.model_dump()}
    evidence = {**status.evidence, **boot, "reason": status.reason}
    after = ledger.record(job.job, status.attempt, status.state, evidence)
    if after.attempt != job.attempt:
        return replace(status, state=JobState.UNKNOWN, last_known=status.state, reason=_current(after))
    if status.state is JobState.UNKNOWN:
        return status
    status = replace(status, since=time_text(after.since), as_of=time_text(after.seen_at), state=after.state)
    return with_pace(status, history, time.time())


def _current(job: LedgerJob) -> str:
    return f"attempt {job.attempt} on {job.host} counts now"
