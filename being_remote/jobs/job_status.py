"""How a job stands, as a person and a script see it: what its host shows, joined with the ledger. Pure.

What a host did not say is unknown, with the last known state, its time and the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from being_remote.errors import HostError
from being_remote.jobs.ledger import LedgerJob, StateChange, volume_of
from being_remote.jobs.status_verdict import judge, judge_missing, judge_no_answer
from being_remote.pod.job_states import JobState
from being_remote.pod_client.job_answers import BootIdentity, JobFacts, LeasedGpu

NO_HOST = "the inventory does not name this host any more"


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """One job. `ours` is False for one of another laptop's ledger; `superseded` is an earlier attempt on
    a host that the job left: nothing of it is used.

    `since` is when the state was learnt, `as_of` when the host last said how the job stands (both
    ISO 8601 in UTC, by this laptop's clock). `gpu` holds UUIDs. `exit_code` is the payload's. `done` of
    `total` is its progress, `frames_per_minute` and `seconds_left` its pace (`job_pace`). `gpus` are those
    that it leases, as its host measures them. `attempts` are those whose folders the host shows.
    """

    job: str
    host: str
    actor: str | None = None
    recipe: str | None = None
    attempt: int
    state: JobState
    last_known: JobState | None = None
    as_of: str | None = None
    reason: str
    exit_code: int | None = None
    gpu: tuple[str, ...] = ()
    done: int | None = field(default=None, metadata={"json": "frames_done"})
    total: int | None = field(default=None, metadata={"json": "frames_total"})
    frames_per_minute: float | None = None
    seconds_left: float | None = None
    gpus: tuple[LeasedGpu, ...] = ()
    since: str | None = None
    spec_sha256: str | None = None
    ours: bool = False
    evidence: Mapping[str, Any] = field(default_factory=dict)
    superseded: bool = False
    attempts: tuple[int, ...] = field(default=(), metadata={"json": None})

    @property
    def is_unattended(self) -> bool:
        """Whether it has not started and nothing on its host will start it, until it is submitted again."""
        queue = self.evidence.get("queue")
        forgotten = self.state is JobState.WAITING and queue is not None and not queue["kept"]
        return forgotten or self.state is JobState.SUBMITTED


@dataclass(frozen=True)
class HostJobs:
    """Every job of a host as its records show it, its GPUs, and which boot of the pod answered.

    `problems`: rows of the answer that name no job; there may be jobs that are not shown.
    """

    jobs: tuple[JobStatus, ...]
    gpus: tuple[LeasedGpu, ...]
    gpu_problem: str | None
    incarnation: BootIdentity
    problems: tuple[str, ...] = ()

    def job(self, name: str) -> JobStatus | None:
        """The job of that id; None if the host's volume does not hold it."""
        return next((job for job in self.jobs if job.job == name), None)


def unknown_error(status: JobStatus, *, hint: str) -> HostError:
    """What a command says that must know whether an attempt still runs, and cannot."""
    return HostError(
        f"{status.job}: whether attempt {status.attempt} still runs is unknown: {status.reason}",
        host=status.host,
        hint=hint,
    )


def exit_code_of(state: JobState | None) -> int:
    """The exit code of a command that was asked to bring a job to its end.

    Example:
        >>> [exit_code_of(JobState(s)) for s in ("succeeded", "running", "failed", "lost", "unknown")]
        [0, 0, 5, 5, 4]
    """
    if state is None:
        return 0
    return 5 if state.ended_badly else 4 if state is JobState.UNKNOWN else 0


def worst_exit_code(codes: Iterable[int]) -> int:
    """The exit code of several jobs: 4, an unknown state, before all others.

    Example:
        >>> worst_exit_code([0, 5, 4]), worst_exit_code([])
        (4, 0)
    """
    found = set(codes)
    return 4 if 4 in found else max(found, default=0)


def status_on_host(host: str, facts: JobFacts, here: BootIdentity) -> JobStatus:
    """A job by its records on a host alone."""
    verdict = judge(facts, here)
    newest = facts.newest
    end, heartbeat = (newest.end, newest.progress) if newest else (None, None)
    progress = end or heartbeat
    done, total = (progress.frames_done, progress.frames_total) if progress else (None, None)
    exit_code = end.exit_code if end else None
    refusal = facts.refusal.in_words(host) if facts.refusal is not None and end is None else None
    reason = f"{verdict.reason}; {refusal}" if refusal else verdict.reason
    return JobStatus(
        job=facts.job,
        host=host,
        attempt=facts.attempt,
        state=verdict.state,
        reason=reason,
        last_known=verdict.last_known,
        exit_code=exit_code,
        gpu=facts.gpus,
        done=done,
        total=total,
        spec_sha256=facts.spec_sha256,
        evidence={
            "reason": reason,
            "exit_code": exit_code,
            "gpu": list(facts.gpus),
            "frames_done": done,
            "frames_total": total,
            "lock": facts.lock,
            "supervised": facts.supervised,
            "beat": heartbeat.beat if heartbeat else None,
            "cancel": facts.cancel,
            "queue": facts.waiting and {"number": facts.waiting.number, "kept": facts.waiting.kept},
            "disk": refusal,
            "started": newest is not None,
            "end": end is not None,
            "elapsed_s": end.elapsed_s if end else None,
        },
        attempts=tuple(a.attempt for a in facts.attempts),
    )


def status_of(job: LedgerJob, history: Sequence[StateChange], answer: HostJobs | HostError) -> JobStatus:
    """A job of the ledger after its host answered, or did not."""
    if isinstance(answer, HostError):
        return status_without_answer(job, history, answer.what)
    seen = answer.job(job.job)
    if job.ended and (seen is None or seen.attempt != job.attempt or job.state is JobState.ABANDONED):
        return ended_status(job, history)
    if seen is None:
        verdict = judge_missing(volume_of(history, job.attempt), answer.incarnation, job.state)
        return _status(job, verdict.state, verdict.reason, verdict.last_known)
    if seen.spec_sha256 is not None and seen.spec_sha256 != job.spec_sha256:
        return _joined(job, seen, "the host holds another spec under this id")
    if seen.attempt > job.attempt:
        return _joined(
            job, seen, f"another laptop made attempt {seen.attempt} of it; with --take-over it is yours"
        )
    if seen.attempt < job.attempt and job.state.started:
        reason = (
            f"attempt {job.attempt} ran on it, and is missing now: its disk was restored to an older state"
        )
        return _status(job, JobState.UNKNOWN, reason, job.state)
    if seen.attempt < job.attempt:
        reason = f"attempt {job.attempt} did not reach the host; submit it again"
        return _status(job, JobState.CREATED, reason)
    if job.ended and not _is_final(job, seen):
        return ended_status(job, history)
    return _joined(job, seen)


def _is_final(job: LedgerJob, seen: JobStatus) -> bool:
    """Whether the host's records of an attempt that has ended say more than the ledger."""
    if seen.state is JobState.LOST:
        return job.state is JobState.LOST and bool(seen.evidence["end"])
    return seen.state.ended and seen.state is not JobState.ABANDONED


def status_without_answer(job: LedgerJob, history: Sequence[StateChange], reason: str) -> JobStatus:
    """A job whose host gave no answer: what ended stays so, the rest is unknown."""
    if job.ended:
        return ended_status(job, history)
    verdict = judge_no_answer(reason, job.state)
    return _status(job, verdict.state, verdict.reason, verdict.last_known)


def ended_status(job: LedgerJob, history: Sequence[StateChange]) -> JobStatus:
    """A job whose end the ledger knows; no host need be asked."""
    evidence = next((c.evidence for c in reversed(history) if c.state == job.state), {})
    return replace(
        _status(job, job.state, str(evidence.get("reason", ""))),
        exit_code=evidence.get("exit_code"),
        gpu=tuple(evidence.get("gpu", ())),
        done=evidence.get("frames_done"),
        total=evidence.get("frames_total"),
        evidence=evidence,
    )


def superseded_status(job: LedgerJob, seen: JobStatus) -> JobStatus:
    """An earlier attempt of a job, seen on a host that the job left."""
    current = f"attempt {job.attempt} on {job.host} counts"
    reason = f"attempt {seen.attempt} on {seen.host} is {seen.state}; {current}"
    if not seen.state.ended:
        still = "may still run" if seen.state is JobState.UNKNOWN else "still runs"
        reason = (
            f"attempt {seen.attempt} {still} on {seen.host}; {current}: cancel {job.job} --host {seen.host}"
        )
    return replace(seen, actor=job.actor, recipe=job.recipe, reason=reason, ours=True, superseded=True)


def time_text(at: float | None) -> str | None:
    """A time of this laptop's clock as text.

    Example:
        >>> time_text(0.0), time_text(None)
        ('1970-01-01T00:00:00Z', None)
    """
    if at is None:
        return None
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def _status(job: LedgerJob, state: JobState, reason: str, last_known: JobState | None = None) -> JobStatus:
    """A job of the ledger of which its host shows nothing."""
    return JobStatus(
        job=job.job,
        host=job.host,
        actor=job.actor,
        recipe=job.recipe,
        attempt=job.attempt,
        state=state,
        last_known=last_known,
        as_of=time_text(job.seen_at),
        reason=reason,
        since=time_text(job.since) if state in (job.state, JobState.UNKNOWN) else None,
        spec_sha256=job.spec_sha256,
        ours=True,
        evidence={"reason": reason},
    )


def _joined(job: LedgerJob, seen: JobStatus, not_ours: str | None = None) -> JobStatus:
    """A job of the ledger as its host shows it; with `not_ours`, why that says nothing about it."""
    if not_ours is None:
        base = _status(job, seen.state, seen.reason, seen.last_known)
    else:
        base = _status(job, JobState.UNKNOWN, not_ours, job.state)
    return replace(
        base,
        exit_code=seen.exit_code,
        gpu=seen.gpu,
        done=seen.done,
        total=seen.total,
        gpus=seen.gpus,
        evidence=seen.evidence,
        attempts=seen.attempts,
    )
