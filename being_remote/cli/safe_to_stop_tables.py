"""What a person sees of `safe-to-stop`: the verdict in one line, then the reasons."""

from __future__ import annotations

import shlex

from rich.console import Console

from being_remote.cli.printing import cell, line, new_table, prose
from being_remote.safe_to_stop.stop_check import SafeReport
from being_remote.wording import duration


def show_safe_to_stop(console: Console, report: SafeReport) -> None:
    """The verdict in one line, the reasons with their next commands, and what is worth knowing."""
    verdict, style = {
        True: ("yes", "bold green"),
        False: ("NO", "bold red"),
        None: ("UNKNOWN", "bold yellow"),
    }[report.safe]
    line(console, f"{verdict}: {_facts(report) if report.safe else _against(report)}", style)
    if report.reasons:
        table = new_table("", "what", "next")
        for reason in report.reasons:
            sure = "no" if reason.verdict == "no" else "?"
            table.add_row(sure, cell(reason.what), cell(reason.next))
        console.print(table)
    for note in report.notes:
        prose(console, f"note: {note}")
    if report.then is not None and report.then.exit_code is None:
        line(console, f"{'would run' if report.safe else 'not run'}: {shlex.join(report.then.command)}")


def _facts(report: SafeReport) -> str:
    """What is local, and since when the host is idle."""
    files = sum(row.files for row in report.actors) + sum(row.files for row in report.jobs)
    actors = f"{len(report.actors)} actor{'' if len(report.actors) == 1 else 's'}"
    jobs = f"{len(report.jobs)} job{'' if len(report.jobs) == 1 else 's'}"
    local = f"{actors}, {files:,} file{'' if files == 1 else 's'}, {jobs} verified local"
    return f"{local}; {_idle(report)}"


def _against(report: SafeReport) -> str:
    first = report.reasons[0].what
    more = len(report.reasons) - 1
    return f"{first}{f' (and {more} more)' if more else ''}; {_idle(report)}"


def _idle(report: SafeReport) -> str:
    what = "GPU" if report.gpus else report.host
    if report.idle_s is None:
        return f"how long {what} has been idle is unknown, and so is what that cost"
    if report.idle_s == 0:
        return f"{what} in use"
    idle = f"{what} idle for {duration(report.idle_s)} (by its files' times)"
    started = ""
    if report.up_s is not None and report.up_s < report.idle_s:
        started = f"it was started {duration(report.up_s)} ago"
    if report.idle_usd is None:
        return f"{idle}; {started}" if started else idle
    cost = f"{idle}: about {report.idle_usd:,.2f} USD"
    return f"{cost} if it ran all that time; {started}" if started else cost
