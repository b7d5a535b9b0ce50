"""All jobs of a host in one round trip: asked, parsed as a stranger's words, judged."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from being_remote.jobs.status_verdict import State, judge
from being_remote.pod_client.job_answers import BootIdentity, JobFacts, LeasedGpu, odd_answer, parsed_status
from being_remote.pod_client.runner import run_program
from being_remote.session import Session

MAX_STATUS_BYTES = 32 << 20


@dataclass(frozen=True)
class SeenJob:
    """One job as its pod shows it now, judged.

    `state` is `unknown` when the pod cannot tell; `last_known` is then what was true before.
    `attempt` is the newest attempt that was made or asked for, 0 if there is none yet.
    """

    job: str
    spec_sha256: str | None
    ledger: str | None
    attempt: int
    attempts: tuple[int, ...]
    state: State
    last_known: State | None
    reason: str
    exit_code: int | None
    gpu: tuple[str, ...]
    frames_done: int | None
    frames_total: int | None
    beat: int | None
    lock_free: bool
    supervised: bool
    evidence: JobFacts


@dataclass(frozen=True)
class HostJobs:
    """Every job of a host, its GPUs, and which incarnation of the pod answered.

    `problems`: rows of the answer that make no sense and name no job; there may be jobs that are not shown.
    """

    jobs: tuple[SeenJob, ...]
    gpus: tuple[LeasedGpu, ...]
    gpu_problem: str | None
    incarnation: BootIdentity
    problems: tuple[str, ...] = ()

    def job(self, name: str) -> SeenJob | None:
        """The job of that id; None if the pod's volume does not hold it."""
        return next((j for j in self.jobs if j.job == name), None)


def observe(
    session: Session,
    workdir: PurePosixPath,
    python: str,
    *,
    only: Sequence[str] | None = None,
    timeout_s: float | None = None,
) -> HostJobs:
    """Look at all jobs below `workdir` (or `only` some) and the GPUs; starts and changes nothing.

    Raises:
        HostError: no answer, or one that makes no sense; the jobs' state is then unknown.
    """
    request = {"workdir": str(workdir), "only": None if only is None else list(only)}
    said = run_program(session, "status", request, python=python, timeout_s=timeout_s)
    answer = parsed_status(_inflated(said, session.host), session.host)
    seen = tuple(seen_job(facts, answer.incarnation) for facts in answer.jobs)
    return HostJobs(seen, answer.gpus, answer.gpu_problem, answer.incarnation, answer.problems)


def _inflated(said: bytes, host: str) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(said, MAX_STATUS_BYTES)
    except zlib.error as e:
        raise odd_answer(e, host) from None
    if not unpacking.eof or unpacking.unused_data:
        raise odd_answer(ValueError("cut short, or more than it may be"), host)
    return text


def seen_job(facts: JobFacts, here: BootIdentity) -> SeenJob:
    """Judge one job's facts."""
    verdict = judge(facts, here)
    newest = facts.newest
    end, progress = (newest.end, newest.progress) if newest else (None, None)
    counted = end or progress
    return SeenJob(
        job=facts.job,
        spec_sha256=facts.spec_sha256,
        ledger=facts.ledger,
        attempt=facts.attempt,
        attempts=tuple(a.attempt for a in facts.attempts),
        state=verdict.state,
        last_known=verdict.last_known,
        reason=verdict.reason,
        exit_code=end.exit_code if end else None,
        gpu=facts.gpus,
        frames_done=counted.frames_done if counted else None,
        frames_total=counted.frames_total if counted else None,
        beat=progress.beat if progress else None,
        lock_free=facts.lock != "held",
        supervised=facts.supervised is True,
        evidence=facts,
    )
