"""How fast a job makes its frames, and how long the rest will take. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import StateChange
from being_remote.pod.job_states import JobState

# Of less time, one frame more or less would change the answer by half.
LEAST_S = 30.0


def with_pace(status: JobStatus, history: Sequence[StateChange], now: float) -> JobStatus:
    """Add the mean pace of an attempt since this laptop first saw it run; nothing where that is unknown.

    Args:
        now: this laptop's clock, seconds since 1970, as in `history`.
    """
    running = (c for c in history if c.attempt == status.attempt and c.state is JobState.RUNNING)
    first = next(running, None)
    if first is None or status.state is not JobState.RUNNING or status.done is None:
        return status
    # A first attempt begins with none; a later one with those that it took over.
    before = first.evidence.get("frames_done")
    if before is None and status.attempt == 1:
        before = 0
    seconds = now - first.at
    if not isinstance(before, int) or status.done <= before or seconds < LEAST_S:
        return status
    per_minute = (status.done - before) / seconds * 60
    left = None if status.total is None else max(0, status.total - status.done) / per_minute * 60
    return replace(status, frames_per_minute=round(per_minute, 2), seconds_left=left and round(left))
