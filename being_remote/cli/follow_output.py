"""What is printed while a job is followed: plain lines, at once.

Without rich, which takes megabytes: a job may be followed for days.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from being_remote.cli.text import printable
from being_remote.wording import size_words

if TYPE_CHECKING:
    from being_remote.cli.output import Out
    from being_remote.jobs.follow import FollowedLogLine, MovedLine, Say, StateLine, StayedLine
    from being_remote.jobs.live_download import DownloadSummary, LocalFilesLine
    from being_remote.workflows.logs import LogsReport

# People need no line for every file; with --json every line is printed.
DOWNLOADS_EVERY_S = 30.0
EXAMPLES = 5


def teller(out: Out) -> Say:
    """Return what prints a followed job: JSON Lines, or the log on stdout and the rest on stderr."""
    printed_at = -DOWNLOADS_EVERY_S

    def tell(line: FollowedLogLine | StateLine | LocalFilesLine | MovedLine | StayedLine) -> None:
        # Imported by then, unless nothing is followed.
        from being_remote.jobs.follow import FollowedLogLine, MovedLine, StateLine, StayedLine
        from being_remote.jobs.live_download import LocalFilesLine

        nonlocal printed_at
        if isinstance(line, StateLine):
            out.followed_job = line.job if line.at_work else None
        if out.as_json:
            out.line(line)
        elif isinstance(line, MovedLine):
            out.note(_moved_text(line))
        elif isinstance(line, StayedLine):
            out.note(
                f"NOT MOVED: {line.to_host} does not answer: {line.reason}; asking {line.from_host} and"
                f" {line.to_host} again for as long as --after says"
            )
        elif isinstance(line, LocalFilesLine):
            if line.problem is not None or time.monotonic() - printed_at >= DOWNLOADS_EVERY_S:
                printed_at = time.monotonic()
                out.note(_local_files_text(line))
        elif isinstance(line, FollowedLogLine):
            out.text(printable(line.line, keep="\t"))
        else:
            out.note(f"[{line.state}{frames_text(line.frames_done, line.frames_total)}] {line.reason}")

    return tell


def tell_end(report: LogsReport) -> None:
    """Print how the job ended, or why there is nothing to see; its log lines were printed before."""
    state = printable(f"{report.job}: {report.state}: {report.reason}")
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
