"""When a followed job may leave its host, by a clock that the test turns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from being_remote.errors import CommandFailed, Unreachable, UsageError
from being_remote.inventory import LocalHost
from being_remote.jobs import failover
from being_remote.jobs.failover import Failover, _FailoverWatch, _never_got_gpus, follow_or_move
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import Intent, Ledger, LedgerJob
from being_remote.jobs.spec import CommandStep, JobSpec
from being_remote.pod.job_states import JobState
from being_remote.session import Result

AFTER_S = 60.0
HERE, OTHER = (LocalHost(name=name, workdir="/w") for name in ("here", "other"))


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        assert self.now < 1000 + 10 * AFTER_S, "it waits for ever"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(failover, "time", made)
    return made


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


def running_job(ledger: Ledger, gpus: int = 0) -> LedgerJob:
    steps = (CommandStep("running", ("true",)),)
    spec = JobSpec("demo-a", ledger.uuid, "command", None, HERE.name, {}, steps, gpus=gpus)
    ledger.intend(Intent.of(spec, b"{}"))
    return ledger.record("demo-a", 1, JobState.RUNNING, {})


def status(job: LedgerJob, state: JobState, gpu: tuple[str, ...] = ()) -> JobStatus:
    return JobStatus(job=job.job, host=job.host, attempt=job.attempt, state=state, reason="because", gpu=gpu)


def watch_of(ledger: Ledger, job: LedgerJob) -> _FailoverWatch:
    context: Any = SimpleNamespace(ledger=ledger)
    session: Any = SimpleNamespace(host=HERE.name)
    return _FailoverWatch(context, session, HERE, job, Failover(OTHER, AFTER_S), lambda _: None)


def raising(error: Exception, before: Callable[..., object] = lambda *_: None) -> Callable[..., Any]:
    def follow(*arguments: Any, **_: Any) -> Any:
        before(*arguments)
        raise error

    return follow


def test_a_silent_host_is_left_once_its_time_is_over_and_not_before(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failover, "follow", raising(Unreachable("gone", host="here")))
    permission = watch_of(ledger, running_job(ledger)).follow_until_silent()
    assert clock.now - 1000 == AFTER_S
    assert isinstance(permission, failover.MovePermission) and permission.word is not None
    assert (permission.state, permission.reason) == ("unknown", "gone")


def test_a_host_that_answers_and_cannot_say_how_the_job_stands_is_left_as_a_silent_one(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = CommandFailed("no", host="here", result=Result("here", (), 1, b"", b"", 0.0))
    answers = raising(failed, lambda _context, session, *_: session.note_answer())
    monkeypatch.setattr(failover, "follow", answers)
    permission = watch_of(ledger, running_job(ledger)).follow_until_silent()
    assert clock.now - 1000 == AFTER_S and isinstance(permission, failover.MovePermission)


def test_a_job_that_another_terminal_moved_is_not_moved_once_more(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = running_job(ledger)
    ledger.next_attempt(job.job, 1, {})
    monkeypatch.setattr(failover, "follow", raising(Unreachable("gone", host="here")))
    with pytest.raises(UsageError, match="another terminal made attempt 2"):
        watch_of(ledger, job).follow_until_silent()


def test_a_link_that_fails_after_the_move_is_an_error_and_moves_nothing_twice(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, moves = running_job(ledger), []

    def move(*_: Any, **__: Any) -> Any:
        moves.append(ledger.next_attempt(job.job, job.attempt, {}).attempt)
        raise Unreachable("the other is gone, too", host="other")

    monkeypatch.setattr(failover, "follow", raising(Unreachable("gone", host="here")))
    monkeypatch.setattr(failover, "move_and_follow", move)
    context: Any = SimpleNamespace(ledger=ledger)
    session: Any = SimpleNamespace(host=HERE.name)
    with pytest.raises(Unreachable, match="the other is gone, too"):
        follow_or_move(
            context,
            session,
            HERE,
            job,
            lambda _: None,
            failover=Failover(OTHER, AFTER_S),
            on_progress=lambda _: None,
        )
    assert moves == [2]


def test_only_a_failure_without_a_gpu_of_a_job_that_needs_one_moves_the_job(ledger: Ledger) -> None:
    job = running_job(ledger, gpus=1)
    assert _never_got_gpus(job, status(job, JobState.FAILED))
    assert not _never_got_gpus(job, status(job, JobState.FAILED, gpu=("GPU-1",)))
    assert not _never_got_gpus(job, status(job, JobState.CANCELLED))
    spec = dataclasses.replace(JobSpec.from_bytes(job.spec), gpus=0)
    assert not _never_got_gpus(dataclasses.replace(job, spec=spec.as_bytes), status(job, JobState.FAILED))
