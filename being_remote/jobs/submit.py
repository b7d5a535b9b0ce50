"""Submit and cancel: one round trip each, safe to send again at any time."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from being_remote.errors import HostError, InconsistentData, UsageError
from being_remote.foreign_text import quote
from being_remote.jobs.host_jobs import SeenJob, seen_job
from being_remote.jobs.spec import JobSpec
from being_remote.jobs.status_verdict import State
from being_remote.pod_client.job_answers import BootIdentity, CancelAnswer, SubmitAnswer, parsed_answer
from being_remote.pod_client.runner import run_program
from being_remote.session import Session

SUPERVISOR_WAIT_S = 20.0
_AGAIN = "submit it again: that does no harm"
_GONE = "jobs --why {job}; if its disk is gone for good: resume {job} --pod-is-gone"
# Why a pod did not take a job, and what to do.
_NOT_TAKEN = {
    "absent": ("the job is not on the pod", _GONE),
    "elsewhere": ("the pod shows another disk than the one that the job was sent to", _GONE),
    "torn": ("the job arrived damaged", _AGAIN),
    "unpushed": ("what it is to go on from is not on the pod", "resume {job}, which puts it there again"),
}


@dataclass(frozen=True)
class SubmitResult:
    """What a submit came to. `claim` is "made" when this very call put the job on the pod.

    `supervisor`: what the ensured supervisor said; "silent" when it did not answer in time.
    """

    job: str
    attempt: int
    claim: Literal["made", "there"]
    supervisor: str
    state: State
    reason: str
    gpu: tuple[str, ...]
    volume: str | None
    seen: SeenJob


@dataclass(frozen=True)
class CancelResult:
    """What a cancel came to; `state` is what the pod shows after it."""

    job: str
    cancel: Literal["absent", "marked", "ended", "asked"]
    state: State
    reason: str
    seen: SeenJob | None


def find_volume(
    session: Session, workdir: PurePosixPath, python: str, *, timeout_s: float | None = None
) -> str:
    """The name of the volume that holds the host's jobs; one without a name is given one.

    Whoever sends a job writes this down first: an answer that is lost leaves open whether the job
    arrived, and a host may show another disk when it is asked again.

    Raises:
        HostError: no answer.
    """
    request = {"workdir": str(workdir), "job": None}
    said = run_program(session, "claim", request, python=python, timeout_s=timeout_s)
    here = parsed_answer(BootIdentity, said, session.host)
    if here.volume is None:
        raise HostError(
            "its jobs folder cannot be given a name",
            host=session.host,
            hint=f"{workdir}/jobs/.volume is there and is no record of ours: remove it if nothing runs there",
        )
    return here.volume


def submit(
    session: Session,
    spec: JobSpec,
    bundle: bytes,
    *,
    workdir: PurePosixPath,
    python: str,
    volume: str | None,
    attempt: int = 1,
    pushed: str | None = None,
    timeout_s: float | None = None,
) -> SubmitResult:
    """Put the job on the pod unless it is there, and make sure that a supervisor looks after `attempt`.

    Sending it twice, or from two terminals at once, does what sending it once does. `bundle` may
    be empty for a job that is known to be there; else it is taken only on the volume that is named.
    `pushed` names what was put there before for the attempt to go on from: without it, it does not start.

    Raises:
        InconsistentData: the pod holds another spec under this id; nothing was changed.
        HostError: no answer, or the supervisor could not start. Send it again: that does no harm.
    """
    request = {
        "workdir": str(workdir),
        "job": spec.job,
        "spec_sha256": spec.sha256,
        "bundle_bytes": len(bundle),
        "bundle_sha256": hashlib.sha256(bundle).hexdigest(),
        "attempt": attempt,
        "pushed": pushed,
        "volume": volume,
        "nonce": secrets.token_hex(8),
        "wait_s": SUPERVISOR_WAIT_S,
    }
    said = run_program(session, "claim", request, python=python, timeout_s=timeout_s, payload=bundle)
    answer = parsed_answer(SubmitAnswer, said, session.host)
    if answer.claim == "refused":
        raise InconsistentData(
            "the pod holds another spec under this id",
            file=f"{session.host}:{workdir}/jobs/{spec.job}",
            hint="ids are never used twice; start a new job",
        )
    if answer.claim not in ("made", "there") or answer.seen is None or answer.supervisor is None:
        what, hint = _NOT_TAKEN.get(answer.claim, ("the answer makes no sense", _AGAIN))
        raise HostError(
            f"{spec.job}: {what}; nothing was started",
            host=session.host,
            hint=hint.format(job=spec.job),
        )
    if answer.supervisor == "error":
        raise HostError(
            f"{spec.job}: no supervisor could start: {quote(answer.reason or 'no reason')}",
            host=session.host,
            hint="mend that and submit it again; nothing runs",
        )
    seen = seen_job(answer.seen, answer.incarnation)
    return SubmitResult(
        job=spec.job,
        attempt=attempt,
        claim=answer.claim,
        supervisor=answer.supervisor,
        state=seen.state,
        reason=answer.reason or seen.reason,
        gpu=seen.gpu,
        volume=answer.incarnation.volume,
        seen=seen,
    )


def cancel(
    session: Session,
    workdir: PurePosixPath,
    python: str,
    job: str,
    *,
    attempt: int = 1,
    volume: str | None = None,
    ledger: str | None = None,
    wait_s: float = 15.0,
    timeout_s: float | None = None,
) -> CancelResult:
    """Mark the job as cancelled, wake its supervisor, and wait up to `wait_s` for its end.

    A job that is not there ("absent") may still be on its way: on `volume`, where it was sent to, a
    mark then keeps `attempt` from ever starting ("marked").

    Where the supervisor is gone, its payload is ended from here: TERM, grace, KILL. A state that is
    not ended yet means that the kill is under way. With `ledger`, a job of another ledger is refused.

    Raises:
        UsageError: the job belongs to another laptop's ledger.
        HostError: no answer; whether it was cancelled is unknown. Send it again: that does no harm.
    """
    request = {
        "workdir": str(workdir),
        "job": job,
        "attempt": attempt,
        "volume": volume,
        "ledger": ledger,
        "wait_s": wait_s,
    }
    said = run_program(session, "cancel", request, python=python, timeout_s=timeout_s)
    answer = parsed_answer(CancelAnswer, said, session.host)
    if answer.cancel == "foreign":
        raise UsageError(f"{job} on {session.host} belongs to another laptop's ledger", hint="--take-over")
    if answer.seen is None:
        marked: Literal["absent", "marked"] = "marked" if answer.cancel == "marked" else "absent"
        return CancelResult(job, marked, "created", "the job is not on the pod", None)
    seen = seen_job(answer.seen, answer.incarnation)
    return CancelResult(job, answer.cancel, seen.state, seen.reason, seen)
