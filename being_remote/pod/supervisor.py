"""Looks after one attempt of one job, detached, from its place in the queue to its exit record.

Promises: of each (job, attempt) one process passes the gate (`start_gate.py`), and only that one starts a
payload; the payload holds the job's and the GPUs' locks itself; wall time, stall time and cancel are kept
while the laptop sleeps; the exit record is written while the lock is held. It restarts nothing: an attempt
whose supervisor died is looked after to its end (`orphaned_attempt.py`). `claim` starts it.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any, Callable, List, Optional, Tuple

from being_remote.pod import (
    cancel_mark,
    exit_record,
    gpu_lease,
    job_records,
    locks,
    os_problem,
    processes,
    start_gate,
)
from being_remote.pod.attempt import Attempt
from being_remote.pod.boot_identity import read_boot_identity
from being_remote.pod.exit_record import AttemptOutcome
from being_remote.pod.job_paths import AttemptPaths, JobPaths
from being_remote.pod.job_records import Record
from being_remote.pod.job_states import JobState
from being_remote.pod.orphaned_attempt import OrphanedAttempt, OrphanRecords
from being_remote.pod.wait_limits import WaitLimits
from being_remote.pod.wakeups import Wakeups

LOOK_S = 0.5
SLOWEST_LOOK_S = 5.0
_ELSEWHERE = "another pod already started this attempt"


class NothingToDo(Exception):
    """This attempt must not start; `args` are the answer to the claim and the reason."""


class Supervisor:
    """One run of this program."""

    def __init__(self, workdir: str, job: str, attempt: int, answer: Optional[int]) -> None:
        self.workdir, self.job, self.number = workdir, job, attempt
        self.paths = JobPaths.of(workdir, job)
        self.spec, self.spec_sha256 = job_records.read_spec(self.paths.spec)
        self.incarnation = read_boot_identity(workdir)
        self.wakeups = Wakeups()
        self._answer = answer

    def run(self) -> None:
        """Run the attempt, from its lock to its exit record."""
        lock: Optional[int] = None
        try:
            processes.adopt_orphans()
            lock = self._lock()
            if lock is None or self._is_unfinished():
                self._finish(lock)
                return
            self._write_note(lock, None)
            self._end_earlier_attempts()
            self._run_locked(lock)
        except NothingToDo as e:
            if lock is not None:
                os.close(lock)  # before the answer: whoever asks right after it must not find the lock held
            self.say(*e.args)

    def say(self, word: str, reason: Optional[str] = None) -> None:
        """Answer the claim that waits for us; only the first answer is sent."""
        if self._answer is None:
            return
        line = (json.dumps({"supervisor": word, "reason": reason}) + "\n").encode()
        with contextlib.suppress(OSError):  # the claim has ended: its link was cut
            os.write(self._answer, line)
        os.close(self._answer)
        self._answer = None

    def _lock(self) -> Optional[int]:
        """The job's lock; None where processes of this attempt hold it and its supervisor died."""
        path, deadline = locks.job_lock(self.job), time.monotonic() + locks.PROBED_S
        while True:
            fd = locks.take(path, wait_s=0.05)
            if fd is not None:
                return fd
            unfinished = self._is_unfinished()  # before the note: once the gate is passed, it is current
            _, _, note = locks.probe(path)
            note = note if isinstance(note, dict) else {}
            holder, alive = note.get("attempt"), processes.is_alive(note.get("supervisor"))
            if unfinished:
                if holder == self.number and alive is False:
                    return None
                raise NothingToDo("held", None)
            if holder == self.number and (alive or time.monotonic() > deadline):
                raise NothingToDo("held", None)
            if type(holder) is int and holder < self.number:
                self.say("started", f"waits for attempt {holder} to stop")
                if alive is False:
                    self._end_processes(holder)
            self.wakeups.wait(0.1)

    def _is_unfinished(self) -> bool:
        """Whether this attempt was started and has no exit record; it is then not started again.

        Raises:
            NothingToDo: it has ended, or must not start.
        """
        started, highest = start_gate.list_attempts(self.paths)
        if highest > self.number:
            raise NothingToDo("overtaken", f"attempt {highest} was asked for")
        if self.number in started:
            if exit_record.has_exit_record(self._attempt_paths):
                raise NothingToDo("ended", None)
            return True
        if self._is_cancelled():
            raise NothingToDo("cancelled", "cancelled before it started")
        return False

    def _finish(self, lock: Optional[int]) -> None:
        """Look after an attempt whose supervisor died, to its exit record.

        Raises:
            NothingToDo: somebody else does, or may still run it elsewhere.
        """
        watch = locks.take(locks.watch_lock(self.job))  # held to the end of this process
        records = OrphanRecords.read(self.job, self.paths, self.number)
        if watch is None or (records is not None and not records.supervisor_died):
            raise NothingToDo("held", None)
        if records is None or not records.is_ours(self.incarnation):
            raise NothingToDo("lost", None)
        who = {**records.who, "supervisor": processes.identify(os.getpid())}
        with contextlib.suppress(OSError):  # a full disk
            job_records.write_json(self._attempt_paths.who, who)
        if lock is None:
            self.say("held", "its supervisor died; this one looks after it now")
        orphan = OrphanedAttempt(self.paths, self.spec, self.number, records, self.wakeups)
        lock, outcome = orphan.wait_for_end(lock, self._asked_to_stop)
        if lock is None or exit_record.has_exit_record(self._attempt_paths):
            raise NothingToDo("ended", None)
        self._write_note(lock, None)
        if outcome is None:
            outcome = orphan.judge(lock, self._asked_to_stop, on_start=lambda: self.say("started"))
        elapsed_s = time.monotonic() - (records.started or time.monotonic())
        self._write_end(outcome, orphan.attempt, records.who.get("gpus") or [], elapsed_s)
        self.say("lost" if outcome.state is JobState.LOST else "ended")

    def _end_earlier_attempts(self) -> None:
        """End what is left of earlier attempts without a supervisor: it must not run beside this one."""
        for number in start_gate.list_attempts(self.paths)[0]:
            if number < self.number and not exit_record.has_exit_record(self.paths.attempt(number)):
                self._end_processes(number)

    def _end_processes(self, attempt: int) -> None:
        processes.end_marked(processes.mark_of(self.job, attempt), self.spec["grace_s"])

    def _lease_gpus(self, lock: int) -> Tuple[List[str], List[int]]:
        if self.spec["gpus"] == 0:
            return [], []
        queue, pause = gpu_lease.GpuQueue(self.job, self.spec["gpus"]), LOOK_S
        limits = WaitLimits(self.spec.get("wait_s"))
        try:
            while True:
                taken = queue.try_once()
                if taken is not None:
                    return taken
                given_up = limits.find_exceeded(queue.broken, queue.reason)
                if given_up is not None:
                    raise gpu_lease.NeverAvailable(given_up)
                self._write_note(lock, queue.reason)
                self.say("started", queue.reason)
                self._wait_startable(pause)
                pause = min(pause * 1.2, SLOWEST_LOOK_S)
        except (NothingToDo, gpu_lease.NeverAvailable):
            queue.leave()
            raise

    def _wait_startable(self, seconds: float) -> None:
        """Wait in full: the end of nvidia-smi, our own child, wakes us, and is no reason to ask again."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.wakeups.wait(left)
            try:
                unfinished = self._is_unfinished()
            except OSError:  # a disk that fails for a moment: the next look will tell
                continue
            if unfinished:
                raise NothingToDo("held", _ELSEWHERE)

    def _write_note(self, lock: int, waits_for: Optional[str], problem: Optional[Record] = None) -> None:
        self._noted = lock
        self._note: Record = {
            "attempt": self.number,
            "incarnation": self.incarnation,
            "supervisor": processes.identify(os.getpid()),
            "waits_for": waits_for and waits_for[:500],
            "ledger": self.spec.get("ledger"),
            "problem": problem,
        }
        with contextlib.suppress(OSError):  # nothing depends on it
            locks.write_note(lock, self._note)

    def _report(self, problem: Optional[Record]) -> None:
        """Note what the system refused, or that it refuses nothing any more."""
        if self._note["problem"] != problem:
            self._write_note(self._noted, self._note["waits_for"], problem)

    def _pass_gate(self, lock: int) -> bool:
        while True:
            try:
                return start_gate.pass_gate(self.paths, self.number)
            except OSError as e:
                self._write_note(lock, "waits for its disk", os_problem.record_of(e))
                self.say("started", os_problem.describe(e))
                self._wait_startable(SLOWEST_LOOK_S)

    def _store(self, write: Callable[[], None]) -> None:
        """Write until the disk takes it: on a full disk the attempt waits."""
        while True:
            try:
                write()
                return self._report(None)
            except OSError as e:
                self._report(os_problem.record_of(e))
                self.say("started", os_problem.describe(e))
                self.wakeups.wait(SLOWEST_LOOK_S)

    def _run_locked(self, lock: int) -> None:
        impossible: Optional[str] = None
        gpus: List[str] = []
        held = [lock]
        try:
            gpus, gpu_locks = self._lease_gpus(lock)
            held += gpu_locks
        except gpu_lease.NeverAvailable as e:
            impossible = str(e)
        if not self._pass_gate(lock):
            raise NothingToDo("held", _ELSEWHERE)
        started = time.monotonic()
        who = {
            "incarnation": self.incarnation,
            "supervisor": processes.identify(os.getpid()),
            "started": started,
            "gpus": gpus,
            "lock_path": locks.job_lock(self.job),
            "lock_inode": os.fstat(lock).st_ino,
        }
        # All that the attempt must leave has its room before the payload can fill the disk.
        self._store(lambda: job_records.sync_folder(self.paths.attempts))
        self._store(lambda: exit_record.reserve_room(self._attempt_paths))
        self._store(lambda: job_records.write_json(self._attempt_paths.who, who))
        attempt = Attempt(self.paths, self.spec, self.number, gpus, held, self.wakeups)
        if impossible is None:
            attempt.on_problem = self._report
            outcome = attempt.run(self._asked_to_stop, on_start=lambda: self.say("started"))
        else:
            outcome = AttemptOutcome(JobState.FAILED, None, impossible)
        self._write_end(outcome, attempt, gpus, time.monotonic() - started)
        self.say("ended")

    def _asked_to_stop(self) -> Optional[AttemptOutcome]:
        try:
            cancelled, highest = self._is_cancelled(), start_gate.list_attempts(self.paths)[1]
        except OSError:  # a network disk that fails for a moment: the next look will tell
            return None
        if cancelled:
            return AttemptOutcome(JobState.CANCELLED, None, "cancelled")
        if highest > self.number:
            return AttemptOutcome(JobState.ABANDONED, None, f"attempt {highest} was asked for")
        return None

    def _write_end(
        self, outcome: AttemptOutcome, attempt: Attempt, gpus: List[str], elapsed_s: float
    ) -> None:
        # Until it is written the lock is held, or the end would be unknown.
        self._store(
            lambda: exit_record.write_exit_record(
                self._attempt_paths,
                outcome,
                elapsed_s=elapsed_s,
                spec=self.spec,
                spec_sha256=self.spec_sha256,
                frames_done=attempt.heartbeat.frames_done,
                frames_total=attempt.heartbeat.frames_total,
                gpus=gpus,
            )
        )

    @property
    def _attempt_paths(self) -> AttemptPaths:
        return self.paths.attempt(self.number)

    def _is_cancelled(self) -> bool:
        up_to = cancel_mark.cancelled_up_to(self.paths)
        return up_to is not None and self.number <= up_to


def main(request: str) -> None:
    """Look after the attempt that `request` names: {"workdir", "job", "attempt", "answer": fd or null}."""
    asked: Record = json.loads(request)
    try:
        supervisor = Supervisor(asked["workdir"], asked["job"], asked["attempt"], asked["answer"])
    except (OSError, ValueError) as e:
        _say_error(asked["answer"], e)
        return
    try:
        supervisor.run()
    except OSError as e:
        supervisor.say("error", os_problem.describe(e))
        raise
    except Exception as e:
        supervisor.say("error", f"{type(e).__name__}: {e}")
        raise


def _say_error(answer: Any, error: Exception) -> None:
    if answer is not None:
        with contextlib.suppress(OSError):  # the claim has ended
            os.write(
                answer, (json.dumps({"supervisor": "error", "reason": str(error)[:500]}) + "\n").encode()
            )
