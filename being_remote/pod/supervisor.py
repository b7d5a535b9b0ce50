"""Looks after one attempt of one job, detached, from its place in the queue to its end record.

Promises: of each (job, attempt) one process ever passes `mkdir attempts/<n>`, and only that one
starts a payload; the payload holds the job's and the GPUs' locks itself; wall time, stall time and
cancel are kept while the laptop sleeps; the end record is written while the lock is held. It
restarts nothing. Started by `claim`; stdlib, Python 3.8.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from typing import Any, List, Optional

from being_remote.pod import job_records as records
from being_remote.pod import lease, locks
from being_remote.pod import process_groups as processes
from being_remote.pod.attempt import Attempt, AttemptOutcome
from being_remote.pod.events import Events
from being_remote.pod.job_records import Record

LOOK_S = 0.5
SLOWEST_LOOK_S = 5.0


class NothingToDo(Exception):
    """There is nothing to do here (any more); `args` are the word for the claim and the reason."""


class Supervisor:
    """One run of this program."""

    def __init__(self, workdir: str, job: str, attempt: int, answer: Optional[int]) -> None:
        self.workdir, self.job, self.number = workdir, job, attempt
        self.folder = records.job_folder(workdir, job)
        self.spec, self.spec_sha256 = records.read_spec(self.folder)
        self.incarnation = records.incarnation(workdir)
        self.events = Events()
        self._answer = answer

    def run(self) -> None:
        """From the lock to the end record."""
        lock: Optional[int] = None
        try:
            lock = self._lock()
            self._must_go_on(after_lock=True)
            self._note(lock, None)
            self._end_earlier_ones()
            self._run_locked(lock)
        except NothingToDo as e:
            if lock is not None:
                os.close(lock)  # first: who asks as soon as we have answered must not find it held
            self.say(*e.args)

    def say(self, word: str, reason: Optional[str] = None) -> None:
        """Answer the claim that waits for us; only the first word counts."""
        if self._answer is None:
            return
        line = (json.dumps({"supervisor": word, "reason": reason}) + "\n").encode()
        with contextlib.suppress(OSError):  # nobody waits any more: its link was cut
            os.write(self._answer, line)
        os.close(self._answer)
        self._answer = None

    # -- before the gate -----------------------------------------------------------------------

    def _lock(self) -> int:
        path, deadline = locks.job_lock(self.job), time.monotonic() + locks.PROBED_S
        while True:
            fd = locks.take(path, wait_s=0.05)
            if fd is not None:
                return fd
            self._must_go_on(after_lock=False)
            _, _, note = locks.probe(path)
            note = note if isinstance(note, dict) else {}
            holds = note.get("attempt")
            if holds == self.number and (
                records.is_alive(note.get("supervisor")) or time.monotonic() > deadline
            ):
                raise NothingToDo("held", None)
            if type(holds) is int and holds < self.number:
                self.say("started", f"waits for attempt {holds} to stop")
                if records.is_alive(note.get("supervisor")) is False:
                    processes.end_marked(processes.mark_of(self.job, holds), self.spec["grace_s"])
            self.events.wait(0.1)

    def _must_go_on(self, after_lock: bool) -> None:
        """Raise Leave when this attempt must not start (again)."""
        made, highest = records.attempts_of(self.folder)
        if highest > self.number:
            raise NothingToDo("overtaken", f"attempt {highest} was asked for")
        if self.number in made:
            ended = os.path.exists(os.path.join(self._attempt_folder, records.END))
            raise NothingToDo("ended" if ended else "lost" if after_lock else "held", None)
        if self._is_cancelled():
            raise NothingToDo("cancelled", "cancelled before it started")

    def _end_earlier_ones(self) -> None:
        """Earlier attempts that nobody looks after must not work beside this one."""
        for number in records.attempts_of(self.folder)[0]:
            end = os.path.join(records.attempt_folder(self.folder, number), records.END)
            if number < self.number and not os.path.exists(end):
                processes.end_marked(processes.mark_of(self.job, number), self.spec["grace_s"])

    def _lease(self, lock: int) -> tuple[List[str], List[int]]:
        if self.spec["gpus"] == 0:
            return [], []
        queue, pause = lease.Waiting(self.job, self.spec["gpus"]), LOOK_S
        try:
            while True:
                taken = queue.try_once()
                if taken is not None:
                    return taken
                self._note(lock, queue.reason)
                self.say("started", queue.reason)
                self.events.wait(pause)
                pause = min(pause * 1.2, SLOWEST_LOOK_S)
                self._must_go_on(after_lock=True)
        except (NothingToDo, lease.NeverAvailable):
            queue.give_up()
            raise

    def _note(self, lock: int, waits_for: Optional[str]) -> None:
        note = {
            "attempt": self.number,
            "incarnation": self.incarnation,
            "supervisor": records.process(os.getpid()),
            "waits_for": waits_for and waits_for[:500],
        }
        locks.write_note(lock, note)

    # -- the gate and after it -----------------------------------------------------------------

    def _run_locked(self, lock: int) -> None:
        impossible: Optional[str] = None
        gpus: List[str] = []
        held = [lock]
        try:
            gpus, gpu_locks = self._lease(lock)
            held += gpu_locks
        except lease.NeverAvailable as e:
            impossible = str(e)
        self._pass_the_gate()
        started = time.monotonic()
        who = {
            "incarnation": self.incarnation,
            "supervisor": records.process(os.getpid()),
            "gpus": gpus,
            "lock_path": locks.job_lock(self.job),
            "lock_inode": os.fstat(lock).st_ino,
        }
        records.write_json(os.path.join(self._attempt_folder, records.WHO), who)
        attempt = Attempt(self.folder, self.spec, self.number, gpus, held, self.events)
        if impossible is not None:
            outcome = AttemptOutcome("failed", None, impossible)
        else:
            outcome = attempt.run(self._asked_to_stop, on_start=lambda: self.say("started"))
        self._write_end(outcome, attempt, gpus, time.monotonic() - started)
        self.say("ended")

    def _pass_the_gate(self) -> None:
        try:
            os.mkdir(self._attempt_folder, 0o700)
        except FileExistsError:
            raise NothingToDo("held", "another pod passed first") from None
        records.sync_folder(os.path.dirname(self._attempt_folder))

    def _asked_to_stop(self) -> Optional[AttemptOutcome]:
        try:
            cancelled, highest = self._is_cancelled(), records.attempts_of(self.folder)[1]
        except OSError:  # a network disk that hiccups: the next look will tell; nothing ends for it
            return None
        if cancelled:
            return AttemptOutcome("cancelled", None, "cancelled")
        if highest > self.number:
            return AttemptOutcome("abandoned", None, f"attempt {highest} was asked for")
        return None

    def _write_end(
        self, outcome: AttemptOutcome, attempt: Attempt, gpus: List[str], elapsed_s: float
    ) -> None:
        end = {
            "state": outcome.state,
            "exit_code": outcome.exit_code,
            "reason": outcome.reason[:500],
            "elapsed_s": round(elapsed_s, 3),
            "frames_done": attempt.frames_done,
            "frames_total": attempt.frames_total,
            "gpus": gpus,
            "spec_sha256": self.spec_sha256,
            "ledger": self.spec["ledger"],
        }
        path = os.path.join(self._attempt_folder, records.END)
        while True:
            try:
                return records.write_json(path, end)
            except OSError as e:  # a full disk: hold the lock until there is room, or nobody knows the end
                self.say("error", f"the end cannot be written: {e}")
                self.events.wait(SLOWEST_LOOK_S)

    @property
    def _attempt_folder(self) -> str:
        return records.attempt_folder(self.folder, self.number)

    def _is_cancelled(self) -> bool:
        up_to = records.cancelled_up_to(self.folder)
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
    except Exception as e:
        supervisor.say("error", f"{type(e).__name__}: {e}")
        raise


def _say_error(answer: Any, error: Exception) -> None:
    if answer is not None:
        os.write(answer, (json.dumps({"supervisor": "error", "reason": str(error)[:500]}) + "\n").encode())
    sys.stderr.write(f"{error}\n")
