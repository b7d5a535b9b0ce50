"""The heartbeat of an attempt, `progress.json`: a counter, the step's state and its progress."""

from __future__ import annotations

import contextlib
import glob
import os
import time
from typing import Optional

from being_remote.pod import job_records, newest_log, os_problem
from being_remote.pod.job_paths import AttemptPaths
from being_remote.pod.job_records import Record
from being_remote.pod.job_states import JobState

HEARTBEAT_S = 5.0


class HeartbeatWriter:
    """Counts an attempt's progress and writes its heartbeats.

    `progress` is the spec's: the frames that its glob finds are counted, or without one the log's bytes.
    `problem` is why the last heartbeat could not be written.
    """

    def __init__(self, attempt: AttemptPaths, progress: Optional[Record]) -> None:
        self.problem: Optional[Record] = None
        self.frames_done: Optional[int] = None
        self.frames_total: Optional[int] = None if progress is None else progress["total"]
        self._path = attempt.progress
        self._log = attempt.log
        self._pattern: Optional[str] = None
        if progress is not None:
            self._pattern = os.path.join(glob.escape(attempt.work), progress["glob"])
        self._number, self._next_at = 0, 0.0
        self._most, self._grew_at = -1, time.monotonic()

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._next_at

    @property
    def stalled_s(self) -> float:
        """Seconds since there was more progress, or since `restart`."""
        return time.monotonic() - self._grew_at

    def restart(self) -> None:
        """Count the stall from now on: a step starts."""
        self._grew_at = time.monotonic()

    def continue_from(self, last: Record) -> None:
        """Go on after the last heartbeat of a supervisor that died."""
        number, done, total = last.get("beat"), last.get("frames_done"), last.get("frames_total")
        self._number = number if type(number) is int else 0
        self.frames_done = done if type(done) is int else None
        if self.frames_total is None and type(total) is int:
            self.frames_total = total

    def count_total(self, pattern: str) -> None:
        """Count the frames that are expected: the files in a folder, or those that a glob finds."""
        pattern = os.path.join(pattern, "*") if os.path.isdir(pattern) else pattern
        self.frames_total = sum(1 for _ in glob.iglob(pattern))

    def count(self) -> None:
        """Count the progress, and note when there is more of it."""
        if self._pattern is not None:
            self.frames_done = size = sum(1 for _ in glob.iglob(self._pattern))
        else:
            try:
                size = newest_log.log_end(self._log)
            except OSError:  # not there yet, or not visible at the moment
                size = 0
        if size > self._most:
            self._most, self._grew_at = size, time.monotonic()

    def announce(self, state: JobState, step: int) -> None:
        """Write, before it starts, which step is next: whoever takes over must not miss it."""
        self._write(state, step, None)
        if self.problem is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._path)  # none is better than one that names the step before

    def write(self, state: JobState, step: int, payload: Record) -> None:
        """Count, and write the next heartbeat."""
        self._number += 1
        self._write(state, step, payload)

    def _write(self, state: JobState, step: int, payload: Optional[Record]) -> None:
        self._next_at = time.monotonic() + HEARTBEAT_S
        self.count()
        heartbeat = {
            "beat": self._number,
            "state": state,
            "step": step,
            "frames_done": self.frames_done,
            "frames_total": self.frames_total,
            "payload": payload,
        }
        try:
            job_records.write_json(self._path, heartbeat, durable=False)
            self.problem = None
        except OSError as e:  # a full disk must not end the payload
            self.problem = os_problem.record_of(e)


def count_progress(attempt: AttemptPaths, spec: Record, last: Record) -> HeartbeatWriter:
    """The progress of an attempt without a supervisor.

    Args:
        spec: the job's, which the payload may have changed.
        last: the last heartbeat, or {}.
    """
    try:
        heartbeat = HeartbeatWriter(attempt, spec.get("progress"))
    except (KeyError, TypeError):
        heartbeat = HeartbeatWriter(attempt, None)
    heartbeat.continue_from(last)
    heartbeat.count()
    return heartbeat
