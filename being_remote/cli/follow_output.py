"""What is said while a job is followed: plain lines, at once.

Without rich, which takes megabytes: who follows a job for days keeps nothing but what that needs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from being_remote.cli.text import printable, size_text

if TYPE_CHECKING:
    from being_remote.cli.output import Out
    from being_remote.jobs.background_download import DownloadSummary, LocalFilesLine
    from being_remote.jobs.follow import FollowedLogLine, MovedLine, Say, StateLine, StayedLine
    from being_remote.workflows.logs import LogsReport

# A person wants to know that files come home, not of each; a script is told all.
HOME_EVERY_S = 30.0
EXAMPLES = 5


def teller(out: Out) -> Say:
    """Says lines and states of a followed job, and what came home of it: JSON Lines, or the log on stdout
    and the rest on stderr."""
    from being_remote.jobs.background_download import LocalFilesLine
    from being_remote.jobs.follow import FollowedLogLine, MovedLine, StateLine, StayedLine

    said_at = -HOME_EVERY_S

    def tell(line: FollowedLogLine | StateLine | LocalFilesLine | MovedLine | StayedLine) -> None:
        nonlocal said_at
        if isinstance(line, StateLine):
            out.followed_job = line.job if line.at_work else None
        if out.as_json:
            out.line(line)
        elif isinstance(line, MovedLine):
            out.note(_moved_line(line))
        elif isinstance(line, StayedLine):
            out.note(_stayed_line(line))
        elif isinstance(line, LocalFilesLine):
            if line.problem is not None or time.monotonic() - said_at >= HOME_EVERY_S:
                said_at = time.monotonic()
                out.note(_home_line(line))
        elif isinstance(line, FollowedLogLine):
            out.text(printable(line.line, keep="\t"))
        else:
            out.note(f"[{line.state}{frames_text(line.frames_done, line.frames_total)}] {line.reason}")

    return tell


def tell_end(report: LogsReport) -> None:
    """The lines were said already; what is left is the end."""
    if report.followed:
        print(printable(f"{report.job}: {report.state}: {report.reason}"))
    if report.home is not None:
        for text in home_text(report.home):
            print(printable(text))


def home_text(home: DownloadSummary) -> list[str]:
    """What following brought home, and what not."""
    lines = [f"home: {_count(home.frames, home.files)} in {home.folder}"] if home.files else []
    if home.problem is not None:
        lines.append(f"not all of it is home: {home.problem}")
    lines += [f"not taken: {aside.path} {aside.reason}" for aside in home.set_aside[:EXAMPLES]]
    if len(home.set_aside) > EXAMPLES:
        lines.append(f"not taken: {len(home.set_aside) - EXAMPLES} more")
    return lines


def _moved_line(line: MovedLine) -> str:
    given_up = (
        f"attempt {line.attempt} of {line.job} on {line.from_host} is given up: {line.state}: {line.reason}"
    )
    paid_twice = f"; if it still runs there you pay twice: cancel {line.job} --host {line.from_host}"
    return f"MOVING to {line.to_host}: {given_up}{'' if line.state == 'lost' else paid_twice}"


def _stayed_line(line: StayedLine) -> str:
    both = f"{line.from_host} and {line.to_host} are asked in turn now, for as long as --after says"
    return f"NOT MOVED: {line.to_host} gave no answer: {line.reason}; {both}"


def _home_line(line: LocalFilesLine) -> str:
    if line.problem is not None:
        return f"home: nothing comes for now: {line.problem}"
    return f"home: {_count(line.home_frames, line.home_files)}, {size_text(line.home_bytes)}"


def _count(frames: int | None, files: int) -> str:
    return f"{files} files" if frames is None else f"{frames} frames"


def frames_text(done: int | None, total: int | None) -> str:
    return "" if done is None else f" {done}/{'?' if total is None else total}"
