"""An attempt whose supervisor died: watched to the end of its processes, then verified by its files.

The supervisor that is put back never passes the gate and starts no payload. It is not the payload's parent,
so it cannot learn the exit code: a last step that verifies the files of all others says how it went, and
without one the attempt is lost. The exit record is written under the job's lock, as always.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

from being_remote.pod import gpu_lease, job_records, lock_heirs, locks, processes
from being_remote.pod.attempt import Attempt
from being_remote.pod.boot_identity import is_same_boot, runs_nowhere_else
from being_remote.pod.exit_record import AskedToStop, AttemptOutcome
from being_remote.pod.job_paths import JobPaths
from being_remote.pod.job_records import Record
from being_remote.pod.job_states import JobState
from being_remote.pod.wakeups import Wakeups

_DIED = "its supervisor died"


class OrphanRecords(NamedTuple):
    """What a dead supervisor left: `who` names it, `heartbeat` the step that it was at (or nothing, `{}`)."""

    who: Record
    heartbeat: Record

    @classmethod
    def read(cls, job: str, paths: JobPaths, number: int) -> Optional[OrphanRecords]:
        """The records of an attempt; None if nothing names its supervisor. Raises OSError."""
        attempt = paths.attempt(number)
        try:
            who = job_records.read_json(attempt.who)
            heartbeat = job_records.read_json(attempt.progress)
        except job_records.Unreadable:
            raise  # the disk fails for a moment
        except ValueError:
            return None
        if who is None:  # killed between the gate and its first record: its lock names it
            _, inode, note = locks.probe_all(locks.job_locks(job))
            if not isinstance(note, dict) or note.get("attempt") != number:
                return None
            who = {**note, "gpus": [], "lock_path": "", "lock_inode": inode}
        return cls(who, heartbeat or {})

    def is_ours(self, here: Record) -> bool:
        """Whether no other pod can run it: this boot started it, or one before it on this pod's own disk."""
        return runs_nowhere_else(self.who.get("incarnation"), here)

    @property
    def supervisor_died(self) -> bool:
        return processes.is_alive(self.who.get("supervisor")) is False

    def find_start(self, here: Record) -> Optional[float]:
        """When it started, by this boot's monotonic clock; None: unknown, or in another boot."""
        started: Any = self.who.get("started")
        then = self.who.get("incarnation")
        if not isinstance(started, float) or not isinstance(then, dict):
            return None
        same = here["boot_id"] is not None and then.get("boot_id") == here["boot_id"]
        return started if same and started <= time.monotonic() else None


def find_orphans(job: str, number: int, records: Optional[OrphanRecords], here: Record) -> List[int]:
    """What lives on this pod of an attempt whose supervisor died; `records`: if it has any."""
    return processes.find_marked(processes.mark_of(job, number)) or _find_unmarked(job, number, records, here)


def end_orphans(
    job: str, number: int, records: Optional[OrphanRecords], here: Record, grace_s: float
) -> bool:
    """End what `find_orphans` finds; False if one still lives."""
    mark = processes.mark_of(job, number)
    return processes.end_marked(mark, grace_s, lambda: _find_unmarked(job, number, records, here))


def _find_unmarked(job: str, number: int, records: Optional[OrphanRecords], here: Record) -> List[int]:
    """Living processes that carry no mark: they hold a lock of the job, or share the payload's session."""
    session: List[int] = []
    if records is not None and is_same_boot(records.who.get("incarnation"), here):
        mark = processes.mark_of(job, number)
        session = processes.find_session(records.heartbeat.get("payload"), mark)
    return sorted({*lock_heirs.find_heirs(job), *session})


def with_unseen(outcome: AttemptOutcome, job: str) -> AttemptOutcome:
    """The outcome, with a note where a process that this user cannot see has survived the attempt."""
    if not gpu_lease.find_leases(job):
        return outcome
    note = "; a process that cannot be seen from here still holds its GPU"
    return outcome._replace(reason=outcome.reason + note)


