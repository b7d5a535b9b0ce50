"""What is printed while a job is followed: plain lines, at once.

Without rich, which takes megabytes: a job may be followed for days.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from being_remote.cli.text import gpu_text, pace_text, printable
from being_remote.wording import size_words

if TYPE_CHECKING:
    from being_remote.cli.output import Out
    from being_remote.jobs.follow import DispatchedLine, FollowLine, MovedLine, Say, StateLine
    from being_remote.jobs.live_download import DownloadSummary, LocalFilesLine
    from being_remote.workflows.logs import LogsReport

# People need no line for every file; with --json every line is printed.
DOWNLOADS_EVERY_S = 30.0
EXAMPLES = 5
_BAR = 20


def teller(out: Out) -> Say:
    """Return what prints a followed job: JSON Lines, or the log on stdout and the rest on stderr."""
    return _FollowScreen(out).tell


class _FollowScreen:
    """The lines of a followed job; on a terminal, how far it is stands in the last one."""

    def __init__(self, out: Out) -> None:
        self._out = out
        self._downloads_at = -DOWNLOADS_EVERY_S
        self._stood: tuple[object, ...] = ()
        self._state: StateLine | None = None
        self._local = ""

    def tell(self, line: FollowLine) -> None:
        """Print one line."""
        # Imported by then, unless nothing is followed.
        from being_remote.jobs.follow import DispatchedLine, FollowedLogLine, MovedLine, StateLine, StayedLine

        out = self._out
        if isinstance(line, StateLine):
            out.followed_job = line.job if line.at_work else None
        if out.as_json:
            out.line(line)
        elif isinstance(line, StateLine):
            self._tell_state(line)
        elif isinstance(line, FollowedLogLine):
            out.text(printable(line.line, keep="\t"))
        elif isinstance(line, DispatchedLine):
            for text in _dispatched_lines(line):
                out.note(text)
        elif isinstance(line, MovedLine):
            out.note(_moved_text(line))
        elif isinstance(line, StayedLine):
            out.note(
                f"NOT MOVED: {line.to_host} does not answer: {line.reason}; asking {line.from_host} and"
                f" {line.to_host} again for as long as --after says"
            )
        else:
            self._tell_downloads(line)

    def _tell_state(self, line: StateLine) -> None:
        stands = (line.state, line.reason, line.attempt)
        # A count alone gets no line of its own where the last line shows it.
        if stands != self._stood or not self._out.has_status:
            self._out.note(_state_text(line, first=not self._stood))
        self._stood, self._state = stands, line
        self._show_status()

    def _tell_downloads(self, line: LocalFilesLine) -> None:
        text = _local_files_text(line)
        if line.problem is None and self._out.has_status:
            self._local = text
            if self._state is not None and line.home_frames is not None:
                # Frames arrive between two looks at the job.
                done = max(line.home_frames, self._state.frames_done or 0)
                self._state = replace(self._state, frames_done=done)
            self._show_status()
        elif line.problem is not None or time.monotonic() - self._downloads_at >= DOWNLOADS_EVERY_S:
            self._downloads_at = time.monotonic()
            self._out.note(text)

    def _show_status(self) -> None:
        at_work = self._state is not None and self._state.at_work
        parts = (bar_text(self._state), self._local) if self._state is not None and at_work else ()
        self._out.show_status("  ".join(filter(None, parts)))


def bar_text(line: StateLine) -> str:
    """How far a job is, on one line of a terminal.

    Example:
        >>> from being_remote.jobs.follow import StateLine
        >>> from being_remote.pod.job_states import JobState
        >>> bar_text(StateLine("demo-1", JobState.RUNNING, "", 214, 856, 1, 3.1, 12_426))
        'demo-1 running  #####---------------  214/856  3.1/min, 3 h 27 min left'
    """
    done, total = line.frames_done, line.frames_total
    filled = min(_BAR, _BAR * (done or 0) // total) if total else 0
    bar = "#" * filled + "-" * (_BAR - filled) if total else ""
    pace = pace_text(line.frames_per_minute, line.seconds_left)
    parts = (bar, frames_text(done, total).strip(), pace, *map(gpu_text, line.gpus))
    return "  ".join((f"{line.job} {line.state}", *filter(None, parts)))


def _state_text(line: StateLine, *, first: bool) -> str:
    """A state, and why where that says more; at first, of which job."""
    from being_remote.jobs.status_verdict import AT_WORK

    job = f"{line.job}, attempt {line.attempt} " if first else ""
    pace = pace_text(line.frames_per_minute, line.seconds_left)
    why = "; ".join(filter(None, ("" if line.reason == AT_WORK else line.reason, pace)))
    return f"{job}[{line.state}{frames_text(line.frames_done, line.frames_total)}] {why}".rstrip()


def _dispatched_lines(line: DispatchedLine) -> list[str]:
    """Which job is followed, its settings, and what to know of it."""
    actor = f" for {line.actor}" if line.actor else ""
    settings = f": {', '.join(line.settings)}" if line.settings else ""
    return [f"{line.job} on {line.host}: {line.recipe}{actor}{settings}", *(f"note: {n}" for n in line.notes)]


def tell_end(report: LogsReport) -> None:
    """Print how the job ended, or why there is nothing to see; its log lines were printed before."""
    from being_remote.jobs.status_verdict import describe_state

    state = printable(f"{report.job}: {describe_state(report.state, report.reason)}")
    if report.followed:
        print(state)
    elif report.empty:
        print(f"no log: {state}", file=sys.stderr)
    if report.home is not None:
        for text in download_lines(report.home):
            print(printable(text))


def download_lines(downloads: DownloadSummary) -> list[str]:
    """What following downloaded, and what it did not."""
    lines = [f"local: {_count(downloads.frames, downloads.files)} in {downloads.folder}"]
    if not downloads.files:
        lines = []
    if downloads.problem is not None:
        lines.append(f"not all files are local: {downloads.problem}")
    for refused in downloads.set_aside[:EXAMPLES]:
        kept = f"; quarantined as {refused.kept_as}" if refused.kept_as is not None else ""
        lines.append(f"refused: {refused.path} {refused.reason}{kept}")
    if len(downloads.set_aside) > EXAMPLES:
        lines.append(f"refused: {len(downloads.set_aside) - EXAMPLES} more")
    return lines


def frames_text(done: int | None, total: int | None) -> str:
    return "" if done is None else f" {done}/{'?' if total is None else total}"


def _moved_text(line: MovedLine) -> str:
    text = (
        f"MOVING to {line.to_host}: attempt {line.attempt} of {line.job} on {line.from_host} is abandoned:"
        f" {line.state}: {line.reason}"
    )
    if line.state == "lost":
        return text
    return f"{text}; if it still runs you pay twice; end it: cancel {line.job} --host {line.from_host}"


def _local_files_text(line: LocalFilesLine) -> str:
    if line.problem is not None:
        return f"download paused: {line.problem}"
    return f"local: {_count(line.home_frames, line.home_files)}, {size_words(line.home_bytes)}"


def _count(frames: int | None, files: int) -> str:
    return f"{files} files" if frames is None else f"{frames} frames"
