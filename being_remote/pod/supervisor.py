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
from typing import Callable, List, Optional, TypeVar

from being_remote.pod import (
    cancel_mark,
    exit_record,
    job_records,
    locks,
    os_problem,
    processes,
    start_gate,
    waiter,
    waiting_records,
)
from being_remote.pod.attempt import Attempt
from being_remote.pod.boot_identity import read_boot_identity
from being_remote.pod.exit_record import AttemptOutcome
from being_remote.pod.gpu_lease import Lease, NeverAvailable
from being_remote.pod.gpu_queue import GpuQueue
from being_remote.pod.job_paths import AttemptPaths, JobPaths
from being_remote.pod.job_records import Record
from being_remote.pod.job_states import JobState
from being_remote.pod.orphaned_attempt import (
    OrphanedAttempt,
    OrphanRecords,
    end_orphans,
    find_orphans,
    with_unseen,
)
from being_remote.pod.supervisor_start import write_answer
from being_remote.pod.tickets import Ticket, Tickets
from being_remote.pod.wakeups import Wakeups

WRITE_AGAIN_S = 5.0
_ELSEWHERE = "another pod already started this attempt"
_Result = TypeVar("_Result")


class NothingToDo(Exception):
    """This attempt must not start; `args` are the answer to the claim and the reason."""


