"""Submit an attempt to its host: one round trip, safe to repeat at any time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from being_remote.errors import HostError, InconsistentData
from being_remote.foreign_text import quote
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.job_status import JobStatus, status_on_host
from being_remote.jobs.spec import JobSpec
from being_remote.pod.job_paths import JobPaths, jobs_folder, volume_marker
from being_remote.schedulers.registry import scheduler_of
from being_remote.schedulers.scheduler import StartRequest
from being_remote.session import Session

_AGAIN = "submit it again: that does no harm"
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
    """What a submit came to. `claim` is "made" when this very call put the job on the host.

    `supervisor`: what the ensured supervisor said; "silent" when it did not answer in time. `reason` is
    its own, where it gave one.
    """

    claim: Literal["made", "there"]
    supervisor: str
    reason: str
    volume: str | None
    status: JobStatus


def find_volume(session: Session, host: SshHost | LocalHost) -> str:
    """The name of the volume that holds the host's jobs; one without a name is given one.

    Whoever sends a job writes this down first: an answer that is lost leaves open whether the job
    arrived, and a host may show another disk when it is asked again.

    Raises:
        HostError: no answer.
    """
    volume = scheduler_of(host).find_volume(session, host).volume
    if volume is None:
        raise HostError(
            "its jobs folder cannot be given a name",
            host=session.host,
            hint=f"{volume_marker(jobs_folder(host.workdir))} is malformed: remove it if no job runs",
        )
    return volume


def submit(
    session: Session,
    host: SshHost | LocalHost,
    spec: JobSpec,
    archive: bytes,
    *,
    volume: str | None,
    attempt: int = 1,
    pushed: str | None = None,
) -> SubmitResult:
    """Put the job on the host unless it is there, and ensure that `attempt` has a supervisor.

    Args:
        archive: of `job_archive.build`; may be empty for a job that is known to be there.
        volume: the only one on which the job may be put.
        pushed: the folder of uploaded files from which the attempt continues; without them it does not start.

    Raises:
        InconsistentData: the host holds another spec under this id; nothing was changed.
        HostError: no answer, or the supervisor could not start. Send it again: that does no harm.
    """
    request = StartRequest(spec.job, spec.sha256, attempt, volume, pushed)
    answer = scheduler_of(host).start(session, host, request, archive)
    if answer.claim == "refused":
        raise InconsistentData(
            "the host holds another spec under this id",
            file=f"{session.host}:{JobPaths.of(host.workdir, spec.job).folder}",
            hint="ids are never used twice; start a new job",
        )
    if answer.claim not in ("made", "there") or answer.seen is None or answer.supervisor is None:
        what, hint = _NOT_TAKEN.get(answer.claim, ("malformed answer", _AGAIN))
        raise HostError(
            f"{spec.job}: {what}; nothing was started", host=session.host, hint=hint.format(job=spec.job)
        )
    if answer.supervisor == "error":
        raise HostError(
            f"{spec.job}: no supervisor could start: {quote(answer.reason or 'no reason')}",
            host=session.host,
            hint="correct that and submit it again; nothing runs",
        )
    status = status_on_host(session.host, answer.seen, answer.incarnation)
    return SubmitResult(
        claim=answer.claim,
        supervisor=answer.supervisor,
        reason=answer.reason or status.reason,
        volume=answer.incarnation.volume,
        status=status,
    )
