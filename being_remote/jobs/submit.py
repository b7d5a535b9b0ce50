"""Submit and cancel: one round trip each, safe to send again at any time."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from pydantic import ValidationError

from being_remote.errors import HostError, InconsistentData, UsageError
from being_remote.jobs.facts import CancelAnswer, SubmitAnswer
from being_remote.jobs.observe import SeenJob, odd_answer, seen_job
from being_remote.jobs.programs import ask
from being_remote.jobs.spec import JobSpec
from being_remote.jobs.verdict import State
from being_remote.session import Session

MAX_ANSWER_BYTES = 1 << 20
SUPERVISOR_WAIT_S = 20.0


@dataclass(frozen=True)
class Submitted:
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
class Cancelled:
    """What a cancel came to; `state` is what the pod shows after it."""

    job: str
    cancel: Literal["absent", "ended", "asked"]
    state: State
    reason: str
    seen: SeenJob | None


def submit(
    session: Session,
    spec: JobSpec,
    bundle: bytes,
    *,
    workdir: PurePosixPath,
    python: str,
    attempt: int = 1,
    timeout_s: float | None = None,
) -> Submitted:
    """Put the job on the pod unless it is there, and make sure that a supervisor looks after `attempt`.

    Sending it twice, or from two terminals at once, does what sending it once does. `bundle` may
    be empty for a job that is known to be there.

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
        "nonce": secrets.token_hex(8),
        "wait_s": SUPERVISOR_WAIT_S,
    }
    said = ask(
        session, "claim", request, python=python, timeout_s=timeout_s, limit=MAX_ANSWER_BYTES, payload=bundle
    )
    try:
        answer = SubmitAnswer.model_validate_json(said)
    except ValidationError as e:
        raise odd_answer(e, session.host) from None
    if answer.claim == "refused":
        raise InconsistentData(
            "the pod holds another spec under this id",
            file=f"{session.host}:{workdir}/jobs/{spec.job}",
            hint="ids are never used twice; start a new job",
        )
    if answer.claim not in ("made", "there") or answer.seen is None or answer.supervisor is None:
        what = {"absent": "the job is not on the pod", "torn": "the job arrived damaged"}.get(answer.claim)
        raise HostError(
            f"{spec.job}: {what or 'the answer makes no sense'}; nothing was started",
            host=session.host,
            hint=f"jobs --why {spec.job}; if its disk is gone for good: resume {spec.job} --pod-is-gone"
            if answer.claim == "absent"
            else "submit it again: that does no harm",
        )
    if answer.supervisor == "error":
        raise HostError(
            f"{spec.job}: no supervisor could start: {answer.reason!r}",
            host=session.host,
            hint="mend that and submit it again; nothing runs",
        )
    seen = seen_job(answer.seen, answer.incarnation)
    return Submitted(
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
    ledger: str | None = None,
    wait_s: float = 15.0,
    timeout_s: float | None = None,
) -> Cancelled:
    """Mark the job as cancelled, wake its supervisor, and wait up to `wait_s` for its end.

    Where the supervisor is gone, its payload is ended from here: TERM, grace, KILL. A state that is
    not ended yet means that the kill is under way. With `ledger`, a job of another ledger is refused.

    Raises:
        UsageError: the job belongs to another laptop's ledger.
        HostError: no answer; whether it was cancelled is unknown. Send it again: that does no harm.
    """
    request = {"workdir": str(workdir), "job": job, "ledger": ledger, "wait_s": wait_s}
    said = ask(session, "cancel", request, python=python, timeout_s=timeout_s, limit=MAX_ANSWER_BYTES)
    try:
        answer = CancelAnswer.model_validate_json(said)
    except ValidationError as e:
        raise odd_answer(e, session.host) from None
    if answer.cancel == "foreign":
        raise UsageError(f"{job} on {session.host} belongs to another laptop's ledger", hint="--take-over")
    if answer.seen is None:
        return Cancelled(job, "absent", "created", "the job is not on the pod", None)
    seen = seen_job(answer.seen, answer.incarnation)
    return Cancelled(job, answer.cancel, seen.state, seen.reason, seen)
