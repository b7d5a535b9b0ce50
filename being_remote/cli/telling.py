"""What is said while a job is followed: plain lines, at once.

Without rich, which takes megabytes: who follows a job for days keeps nothing but what that needs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from being_remote.cli.text import printable

if TYPE_CHECKING:
    from being_remote.cli.output import Out
    from being_remote.workflows.logs import LogsReport
    from being_remote.workflows.tending.following import LogLine, StateLine


def teller(out: Out) -> Callable[[LogLine | StateLine], None]:
    """Says lines and states of a followed job: JSON Lines, or the log on stdout and states on stderr."""
    from being_remote.workflows.tending.following import LogLine, StateLine

    def tell(line: LogLine | StateLine) -> None:
        if isinstance(line, StateLine):
            out.followed_job = line.job if line.at_work else None
        if out.as_json:
            out.line(line)
        elif isinstance(line, LogLine):
            sys.stdout.write(printable(line.line, keep="\t") + "\n")
            sys.stdout.flush()
        else:
            out.note(f"[{line.state}{frames_text(line.frames_done, line.frames_total)}] {line.reason}")

    return tell


def tell_end(report: LogsReport) -> None:
    """The lines were said already; what is left is the end."""
    if report.followed:
        print(printable(f"{report.job}: {report.state}: {report.reason}"))


def frames_text(done: int | None, total: int | None) -> str:
    return "" if done is None else f" {done}/{'?' if total is None else total}"