class Supervisor:
    """One run of this program."""

    def __init__(self, request: Record) -> None:
        """`request`: as `main` has it."""
        workdir, job, self.number = request["workdir"], request["job"], request["attempt"]
        self.workdir, self.job = workdir, job
        self.paths = JobPaths.of(workdir, job)
        self.spec, self.spec_sha256 = job_records.read_spec(self.paths.spec)
        self.incarnation = read_boot_identity(workdir)
        self.wakeups = Wakeups()
        self._answer, self._give_up = request["answer"], request.get("give_up")
        number_and_lock = request.get("ticket")
        self._ticket: Optional[Ticket] = tuple(number_and_lock) if number_and_lock else None
        self._queue: Optional[GpuQueue] = None

    def run(self) -> None:
        """Run the attempt, from its lock to its exit record."""
        lock: Optional[List[int]] = None
        try:
            processes.adopt_orphans()
            lock = self._lock()
            if lock is None or self._is_unfinished():
                self._finish(lock)
            else:
                self._write_note(lock, None)
                self._end_earlier_attempts()
                self._run_locked(lock)
            self._look_after_queue()
        except NothingToDo as e:
            if lock is not None:
                locks.release(lock)  # before the answer: whoever asks right after it must find it free
            self.say(*e.args)

    def say(self, word: str, reason: Optional[str] = None) -> None:
        """Answer the claim that waits for us; only the first answer is sent."""
        if self._answer is None:
            return
        write_answer(self._answer, word, reason)
        os.close(self._answer)
        self._answer = None

    def _lock(self) -> Optional[List[int]]:
        """The job's lock; None where processes of this attempt hold it and its supervisor died."""
        paths, deadline = locks.job_locks(self.job), time.monotonic() + locks.PROBED_S
        while True:
            lock = locks.take_all(paths, wait_s=0.05)
            if lock is not None:
                return lock
            if self._ticket is not None:  # others need not wait until an earlier attempt has stopped
                Tickets(self._ticket).release()
                self._ticket = None
            unfinished = self._is_unfinished()  # before the note: once the gate is passed, it is current
            _, _, note = locks.probe_all(paths)
            note = note if isinstance(note, dict) else {}
            holder, alive = note.get("attempt"), processes.is_alive(note.get("supervisor"))
            if unfinished:
                if holder == self.number and alive is False:
                    return None
                raise NothingToDo("held", None)
            # Where the locks' disk is full, the lock names no holder.
            if holder in (self.number, None) and (alive or time.monotonic() > deadline):
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

    def _finish(self, lock: Optional[List[int]]) -> None:
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
        if lock is None or find_orphans(self.job, self.number, records, self.incarnation):
            self.say("held", "its supervisor died; this one looks after it now")
        orphan = OrphanedAttempt(self.paths, self.spec, self.number, records, self.incarnation, self.wakeups)
        lock, outcome = orphan.wait_for_end(lock, self._asked_to_stop)
        if lock is None:
            raise NothingToDo("ended", None)
        self._write_note(lock, None)
        if self._has_ended():
            raise NothingToDo("ended", None)
        if outcome is None:
            outcome = orphan.verify(lock, self._asked_to_stop, on_start=lambda: self.say("started"))
        elapsed_s = time.monotonic() - orphan.started if orphan.started is not None else 0.0
        if outcome.state is not JobState.ABANDONED:  # else the GPU is that of the next attempt
            outcome = with_unseen(outcome, self.job)
        self._write_end(outcome, orphan.attempt, records.who.get("gpus") or [], elapsed_s)
        self.say("lost" if outcome.state is JobState.LOST else "ended")

    def _end_earlier_attempts(self) -> None:
        """End what is left of earlier attempts without a supervisor: it must not run beside this one."""
        for number in start_gate.list_attempts(self.paths)[0]:
            if number < self.number and not exit_record.has_exit_record(self.paths.attempt(number)):
                self._end_processes(number)

    def _end_processes(self, attempt: int) -> None:
        records = OrphanRecords.read(self.job, self.paths, attempt)
        end_orphans(self.job, attempt, records, self.incarnation, self.spec["grace_s"])

    def _lease_gpus(self, lock: List[int]) -> Lease:
        """The GPUs that the job needs; without enough free ones the attempt waits, and this process ends."""
        if self.spec["gpus"] == 0:
            return [], []
        self._queue = queue = GpuQueue(self.workdir, self.incarnation, self.job, self.number, self._ticket)
        if self._give_up is not None:
            raise NeverAvailable(self._give_up)
        taken = queue.try_once(self.spec["gpus"])
        if taken is not None:
            return taken
        self._insist(lock, lambda: self._wait_in(queue))
        raise NothingToDo("waiting", queue.reason)

    def _wait_in(self, queue: GpuQueue) -> None:
        """Leave the waiting to the host's waiter."""
        wait_s, since = self.spec.get("wait_s"), time.monotonic()
        queue.record({"since": since, "wait_s": wait_s})
        waiter.ensure_waiter(self.workdir, self.incarnation, self.paths.bundle, queue.place, queue.reason)

    def _look_after_queue(self) -> None:
        """Start a waiter if attempts wait and theirs was killed: our GPUs will be free in a moment."""
        with contextlib.suppress(OSError):  # the job has ended all the same
            folder = waiting_records.boot_folder(self.workdir, self.incarnation)
            for first in waiting_records.list_waiting(folder)[:1]:
                reason = "waits for a GPU"
                waiter.ensure_waiter(self.workdir, self.incarnation, self.paths.bundle, first, reason)

    def _wait_startable(self, seconds: float) -> None:
        """Wait in full: the end of nvidia-smi, our own child, wakes us, but we need not ask again."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.wakeups.wait(left)
            try:
                unfinished = self._is_unfinished()
            except OSError:  # a disk that fails for a moment: the next look will tell
                continue
            if unfinished:
                raise NothingToDo("held", _ELSEWHERE)

    def _write_note(
        self, lock: List[int], waits_for: Optional[str], problem: Optional[Record] = None
    ) -> None:
        self._noted = lock
        self._note: Record = {
            "attempt": self.number,
            "incarnation": self.incarnation,
            "supervisor": processes.identify(os.getpid()),
            "waits_for": waits_for and waits_for[:500],
            "ledger": self.spec.get("ledger"),
            "problem": problem,
        }
        for fd in lock:
            locks.write_note(fd, self._note)

    def _report(self, problem: Optional[Record]) -> None:
        """Note what the system refused, or that it refuses nothing any more."""
        if self._note["problem"] != problem:
            self._write_note(self._noted, self._note["waits_for"], problem)

    def _insist(self, lock: List[int], act: Callable[[], _Result]) -> _Result:
        """Do it once the disk lets us: what is cancelled or overtaken meanwhile gives up."""
        while True:
            try:
                return act()
            except OSError as e:
                self._write_note(lock, "waits for its disk", os_problem.record_of(e))
                self.say("started", os_problem.describe(e))
                self._wait_startable(WRITE_AGAIN_S)

    def _has_ended(self) -> bool:
        """Whether the attempt has an exit record; asked under its lock, where no other process writes one."""
        seen: List[bool] = []
        self._store(lambda: seen.append(exit_record.has_exit_record(self._attempt_paths)))
        return seen[0]

    def _store(
        self, write: Callable[[], None], gives_up: Callable[[], Optional[AttemptOutcome]] = lambda: None
    ) -> Optional[AttemptOutcome]:
        """Write, or look, until the disk lets us: on a full disk the attempt waits.

        Returns:
            None once it is written; or how the attempt ends, where `gives_up` said so before.
        """
        while True:
            try:
                write()
                self._report(None)
                return None
            except OSError as e:
                if (outcome := gives_up()) is not None:
                    return outcome
                self._report(os_problem.record_of(e))
                self.say("started", os_problem.describe(e))
                self.wakeups.wait(WRITE_AGAIN_S)

    def _run_locked(self, lock: List[int]) -> None:
        impossible: Optional[str] = None
        gpus: List[str] = []
        gpu_locks: List[int] = []
        try:
            gpus, gpu_locks = self._lease_gpus(lock)
        except NeverAvailable as e:
            impossible = str(e)
        passed = self._insist(lock, lambda: start_gate.pass_gate(self.paths, self.number))
        if self._queue is not None:
            self._queue.leave()
        if not passed:
            raise NothingToDo("held", _ELSEWHERE)
        started = time.monotonic()
        who = {
            "incarnation": self.incarnation,
            "supervisor": processes.identify(os.getpid()),
            "started": started,
            "gpus": gpus,
            "lock_path": locks.job_locks(self.job)[0],
            "lock_inode": os.fstat(lock[0]).st_ino,
        }
        # All that the attempt must leave has its room before the payload can fill the disk.
        outcome = (
            self._store(lambda: job_records.sync_folder(self.paths.attempts), self._asked_to_stop)
            or self._store(lambda: exit_record.reserve_room(self._attempt_paths), self._asked_to_stop)
            or self._store(lambda: job_records.write_json(self._attempt_paths.who, who), self._asked_to_stop)
        )
        attempt = Attempt(self.paths, self.spec, self.number, gpus, [*lock, *gpu_locks], self.wakeups)
        if impossible is not None:
            outcome = AttemptOutcome(JobState.FAILED, None, impossible)
        elif outcome is None:
            attempt.on_problem = self._report
            outcome = attempt.run(self._asked_to_stop, on_start=lambda: self.say("started"))
        # What it started has ended, or holds them itself; the record may have to wait for the disk.
        locks.release(gpu_locks)
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
    """Look after the attempt that `request` names: {"workdir", "job", "attempt", "answer": fd or null,
    "give_up": why the attempt waits no longer and fails, "ticket": its number in the queue and the descriptor
    that holds it}. The last two may be missing."""
    asked: Record = json.loads(request)
    try:
        supervisor = Supervisor(asked)
    except (OSError, ValueError) as e:
        if asked["answer"] is not None:
            write_answer(asked["answer"], "error", str(e))
        raise SystemExit(f"no supervisor can start: {e}") from e  # the waiter must see that it failed
    try:
        supervisor.run()
    except OSError as e:
        supervisor.say("error", os_problem.describe(e))
        raise
    except Exception as e:
        supervisor.say("error", f"{type(e).__name__}: {e}")
        raise
