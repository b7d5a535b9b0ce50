"""One attempt after its gate: prepare the work folder, run the steps, watch them, end them.

It knows nothing of locks and queues; it is handed the descriptors that its payload must inherit.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from typing import Callable, Dict, List, Optional

from being_remote.pod import memory_kills, newest_log, os_problem, processes, start_gate
from being_remote.pod.exit_record import AskedToStop, AttemptOutcome
from being_remote.pod.folded_log import LogPump
from being_remote.pod.heartbeat import HeartbeatWriter
from being_remote.pod.job_paths import JobPaths
from being_remote.pod.job_records import Record
from being_remote.pod.job_states import JobState
from being_remote.pod.wakeups import Wakeups

LOOK_S = 0.5
LAST_LINE_LETTERS, LAST_LINE_BYTES = 300, 4096
_PLACE = re.compile(r"\{(work|bundle|files|gpus|attempt|previous|pushed)\}")


class Attempt:
    """The payload of one attempt, and the progress that is seen of it.

    `on_problem` is called with each heartbeat: what the system refused, or None.
    """

    def __init__(
        self,
        job: JobPaths,
        spec: Record,
        number: int,
        gpus: List[str],
        inherited: List[int],
        wakeups: Wakeups,
        started: Optional[float] = None,
    ) -> None:
        """`started`: when it started, by the monotonic clock; default: now."""
        attempt_paths = job.attempt(number)
        self._spec, self._gpus, self._inherited, self._wakeups = spec, gpus, inherited, wakeups
        self._work, self._log, self._workdir = (
            attempt_paths.work,
            attempt_paths.log,
            os.path.dirname(job.jobs),
        )
        self.on_problem: Callable[[Optional[Record]], None] = lambda _: None
        self._mark = processes.mark_of(spec["job"], number)
        self._started = time.monotonic() if started is None else started
        self.heartbeat = HeartbeatWriter(attempt_paths, spec["progress"])
        earlier = [n for n in start_gate.list_attempts(job)[0] if n < number]
        self._places = {
            "work": self._work,
            "bundle": job.bundle,
            "files": job.files,
            "gpus": ",".join(gpus),
            "attempt": str(number),
            "previous": job.attempt(earlier[-1]).work if earlier else "",
            "pushed": start_gate.find_pushed(job, number),
        }

    def run(self, asked_to_stop: AskedToStop, on_start: Callable[[], None]) -> AttemptOutcome:
        """Run all steps; `on_start` is called when a payload runs, an answer of `asked_to_stop` ends it."""
        self._asked_to_stop, self._on_start = asked_to_stop, on_start
        try:
            self._prepare()
        except (OSError, ValueError, shutil.Error) as e:
            why = _in_words(e)
            return AttemptOutcome(JobState.FAILED, None, f"its work folder could not be prepared: {why}")
        progress = self._spec["progress"]
        if progress is not None and progress["total"] is None and progress["total_glob"] is not None:
            self.heartbeat.count_total(self._filled(progress["total_glob"]))
        return self._run_steps(0)

    def verify(self, asked_to_stop: AskedToStop, on_start: Callable[[], None]) -> AttemptOutcome:
        """Run the last step alone, which verifies the files of those before it."""
        self._asked_to_stop, self._on_start = asked_to_stop, on_start
        return self._run_steps(len(self._spec["steps"]) - 1)

    def _run_steps(self, first: int) -> AttemptOutcome:
        pump = LogPump(self._log, self._spec["log_bytes"], self._inherited)
        try:
            outcome = self._run_in_order(first, pump)
        finally:
            self.heartbeat.count()
            pump.finish(self._wakeups.wait)
        if outcome.state is not JobState.FAILED:
            return outcome
        last_line = self._last_line() if outcome.exit_code else ""
        return outcome._replace(reason=outcome.reason + self._full_disk() + last_line)

    def _full_disk(self) -> str:
        """Says that its disk is full, which is why most programs fail then."""
        full = os_problem.find_full_disk(self._workdir) or os_problem.find_quota(self._work)
        return "; " + os_problem.in_words(full["errno"], self._workdir) if full else ""

    def _run_in_order(self, first: int, pump: LogPump) -> AttemptOutcome:
        for number, step in enumerate(self._spec["steps"][first:], first):
            outcome = self._asked_to_stop() or self._run_step(number, step, pump)
            if outcome is not None:
                return outcome
        return AttemptOutcome(JobState.SUCCEEDED, 0, "all its steps ended with 0")

    def _run_step(self, number: int, step: Record, pump: LogPump) -> Optional[AttemptOutcome]:
        """Run one step; None if it ended with 0."""
        state = JobState(step["state"])
        pump.keep_running()
        self.heartbeat.announce(state, number)
        kills = memory_kills.count_oom_kills()
        try:
            payload = subprocess.Popen(
                [self._filled(word) for word in step["argv"]],
                cwd=os.path.join(self._work, self._filled(step["cwd"])),
                env=self._environment(step),
                stdin=subprocess.DEVNULL,
                stdout=pump.sink,
                stderr=pump.sink,
                start_new_session=True,
                pass_fds=self._inherited,
            )
        except (OSError, ValueError) as e:
            why = f"{step['argv'][0]!r} could not be started: {_in_words(e)}"
            return AttemptOutcome(JobState.FAILED, None, why)
        identity = processes.identify(payload.pid)
        self.heartbeat.restart()
        self.heartbeat.write(state, number, identity)
        self._on_start()
        stop: Optional[AttemptOutcome] = None
        while payload.poll() is None and stop is None:
            self._wakeups.wait(self.pause_s)
            pump.keep_running()
            processes.reap_orphans((payload.pid, pump.pid))
            if self.heartbeat.is_due:
                self.heartbeat.write(state, number, identity)
                self.on_problem(self.heartbeat.problem or pump.problem)
            stop = self._asked_to_stop() or self.overdue(state)
        code = payload.poll()

        def reap() -> None:
            payload.poll()
            processes.reap_orphans((payload.pid, pump.pid))

        grace_s = self._spec["grace_s"]
        all_ended = processes.end_group(payload.pid, self._mark, reap, grace_s, not_adopted=(pump.pid,))
        if stop is not None and code is None:
            note = "" if all_ended else "; some of its processes could not be killed"
            return stop._replace(exit_code=payload.poll(), reason=stop.reason + note)
        if code is not None and code != 0:
            how = memory_kills.explain_end(code, kills)
            return AttemptOutcome(JobState.FAILED, code, f"{os.path.basename(step['argv'][0])} {how}")
        return None

    def overdue(self, state: JobState) -> Optional[AttemptOutcome]:
        """How it ends if one of its limits is passed; `state`: what it does now."""
        wall_s, stall_s = self._spec["wall_s"], self._spec["stall_s"]
        if wall_s is not None and time.monotonic() - self._started > wall_s:
            return AttemptOutcome(JobState.FAILED, None, f"its wall time of {wall_s:g} s was over")
        if stall_s is not None and self.heartbeat.stalled_s > stall_s:
            self.heartbeat.count()
            if self.heartbeat.stalled_s > stall_s:
                what = "no new frame" if self._spec["progress"] else "nothing new in its log"
                return AttemptOutcome(JobState.FAILED, None, f"{what} for {stall_s:g} s while {state}")
        return None

    @property
    def pause_s(self) -> float:
        """Seconds between two looks: short enough for its limits."""
        limits = [s for s in (self._spec["wall_s"], self._spec["stall_s"]) if s is not None]
        return min([LOOK_S] + [max(0.02, float(s) / 8) for s in limits])

    def _prepare(self) -> None:
        os.mkdir(self._work, 0o700)
        prepare, files = self._spec["prepare"], self._places["files"]
        for name in prepare["folders"]:
            os.makedirs(_path_below(self._work, name), exist_ok=True)
        for source, name in prepare["copies"]:
            shutil.copyfile(_path_below(files, source), self._new_path(name))
        for name in prepare.get("executables", ()):
            path = _path_below(self._work, name)
            os.chmod(path, os.stat(path).st_mode | 0o100)
        for name, target in prepare["links"]:
            target = self._filled(target)
            if not os.path.exists(target):
                raise ValueError(f"{target!r} is missing")
            os.symlink(target, self._new_path(name))

    def _new_path(self, name: str) -> str:
        """A path in the work folder, with the folders above it made."""
        path = _path_below(self._work, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def _environment(self, step: Record) -> Dict[str, str]:
        env = dict(os.environ)
        env.update({name: self._filled(value) for name, value in step["env"].items()})
        env["CUDA_VISIBLE_DEVICES"] = ",".join(self._gpus)  # without a lease it sees no GPU
        env[processes.MARK] = self._mark
        return env

    def _filled(self, text: str) -> str:
        return _PLACE.sub(lambda found: self._places[found.group(1)], text)

    def _last_line(self) -> str:
        """The last line of its log, which mostly says why it failed."""
        try:
            newest = newest_log.find_parts(self._log)[-1][1]
            with open(newest, "rb", opener=_open_without_waiting) as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_LINE_BYTES))
                end = file.read(LAST_LINE_BYTES)
        except OSError:  # there is none, or the payload put something else there
            return ""
        lines = end.decode("utf-8", "replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"; last in its log: {last[:LAST_LINE_LETTERS]}" if last else ""


def _in_words(error: Exception) -> str:
    return os_problem.describe(error) if isinstance(error, OSError) and error.errno else str(error)


def _path_below(folder: str, name: str) -> str:
    """`name` below `folder`. Raises ValueError if it leaves the folder."""
    path = os.path.normpath(os.path.join(folder, name))
    if not path.startswith(folder + os.sep):
        raise ValueError(f"{name!r} leaves {folder!r}")
    return path


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
