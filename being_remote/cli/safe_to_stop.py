"""The command `safe-to-stop`, and the local program that `--then` runs after a yes."""

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
from being_remote.cli.output import Out, stdout
from being_remote.errors import UsageError

if TYPE_CHECKING:
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
    from being_remote.cli.safe_to_stop_tables import show_safe_to_stop
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
