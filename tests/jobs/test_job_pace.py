"""How fast a job is: from what this laptop saw, or unknown."""

from __future__ import annotations

from typing import Any

import pytest

from being_remote.jobs.job_pace import with_pace
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import StateChange
from being_remote.pod.job_states import JobState


def paced(done: int | None, seconds: float, *, attempt: int = 1, **more: Any) -> JobStatus:
    """A job that this laptop saw begin `seconds` ago, by default with no frames."""
    before = more.pop("before", None)
    values = {"state": JobState.RUNNING, "total": 838, **more}
    status = JobStatus(job="j", host="h", attempt=attempt, reason="x", done=done, **values)
    history = [
        StateChange(attempt, 900.0, JobState.SUBMITTED, {"frames_done": None}),
        StateChange(attempt, 1000.0, JobState.RUNNING, {"frames_done": before}),
    ]
    return with_pace(status, history, 1000.0 + seconds)


def test_the_pace_is_the_mean_since_the_attempt_was_first_seen_to_run() -> None:
    fast = paced(200, 6000)
    assert (fast.frames_per_minute, fast.seconds_left) == (2.0, 638 * 30)
    assert paced(838, 6000).seconds_left == 0
    assert paced(200, 6000, total=None).seconds_left is None


def test_frames_that_an_attempt_took_over_are_not_its_own() -> None:
    assert paced(300, 6000, attempt=2, before=100).frames_per_minute == 2.0
    assert paced(300, 6000, attempt=2).frames_per_minute is None  # how many it began with is unknown


@pytest.mark.parametrize(
    "status",
    [
        paced(None, 6000),
        paced(0, 6000),
        paced(5, 10),
        paced(5, -100),
        paced(838, 6000, state=JobState.SUCCEEDED),
        paced(200, 6000, state=JobState.UNKNOWN),
    ],
)
def test_what_is_too_little_to_tell_is_no_pace(status: JobStatus) -> None:
    assert status.frames_per_minute is None and status.seconds_left is None


def test_an_attempt_that_was_never_seen_to_run_has_no_pace() -> None:
    status = JobStatus(job="j", host="h", attempt=2, reason="x", done=9, state=JobState.RUNNING)
    history = [StateChange(1, 0.0, JobState.RUNNING, {"frames_done": 0})]
    assert with_pace(status, history, 6000.0).frames_per_minute is None
