"""The one process of a host (of each workdir) that waits for GPUs, for all jobs that wait.

States of an attempt n before its gate, and who writes them:

    asked      attempts/<n>.asked    the claim; its supervisor starts, and takes the job's lock
    waiting    jobs/.waiting/...     that supervisor, under the job's lock, when others are before it or too
                                     few GPUs are free; it makes sure that a waiter runs, and ends
    started    attempts/<n>/         a supervisor that has the job's lock and its GPUs: the only gate. It
                                     then removes the record

The waiter holds its own lock and two tickets, nothing of a job. At each look it takes the first record, drops
it if that attempt can start no more (started, cancelled, overtaken, its folder removed), asks nvidia-smi
once, and starts a supervisor when enough GPUs are free. That one does all that a submitted supervisor does,
from the lock to the gate, so two of them, or two waiters, are as harmless as two submits. The first attempt
keeps all others waiting: none overtakes, none holds one GPU while it waits for another.

A kill leaves:

    the supervisor, before its record     "submitted": a repeated submit starts it, as ever
    the supervisor, record but no waiter  "waiting", and status says that nothing keeps the queue: the next
                                          submit or resume, or the end of any job there, starts a waiter
    the waiter, at any point              the same; supervisors that it started go on, for they are detached
    a supervisor at its turn, no gate     its record: it is started again, after the others if it failed
    a supervisor, gate but record         the waiter, or the next one, removes the record
    the pod (another boot)                records of a folder that no waiter reads, which status says; a
                                          submit or resume starts the attempt, or lets it wait in this boot
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from typing import Dict, List, Optional, Tuple

from being_remote.pod import (
    cancel_mark,
    gpu_lease,
    job_records,
    locks,
    os_problem,
    processes,
    program_store,
    start_gate,
    waiting_records,
)
from being_remote.pod.boot_identity import read_boot
from being_remote.pod.gpus import GpuQuery
from being_remote.pod.job_paths import JobPaths, waiting_folder
from being_remote.pod.job_records import Record
from being_remote.pod.program_start import start_detached
from being_remote.pod.supervisor_start import start_supervisor
from being_remote.pod.tickets import Tickets
from being_remote.pod.wait_limits import WaitLimits
from being_remote.pod.waiting_records import WaitingAttempt

LOOK_S = 0.5
SLOWEST_LOOK_S = 5.0


def ensure_waiter(workdir: str, boot: Record, programs: str, place: WaitingAttempt, reason: str) -> None:
    """Make sure that a waiter runs.

    Args:
        programs: the folder of our programs, for a new waiter.
        place, reason: what a new waiter's note says until its first look.
    """
    path, deadline = waiting_records.waiter_lock(workdir, boot), time.monotonic() + locks.PROBED_S
    while True:
        lock = locks.take(path)
        if lock is not None:
            break
        note = locks.probe(path)[2]
        named = note.get("waiter") if isinstance(note, dict) else None
        if processes.is_alive(named) is not False or time.monotonic() > deadline:
            return
        time.sleep(0.02)  # somebody looks at the lock of a dead one
    try:
        _write_note(lock, None, place, reason)
        request = {"workdir": workdir, "lock": lock, "first": [place.job, place.attempt]}
        log = f"{waiting_folder(workdir)}/waiter.log"
        process = start_detached("waiter", programs, request, log, pass_fds=(lock,))
        _write_note(lock, process.pid, place, reason)  # it may die before its first look
    finally:
        os.close(lock)


def _write_note(lock: int, waiter: Optional[int], place: WaitingAttempt, reason: str) -> None:
    identity = None if waiter is None else processes.identify(waiter)
    locks.write_note(lock, {"waiter": identity, "number": place.number, "reason": reason[:500]})


class Waiter:
    """One run of this program, which has the waiter's lock."""

    def __init__(self, workdir: str, lock: int, first: Tuple[str, int]) -> None:
        """`first`: the job and attempt of the submit that started this program; it has its environment."""
        self._workdir, self._lock = workdir, lock
        self._boot = read_boot()
        self._folder = waiting_records.boot_folder(workdir, self._boot)
        self._lock_path = waiting_records.waiter_lock(workdir, self._boot)
        self._tickets = Tickets()
        self._query: Optional[GpuQuery] = None
        self._pause = LOOK_S
        self._last_started: Optional[WaitingAttempt] = None
        self._children: Dict[WaitingAttempt, subprocess.Popen[bytes]] = {}
        self._limits: Dict[WaitingAttempt, WaitLimits] = {}
        # A cleaner of the disk may remove what was kept there.
        self._environments: Dict[Tuple[str, int], Dict[str, str]] = {first: dict(os.environ)}
        self._failed: Dict[str, str] = {}
        self._broken: Optional[str] = None
        self._reason = "waits for a GPU"

    def run(self) -> None:
        """Keep the queue until nothing waits, or another waiter has taken over."""
        while True:
            ended = self._keep()
            os.close(self._lock)
            # Whoever found the lock held has written its record before.
            if ended and not waiting_records.list_waiting(self._folder):
                return
            self._lock_path = waiting_records.waiter_lock(self._workdir, self._boot)  # its folder may be gone
            lock = locks.take(self._lock_path, locks.PROBED_S)
            if lock is None:
                return
            self._lock = lock

    def _keep(self) -> bool:
        """Keep the queue; True once nothing waits, False if our lock is another file by now."""
        while locks.is_still(self._lock_path, self._lock):
            try:
                if not self._look():
                    self._tickets.release()
                    return True
            except OSError as e:  # a disk that is full or gone for a moment
                self._reason = "waits for its disk: " + os_problem.describe(e)
                with contextlib.suppress(OSError):
                    self._write_reason()
            self._rest()
        return False

    def _look(self) -> bool:
        """Look once; False if nothing waits."""
        self._collect_ended()
        waiting = waiting_records.list_waiting(self._folder)
        while waiting and not self._can_start(waiting[0]):
            dropped = waiting.pop(0)
            waiting_records.remove_waiting(self._folder, dropped)
            waiting_records.remove_environment(dropped)
        if not waiting:
            return False
        self._learn_environments(waiting)
        self._tickets.hold({waiting[0].number, waiting[-1].number})
        first = waiting[0]
        if first not in self._children:
            reason = self._find_reason(first)
            if reason is None:
                self._start(first)
            else:
                self._reason = reason
        self._give_up_overdue(waiting)
        self._write_reason()
        return True

    def _write_reason(self) -> None:
        """Note why the first attempt waits; one whose supervisor failed just now is behind the others."""
        for first in waiting_records.list_waiting(self._folder)[:1]:
            _write_note(self._lock, os.getpid(), first, self._reason + self._failed.get(first.job, ""))

    def _find_reason(self, first: WaitingAttempt) -> Optional[str]:
        """Why the first attempt still waits; None: it is its turn."""
        if self._query is not None and self._query.hangs():
            return self._reason  # a second one would hang, too: what it said still holds
        self._broken = None
        others = self._tickets.others_up_to(first.number)
        if others:
            return f"waits for a GPU; {len(others)} before it"
        try:
            count = int(job_records.read_spec(JobPaths.of(self._workdir, first.job).spec)[0]["gpus"])
            self._query = GpuQuery()
            outlook = gpu_lease.look_for(count, *self._query.answer())
        except job_records.Unreadable:
            raise  # the disk fails for a moment
        except (ValueError, KeyError, TypeError, gpu_lease.NeverAvailable):
            return None  # the supervisor says so in its job
        self._broken = outlook.broken
        return outlook.reason if len(outlook.free) < count else None

    def _learn_environments(self, waiting: List[WaitingAttempt]) -> None:
        """Read the environments of those that came since; forget those of the others."""
        before, self._environments = self._environments, {}
        for each in waiting:
            env = before.get(each.key) or waiting_records.read_environment(each)
            if env is not None:
                self._environments[each.key] = env

    def _give_up_overdue(self, waiting: List[WaitingAttempt]) -> None:
        self._limits = {place: self._limits[place] for place in waiting if place in self._limits}
        for i, place in enumerate(waiting):
            if place not in self._limits:
                content = self._read_content(place)
                self._limits[place] = WaitLimits(content.get("wait_s"), content.get("since"))
            reason = f"waits for a GPU; {i} before it" if i else self._reason
            exceeded = self._limits[place].find_exceeded(None if i else self._broken, reason)
            if exceeded is not None and place not in self._children:
                self._start(place, give_up=exceeded)

    def _can_start(self, place: WaitingAttempt) -> bool:
        job = JobPaths.of(self._workdir, place.job)
        try:
            os.lstat(job.folder)
        except FileNotFoundError:
            return False
        started, highest = start_gate.list_attempts(job)
        cancelled = cancel_mark.cancelled_up_to(job)
        return (
            highest <= place.attempt
            and place.attempt not in started
            and (cancelled is None or cancelled < place.attempt)
        )

    def _start(self, place: WaitingAttempt, give_up: Optional[str] = None) -> None:
        """Start the attempt's supervisor; it passes the gate, waits again, or fails."""
        env = waiting_records.read_environment(place) or self._environments.get(place.key)
        env = env or self._read_content(place).get("env")  # as earlier versions kept it
        if env is None and give_up is None:  # ours is another submit's, with its tokens
            why = f"the environment of its submit was removed; resume {place.job} gives it another"
            self._move_behind(place, f"cannot be started: {why}")
            return
        try:
            program_store.mend(JobPaths.of(self._workdir, place.job))
            process = start_supervisor(self._workdir, place.job, place.attempt, env=env, give_up=give_up)
        except OSError as e:
            self._move_behind(place, f"cannot be started: {os_problem.describe(e) if e.errno else e}")
            return
        self._children[place] = process
        if place != self._last_started and place.job not in self._failed:
            self._last_started, self._pause = place, LOOK_S

    def _read_content(self, place: WaitingAttempt) -> Record:
        try:
            return job_records.read_json(f"{self._folder}/{place.name}") or {}
        except job_records.Unreadable:
            raise  # the disk fails for a moment
        except ValueError:
            return {}

    def _collect_ended(self) -> None:
        """Let attempts whose supervisor ended badly before the gate wait behind all others."""
        for place, process in list(self._children.items()):
            code = process.poll()
            if code is None:
                continue
            del self._children[place]
            if code == 0:
                self._failed.pop(place.job, None)
            if code != 0 and os.path.exists(self._path(place)) and self._can_start(place):
                how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
                self._move_behind(place, f"{how} before; see supervisor.log in its folder")

    def _move_behind(self, place: WaitingAttempt, how: str) -> None:
        number = self._tickets.draw(lambda: waiting_records.find_highest(self._folder))
        os.rename(self._path(place), self._path(place._replace(number=number)))
        self._failed[place.job] = f"; its supervisor {how}"

    def _path(self, place: WaitingAttempt) -> str:
        return f"{self._folder}/{place.name}"

    def _rest(self) -> None:
        time.sleep(self._pause)
        self._pause = min(self._pause * 1.2, SLOWEST_LOOK_S)


def main(request: str) -> None:
    """Keep the queue of {"workdir", "lock": the descriptor of the waiter's lock}."""
    asked = json.loads(request)
    os.set_inheritable(asked["lock"], False)
    job, attempt = asked["first"]
    Waiter(asked["workdir"], asked["lock"], (job, attempt)).run()
