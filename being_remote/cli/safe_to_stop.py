"""The command `safe-to-stop`, what it prints, and the local program that `--then` runs after a yes."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from being_remote.cli.command import command
from being_remote.cli.options import DryRunOpt, HostOpt, option
from being_remote.cli.output import Out
from being_remote.cli.printing import cell, line, new_table, prose
from being_remote.cli.streams import stdout
from being_remote.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from being_remote.safe_to_stop.stop_check import SafeReport


@command
def safe_to_stop(
    out: Out,
    host: HostOpt = None,
    then: Annotated[
        str | None,
        option("CMD", "run this local program after a yes, without a shell, and exit with its code"),
    ] = None,
    dry_run: DryRunOpt = False,
) -> None:
    """Check whether a host can be stopped.

    Exit codes: 0 yes, everything is local and nothing is running; 6 no; 4 unknown.
    """
    from being_remote.workflows import safe_to_stop as workflow

    words = None if then is None else parse_command(then)
    report = workflow.safe_to_stop(out.inventory(), host=host, look_again=words is not None)
    _finish(out, report, words, dry_run=dry_run)


def _finish(out: Out, report: SafeReport, words: tuple[str, ...] | None, *, dry_run: bool) -> None:
    """Print the report and leave with its exit code; after a yes, run the program and leave with its own.

    On a terminal the verdict comes before what the program prints; as JSON it comes after it, with its
    exit code.
    """
    from being_remote.safe_to_stop.stop_check import FollowUpCommand

    if words is None:
        out.finish(report, show_safe_to_stop)
    elif not report.safe or dry_run:
        out.finish(replace(report, then=FollowUpCommand(words)), show_safe_to_stop)
    elif out.as_json:
        code = _run_command(words, keep_stdout=True)
        out.finish(replace(report, then=FollowUpCommand(words, code)), show_safe_to_stop)
    else:
        show_safe_to_stop(stdout(), report)
        out.leave(_run_command(words, keep_stdout=False))


def parse_command(text: str) -> tuple[str, ...]:
    """Split a command line into words as a shell does; no shell sees them.

    Raises:
        UsageError: no words, an open quote, or a program that does not exist.

    Example:
        >>> parse_command("echo 'pod 7' $HOME")
        ('echo', 'pod 7', '$HOME')
    """
    try:
        words = shlex.split(text)
    except ValueError as e:
        raise UsageError(f"{text!r} is not a command: {e}", where="--then") from e
    if not words or "\0" in text:
        raise UsageError(f"{text!r} is not a command", where="--then", hint="--then 'PROGRAM WORD...'")
    if shutil.which(words[0]) is None:
        hint = "name a program of this laptop; for shell syntax: --then \"sh -c '...'\""
        raise UsageError(f"program {words[0]!r} not found", where="--then", hint=hint)
    return tuple(words)


def _run_command(words: Sequence[str], *, keep_stdout: bool) -> int:
    """Run a program to its end and return its exit code, as a shell would report it.

    With `keep_stdout`, what it prints goes to stderr, because stdout carries a JSON document.
    """
    sys.stdout.flush()
    code = subprocess.run(words, stdout=sys.stderr if keep_stdout else None, check=False).returncode
    return code if code >= 0 else 128 - code


def show_safe_to_stop(console: Console, report: SafeReport) -> None:
    """The verdict in one line, the reasons with their next commands, and what is worth knowing."""
    verdict, style = {
        True: ("yes", "bold green"),
        False: ("NO", "bold red"),
        None: ("UNKNOWN", "bold yellow"),
    }[report.safe]
    prose(console, f"{verdict}: {_facts(report) if report.safe else _against(report)}", style)
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
    from being_remote.wording import count_noun

    files = sum(row.files for row in report.actors) + sum(row.files for row in report.jobs)
    counts = (len(report.actors), "actor"), (files, "file"), (len(report.jobs), "job")
    local = ", ".join(count_noun(count, noun) for count, noun in counts)
    return f"{local} verified local; {_idle(report)}"


def _against(report: SafeReport) -> str:
    first = report.reasons[0].what
    more = len(report.reasons) - 1
    return f"{first}{f' (and {more} more)' if more else ''}; {_idle(report)}"


def _idle(report: SafeReport) -> str:
    from being_remote.wording import duration

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
