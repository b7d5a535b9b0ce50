"""One job as a person and a script see it: what its host shows, joined with what the ledger knows.

Pure. What a host did not say is unknown, with the last known state, its time and the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from being_remote.jobs.host_jobs import HostJobs, SeenJob
from being_remote.jobs.ledger import ENDED, UNKNOWN, LedgerJob, StateChange
from being_remote.jobs.status_verdict import judge_absent, judge_silence
from being_remote.pod_client.job_answers import BootIdentity

GOOD = ("succeeded",)
BAD = ("failed", "cancelled", "lost", "abandoned")
AT_WORK = ("running", "transforming")


@dataclass(frozen=True)
class JobStatus:
    """One job. `ours` is False for one that another laptop's ledger made; `superseded` is an earlier
    attempt on a host that the job left: nothing of it is taken.

    `since` is when the state was learnt, `as_of` when the host last said how the job stands (both
    ISO 8601 in UTC, by this laptop's clock). `gpu` holds UUIDs. `exit_code` is the payload's.
    """

    job: str
    host: str
    actor: str | None
    recipe: str | None
    attempt: int
    state: str
    last_known: str | None
    as_of: str | None
    reason: str
    exit_code: int | None
    gpu: tuple[str, ...]
    frames_done: int | None
    frames_total: int | None
    since: str | None
    spec_sha256: str | None
    ours: bool
    evidence: Mapping[str, Any]
    superseded: bool = False


def exit_code_of(state: str) -> int:
    """The exit code of a command that was asked to bring a job to its end.

    Example:
        >>> [exit_code_of(s) for s in ("succeeded", "running", "failed", "lost", "unknown")]
        [0, 0, 5, 5, 4]
    """
    return 5 if state in BAD else 4 if state == "unknown" else 0


def seen_row(known: LedgerJob, story: Sequence[StateChange], answer: HostJobs) -> JobStatus:
    """The row of a job whose host answered."""
    seen = answer.job(known.job)
    if known.ended and (seen is None or seen.attempt != known.attempt or known.state == "abandoned"):
        return ended_row(known, story)
    if seen is None:
        verdict = judge_absent(volume_in(story, known.attempt), answer.incarnation, _state(known))
        return _row(known, verdict.state, verdict.last_known, verdict.reason, None)
    if seen.spec_sha256 is not None and seen.spec_sha256 != known.spec_sha256:
        return _row(known, "unknown", known.state, "another spec lies there under this id", seen)
    if seen.attempt > known.attempt:
        return _row(known, "unknown", known.state, f"another laptop made attempt {seen.attempt} of it", seen)
    if seen.attempt < known.attempt and known.state in AT_WORK:
        reason = f"attempt {known.attempt} was seen there, and is not there now: the disk was set back"
        return _row(known, "unknown", known.state, reason, None)
    if seen.attempt < known.attempt:
        reason = f"attempt {known.attempt} did not reach the pod; submit it again"
        return _row(known, "created", None, reason, None)
    if known.ended and seen.state not in ("succeeded", "failed", "cancelled"):
        return ended_row(known, story)
    return _row(known, seen.state, seen.last_known, seen.reason, seen)


def silent_row(known: LedgerJob, story: Sequence[StateChange], reason: str) -> JobStatus:
    """The row of a job whose host gave no answer: what ended stays so, the rest is unknown."""
    if known.ended:
        return ended_row(known, story)
    verdict = judge_silence(reason, _state(known))
    return _row(known, verdict.state, verdict.last_known, verdict.reason, None)


def ended_row(known: LedgerJob, story: Sequence[StateChange]) -> JobStatus:
    """The row of a job whose end the ledger knows; nobody needs to be asked."""
    evidence = next((t.evidence for t in reversed(story) if t.state == known.state), {})
    return JobStatus(
        job=known.job,
        host=known.host,
        actor=known.actor,
        recipe=known.recipe,
        attempt=known.attempt,
        state=known.state,
        last_known=None,
        as_of=moment(known.seen_at),
        reason=str(evidence.get("reason", "")),
        exit_code=evidence.get("exit_code"),
        gpu=tuple(evidence.get("gpu", ())),
        frames_done=evidence.get("frames_done"),
        frames_total=evidence.get("frames_total"),
        since=moment(known.since),
        spec_sha256=known.spec_sha256,
        ours=True,
        evidence=evidence,
    )


def foreign_row(host: str, seen: SeenJob) -> JobStatus:
    """The row of a job on a host that is not in our ledger."""
    return _stranger(host, seen)


def superseded_row(known: LedgerJob, host: str, seen: SeenJob) -> JobStatus:
    """The row of an earlier attempt, seen on a host that the job left."""
    counts = f"attempt {known.attempt} on {known.host} counts"
    reason = f"attempt {seen.attempt} on {host} is {seen.state}; {counts}"
    if seen.state not in ENDED:
        still = "may still run" if seen.state == UNKNOWN else "still runs"
        reason = f"attempt {seen.attempt} {still} on {host}; {counts}: cancel {known.job} --host {host}"
    row = _stranger(host, seen)
    return replace(row, actor=known.actor, recipe=known.recipe, reason=reason, ours=True, superseded=True)


def _stranger(host: str, seen: SeenJob) -> JobStatus:
    return JobStatus(
        job=seen.job,
        host=host,
        actor=None,
        recipe=None,
        attempt=seen.attempt,
        state=seen.state,
        last_known=seen.last_known,
        as_of=None,
        reason=seen.reason,
        exit_code=seen.exit_code,
        gpu=seen.gpu,
        frames_done=seen.frames_done,
        frames_total=seen.frames_total,
        since=None,
        spec_sha256=seen.spec_sha256,
        ours=False,
        evidence=evidence_of(seen),
    )


def evidence_of(seen: SeenJob) -> dict[str, Any]:
    """What of a look is worth keeping: all that a verdict rests on, as plain values."""
    facts = seen.evidence
    newest = facts.newest
    return {
        "reason": seen.reason,
        "exit_code": seen.exit_code,
        "gpu": list(seen.gpu),
        "frames_done": seen.frames_done,
        "frames_total": seen.frames_total,
        "lock": facts.lock,
        "supervised": facts.supervised,
        "beat": seen.beat,
        "cancel": facts.cancel,
        "started": newest is not None,
        "end": newest is not None and newest.end is not None,
        "elapsed_s": newest.end.elapsed_s if newest is not None and newest.end is not None else None,
    }


def incarnation_of(here: BootIdentity) -> dict[str, Any]:
    """Which life of the pod answered, as plain values."""
    return here.model_dump()


def volume_in(story: Sequence[StateChange], attempt: int) -> str | None:
    """The volume that an attempt was sent to, or was about to be; None if it never was."""
    return next((v for t in story if t.attempt == attempt and (v := t.evidence.get("volume"))), None)


def moment(at: float | None) -> str | None:
    """A time of this laptop's clock as text.

    Example:
        >>> moment(0.0), moment(None)
        ('1970-01-01T00:00:00Z', None)
    """
    if at is None:
        return None
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def _row(
    known: LedgerJob, state: str, last_known: str | None, reason: str, seen: SeenJob | None
) -> JobStatus:
    same = state == known.state
    return JobStatus(
        job=known.job,
        host=known.host,
        actor=known.actor,
        recipe=known.recipe,
        attempt=known.attempt,
        state=state,
        last_known=last_known,
        as_of=moment(known.seen_at),
        reason=reason,
        exit_code=seen.exit_code if seen else None,
        gpu=seen.gpu if seen else (),
        frames_done=seen.frames_done if seen else None,
        frames_total=seen.frames_total if seen else None,
        since=moment(known.since) if same or state == "unknown" else None,
        spec_sha256=known.spec_sha256,
        ours=True,
        evidence=evidence_of(seen) if seen else {"reason": reason},
    )


def _state(known: LedgerJob) -> Any:
    """The ledger's word for a state is one of the verdict's."""
    return known.state
