"""Submit attempts to their host: one round trip for all of them, safe to repeat at any time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from being_remote.errors import DataError, DuplicateJob, HostError, InconsistentData
from being_remote.foreign_text import quote
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.job_archive import programs
from being_remote.jobs.job_status import HostJobs, JobStatus, status_on_host
from being_remote.jobs.spec import is_job_id
from being_remote.pod.job_paths import JobPaths, jobs_folder, volume_marker
from being_remote.pod_client.job_answers import BootIdentity, SubmittedJob
from being_remote.pod_client.runner import malformed_answer
from being_remote.schedulers.registry import scheduler_of
from being_remote.schedulers.scheduler import StartRequest
from being_remote.session import Session

_AGAIN = "give the same command again: that does no harm"
_MISSING = "jobs --why {job}; if its disk is gone for good: resume {job} --pod-is-gone"
# Why a host did not take a job, and what to do.
_NOT_TAKEN = {
    "absent": ("the job is not on the host", _MISSING),
    "elsewhere": ("the host has another disk than the one to which the job was sent", _MISSING),
    "torn": ("the job arrived damaged", _AGAIN),
    "forgotten": (
        "the job was forgotten on the host, and its id never starts again",
        "the same settings with --again make a new job",
    ),
    "unpushed": ("the files from which it continues are not on the host", "resume {job} uploads them again"),
}


@dataclass(frozen=True)
class SubmitResult:
    """What the submit of one attempt came to. `claim` is "made" when this very call put the job on the host.

    `supervisor`: what the ensured supervisor said; "silent" when it did not answer in time. `reason` is
    its own, where it gave one. `seen`: the job as the host shows it right after.
    """

    claim: Literal["made", "there"]
    supervisor: str
    reason: str
    volume: str | None
    seen: HostJobs

    @property
    def status(self) -> JobStatus:
        return self.seen.jobs[0]


def submit(
    session: Session, host: SshHost | LocalHost, choose: Callable[[str], Sequence[StartRequest]]
) -> dict[str, SubmitResult | HostError | DataError]:
    """Put jobs on the host unless they are there, and ensure that their attempts have supervisors.

    Args:
        choose: given the name of the volume that holds the host's jobs, says what to submit. Whoever sends a
            job writes that name down first: an answer that is lost leaves open whether the job arrived, and a
            host may show another disk when it is asked again.

    Returns:
        By job, what became of its attempt. `InconsistentData`: the host holds another spec under its id, and
        nothing was changed. `HostError`: it was not taken, or its supervisor could not
        start; to submit it again does no harm.

    Raises:
        HostError: no answer; to submit again does no harm.
    """

    def choose_for(volume: str | None) -> Sequence[StartRequest]:
        if volume is None:
            raise HostError(
                "its jobs folder cannot be given a name",
                host=session.host,
                hint=f"{volume_marker(jobs_folder(host.workdir))} is malformed: remove it if no job runs",
            )
        return choose(volume)

    answer = scheduler_of(host).start(session, host, programs(), choose_for)
    if answer is None:
        return {}
    return {job.job: _read(session, host, job, answer.incarnation) for job in answer.jobs}


def _read(
    session: Session, host: SshHost | LocalHost, answer: SubmittedJob, incarnation: BootIdentity
) -> SubmitResult | HostError | DataError:
    if answer.claim == "refused":
        return InconsistentData(
            "the host holds another spec under this id",
            file=f"{session.host}:{JobPaths.of(host.workdir, answer.job).folder}",
            hint="ids are never used twice; retrack --again makes another job",
        )
    if answer.claim == "same":
        other = answer.reason or ""
        if not is_job_id(other):
            return malformed_answer(session.host, "offer", "it names no job of the same settings")
        return DuplicateJob(host=session.host, other=other)
    if answer.claim == "failed":
        nothing = f"{answer.job} was not stored; nothing was started"
        full = answer.problem and answer.problem.full_disk(session.host, nothing)
        return full or HostError(
            f"{answer.job}: the job cannot be stored: {quote(answer.reason or 'no reason')}",
            host=session.host,
            hint="correct that and submit it again; nothing was started",
        )
    if answer.claim in ("made", "there") and (answer.seen is None or answer.supervisor is None):
        return malformed_answer(session.host, "offer", f"whether {answer.job} started is unknown")
    if answer.claim not in ("made", "there") or answer.seen is None or answer.supervisor is None:
        what, hint = _NOT_TAKEN[answer.claim]
        return HostError(
            f"{answer.job}: {what}; nothing was started", host=session.host, hint=hint.format(job=answer.job)
        )
    if answer.supervisor == "error":
        return HostError(
            f"{answer.job}: no supervisor could start: {quote(answer.reason or 'no reason')}",
            host=session.host,
            hint="correct that and give the same command again; nothing runs",
        )
    status = status_on_host(session.host, answer.seen, incarnation)
    return SubmitResult(
        claim=answer.claim,
        supervisor=answer.supervisor,
        reason=answer.reason or status.reason,
        volume=incarnation.volume,
        seen=HostJobs((status,), (), None, incarnation, ()),
    )
