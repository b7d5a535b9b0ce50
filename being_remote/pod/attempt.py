"""One attempt after its gate: prepare the work folder, run the steps, watch them, end them.

It knows nothing of locks and queues; it is handed the descriptors that its payload must inherit.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import Callable, Dict, List, NamedTuple, Optional

from being_remote.pod import folded_log
from being_remote.pod import job_records as records
from being_remote.pod import process_groups as processes
from being_remote.pod.events import Events
from being_remote.pod.job_records import Record

BEAT_S = 5.0
LOOK_S = 0.5
LOG_ENDS_S = 5.0
LAST_WORDS, LAST_WORDS_BYTES = 300, 4096
_PLACE = re.compile(r"\{(work|bundle|files|gpus|attempt|previous|pushed)\}")


class AttemptOutcome(NamedTuple):
    """How an attempt ends."""

    state: str
    exit_code: Optional[int]
    reason: str


class Attempt:
    """The payload of one attempt and what is seen of it."""

    def __init__(
        self, folder: str, spec: Record, number: int, gpus: List[str], inherited: List[int], events: Events
    ) -> None:
        self.spec = spec
        self.frames_done: Optional[int] = None
        self.frames_total: Optional[int] = None
        self._folder, self._gpus, self._inherited, self._events = folder, gpus, inherited, events
        self._here = records.attempt_folder(folder, number)
        self._work = os.path.join(self._here, records.WORK)
        self._log = os.path.join(self._here, records.LOG)
        self._mark = processes.mark_of(spec["job"], number)
        made = [n for n in records.attempts_of(folder)[0] if n < number]
        previous = os.path.join(records.attempt_folder(folder, made[-1]), records.WORK) if made else ""
        self._places = {
            "work": self._work,
            "bundle": os.path.join(folder, "bundle"),
            "files": os.path.join(folder, "files"),
            "gpus": ",".join(gpus),
            "attempt": str(number),
            "previous": previous,
            "pushed": records.pushed_for(folder, number),
        }
        self._beat, self._next_beat = 0, 0.0
        self._most, self._moved = -1, time.monotonic()
        self._started = time.monotonic()
        self._pump: Optional[int] = None

    def run(
        self, asked_to_stop: Callable[[], Optional[AttemptOutcome]], on_start: Callable[[], None]
    ) -> AttemptOutcome:
        """Run all steps; `on_start` is called when the first one's payload runs."""
        try:
            self._prepare()
        except (OSError, ValueError, shutil.Error) as e:
            return AttemptOutcome("failed", None, f"its work folder could not be prepared: {e}")
        self._frames_total()
        source, sink = os.pipe()
        try:
            outcome = self._steps(source, sink, asked_to_stop, on_start)
        finally:
            os.close(sink)
            self._count()
            self._wait_for_the_log(source)
        if outcome.state == "failed" and outcome.exit_code:
            return outcome._replace(reason=outcome.reason + self._last_words())
        return outcome

    def _steps(
        self,
        source: int,
        sink: int,
        asked_to_stop: Callable[[], Optional[AttemptOutcome]],
        on_start: Callable[[], None],
    ) -> AttemptOutcome:
        for step in self.spec["steps"]:
            stop = asked_to_stop()
            if stop is not None:
                return stop
            outcome = self._step(step, source, sink, asked_to_stop, on_start)
            if outcome is not None:
                return outcome
        return AttemptOutcome("succeeded", 0, "all its steps ended with 0")

    # -- a step --------------------------------------------------------------------------------

    def _step(
        self,
        step: Record,
        source: int,
        sink: int,
        asked_to_stop: Callable[[], Optional[AttemptOutcome]],
        on_start: Callable[[], None],
    ) -> Optional[AttemptOutcome]:
        """None if the step ended with 0."""
        self._keep_pumping(source)
        try:
            payload = subprocess.Popen(
                [self._filled(word) for word in step["argv"]],
                cwd=os.path.join(self._work, self._filled(step["cwd"])),
                env=self._environment(step),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                pass_fds=self._inherited,
            )
        except (OSError, ValueError) as e:
            return AttemptOutcome("failed", None, f"{step['argv'][0]!r} could not be started: {e}")
        named = records.process(payload.pid)
        self._moved = time.monotonic()
        self._show(step["state"], named)
        on_start()
        stop: Optional[AttemptOutcome] = None
        while payload.poll() is None and stop is None:
            self._events.wait(self._pause())
            self._keep_pumping(source)
            if time.monotonic() >= self._next_beat:
                self._show(step["state"], named)
            stop = asked_to_stop() or self._overdue(step["state"])
        code = payload.poll()
        whole = processes.end_group(payload.pid, self._mark, payload.poll, self.spec["grace_s"])
        if stop is not None and code is None:
            left = "" if whole else "; some of its processes could not be killed"
            return stop._replace(exit_code=payload.poll(), reason=stop.reason + left)
        if code is not None and code != 0:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
            return AttemptOutcome("failed", code, f"{os.path.basename(step['argv'][0])} {how}")
        return None

    def _overdue(self, state: str) -> Optional[AttemptOutcome]:
        now, wall_s, stall_s = time.monotonic(), self.spec["wall_s"], self.spec["stall_s"]
        if wall_s is not None and now - self._started > wall_s:
            return AttemptOutcome("failed", None, f"its wall time of {wall_s:g} s was over")
        if stall_s is not None and now - self._moved > stall_s:
            self._count()
            if now - self._moved > stall_s:
                what = "no new frame" if self.spec["progress"] else "nothing new in its log"
                return AttemptOutcome("failed", None, f"{what} for {stall_s:g} s while {state}")
        return None

    def _pause(self) -> float:
        limits = [s for s in (self.spec["wall_s"], self.spec["stall_s"]) if s is not None]
        return min([LOOK_S] + [max(0.02, float(s) / 8) for s in limits])

    # -- what is seen of it --------------------------------------------------------------------

    def _show(self, state: str, payload: Record) -> None:
        self._beat += 1
        self._next_beat = time.monotonic() + BEAT_S
        self._count()
        beat = {
            "beat": self._beat,
            "state": state,
            "frames_done": self.frames_done,
            "frames_total": self.frames_total,
            "payload": payload,
        }
        try:
            records.write_json(os.path.join(self._here, records.PROGRESS), beat, durable=False)
        except OSError as e:  # a full disk must not end the payload
            sys.stderr.write(f"no sign of life could be written: {e}\n")

    def _count(self) -> None:
        """Count the frames (or the log's bytes) and note when there were more."""
        if self.spec["progress"] is not None:
            pattern = os.path.join(glob.escape(self._work), self.spec["progress"]["glob"])
            self.frames_done = moved = sum(1 for _ in glob.iglob(pattern))
        else:
            try:
                moved = os.stat(self._log).st_size
            except OSError:  # it is not there yet, or cannot be seen now
                moved = 0
        if moved > self._most:
            self._most, self._moved = moved, time.monotonic()

    def _frames_total(self) -> None:
        progress = self.spec["progress"]
        if progress is None or progress["total"] is not None:
            self.frames_total = progress and progress["total"]
        elif progress["total_glob"] is not None:
            pattern = self._filled(progress["total_glob"])
            pattern = os.path.join(pattern, "*") if os.path.isdir(pattern) else pattern
            self.frames_total = sum(1 for _ in glob.iglob(pattern))

    # -- its surroundings ----------------------------------------------------------------------

    def _prepare(self) -> None:
        os.mkdir(self._work, 0o700)
        prepare = self.spec["prepare"]
        for name in prepare["folders"]:
            os.makedirs(self._inside(name), exist_ok=True)
        for source, name in prepare["copies"]:
            path = os.path.normpath(os.path.join(self._places["files"], source))
            if not path.startswith(self._places["files"] + os.sep):
                raise ValueError(f"{source!r} leaves the job's files")
            os.makedirs(os.path.dirname(self._inside(name)), exist_ok=True)
            shutil.copyfile(path, self._inside(name))
        for name, target in prepare["links"]:
            target = self._filled(target)
            if not os.path.exists(target):
                raise ValueError(f"{target!r} is not there")
            os.makedirs(os.path.dirname(self._inside(name)), exist_ok=True)
            os.symlink(target, self._inside(name))

    def _inside(self, name: str) -> str:
        path = os.path.normpath(os.path.join(self._work, name))
        if not path.startswith(self._work + os.sep):
            raise ValueError(f"{name!r} leaves the work folder")
        return path

    def _environment(self, step: Record) -> Dict[str, str]:
        env = dict(os.environ)
        env.update({name: self._filled(value) for name, value in step["env"].items()})
        env["CUDA_VISIBLE_DEVICES"] = ",".join(self._gpus)  # of none leased it sees none
        env[processes.MARK] = self._mark
        return env

    def _filled(self, text: str) -> str:
        return _PLACE.sub(lambda found: self._places[found.group(1)], text)

    # -- its log -------------------------------------------------------------------------------

    def _keep_pumping(self, source: int) -> None:
        """Have a process that carries the output to the log, also if the last one was killed."""
        if self._pump is not None and os.waitpid(self._pump, os.WNOHANG) == (0, 0):
            return
        try:
            pid = os.fork()
        except OSError as e:  # the payload must not suffer: the pipe holds its lines until the next look
            sys.stderr.write(f"its log is not carried at the moment: {e}\n")
            self._pump = None
            return
        if pid:
            self._pump = pid
            return
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            for fd in self._inherited:
                os.close(fd)  # the log must not keep a dead payload's locks
            self._close_all_but(source)
            folded_log.pump(source, self._log, self.spec["log_bytes"])
        finally:
            os._exit(0)

    def _last_words(self) -> str:
        """The last line of its log, which mostly says why."""
        try:
            with open(self._log, "rb", opener=_without_waiting) as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_WORDS_BYTES))
                end = file.read(LAST_WORDS_BYTES)
        except OSError:  # there is none, or the payload put something else there
            return ""
        lines = end.decode("utf-8", "replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"; last in its log: {last[:LAST_WORDS]}" if last else ""

    def _close_all_but(self, source: int) -> None:
        """Above all our own end of the pipe: or its end would never come."""
        os.closerange(3, source)
        os.closerange(source + 1, 256)

    def _wait_for_the_log(self, source: int) -> None:
        deadline = time.monotonic() + LOG_ENDS_S
        while self._pump is not None and time.monotonic() < deadline:
            if os.waitpid(self._pump, os.WNOHANG) != (0, 0):
                break
            self._events.wait(0.02)
        os.close(source)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