class OrphanedAttempt:
    """One attempt whose supervisor died; the caller alone looks after it."""

    def __init__(
        self,
        job: JobPaths,
        spec: Record,
        number: int,
        records: OrphanRecords,
        here: Record,
        wakeups: Wakeups,
    ) -> None:
        """`here`: the boot identity of this pod."""
        self._job, self._spec, self._number, self._wakeups = job, spec, number, wakeups
        self._records, self._here = records, here
        self._last, self._payload = records.heartbeat, records.heartbeat.get("payload")
        self._mark = processes.mark_of(spec["job"], number)
        self.started = records.find_start(here)
        self.attempt = self._attempt([], self.started)

    def wait_for_end(
        self, lock: Optional[List[int]], asked_to_stop: AskedToStop
    ) -> Tuple[Optional[List[int]], Optional[AttemptOutcome]]:
        """Wait until no process of it lives; cancel and limits end them.

        Args:
            lock: the job's, if it is free already; else the payload holds it.

        Returns:
            The lock, or None if a later attempt has it; and the outcome if it was asked to stop.
        """
        paths, state = locks.job_locks(self._spec["job"]), self._state
        records, here = self._records, self._here
        stop: Optional[AttemptOutcome] = None

        def find_unmarked() -> List[int]:
            # A later attempt ends ours before it starts, and its own are not ours to end.
            overtaken = stop is not None and stop.state is JobState.ABANDONED
            return [] if overtaken else _find_unmarked(self._spec["job"], self._number, records, here)

        while True:
            stop = stop or asked_to_stop()
            living = processes.find_marked(self._mark) or find_unmarked()
            stop = stop or (self.attempt.overdue(state) if living else None)
            if living and (stop is not None or processes.is_alive(self._payload) is False):
                # As after any step, what the payload leaves behind does not outlive it.
                processes.end_marked(self._mark, self._spec["grace_s"], find_unmarked)
                living = processes.find_marked(self._mark) or find_unmarked()
            if lock is None and not living:
                lock = locks.take_all(paths, wait_s=locks.PROBED_S)
                if lock is None and stop is not None and stop.state is JobState.ABANDONED:
                    return None, stop
            if lock is not None and not living and not processes.find_marked(self._mark):
                return lock, stop
            if self.attempt.heartbeat.is_due:
                self._write_heartbeat()
            self._wakeups.wait(self.attempt.pause_s)

    def verify(
        self, lock: List[int], asked_to_stop: AskedToStop, on_start: Callable[[], None]
    ) -> AttemptOutcome:
        """How it ended, by its files; its last step holds `lock` while it verifies them."""
        self.attempt.heartbeat.count()
        if not self._can_be_verified:
            why = "; its exit code is unknown, and no step verifies its files"
            return AttemptOutcome(JobState.LOST, None, _DIED + why)
        self.attempt = self._attempt(lock, None)  # its wall time may be over since the payload ended
        outcome = self.attempt.verify(asked_to_stop, on_start)
        if outcome.state is JobState.SUCCEEDED:
            return outcome._replace(reason=f"{_DIED}; its last step verified all its files")
        if outcome.state is JobState.FAILED:
            return AttemptOutcome(
                JobState.LOST, None, f"{_DIED}, and its files are not whole: {outcome.reason}"
            )
        return outcome

    def _write_heartbeat(self) -> None:
        step = self._last.get("step")
        if type(step) is int and isinstance(self._payload, dict):
            self.attempt.heartbeat.write(self._state, step, self._payload)

    def _attempt(self, inherited: List[int], started: Optional[float]) -> Attempt:
        made = Attempt(self._job, self._spec, self._number, [], inherited, self._wakeups, started)
        made.heartbeat.continue_from(self._last)
        return made

    @property
    def _state(self) -> JobState:
        with contextlib.suppress(ValueError):
            return JobState(self._last.get("state"))
        return JobState.RUNNING

    @property
    def _can_be_verified(self) -> bool:
        """Whether the last step verifies the others, and all of these were started."""
        last, at = len(self._spec["steps"]) - 1, self._last.get("step")
        if not self._spec["steps"][last].get("verifies") or type(at) is not int or last < 1:
            return False
        return at == last or (at == last - 1 and self._payload is not None)
