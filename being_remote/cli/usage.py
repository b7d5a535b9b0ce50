"""One run of the app, to its exit code.

With `--json`, a command line that Click refuses is an error document too; people get Click's own text.
A reader that leaves early ends the command as it ends any other program, and not as an error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from being_remote.cli.output import print_error
from being_remote.errors import Interrupted, UsageError

PROGRAM = "being-remote"
ENDED_BY_PIPE = 141  # as a shell tells of SIGPIPE
# Typer's releases bring Click with them or import it: its UsageError is reached the same in both.
_CLICK_USAGE_ERROR: Any = typer.BadParameter.__base__


def run(app: typer.Typer, argv: Sequence[str] | None) -> None:
    """Run one command line; always ends in SystemExit."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            code = _code_of(app, args)
        finally:
            sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as e:
        # Click ends with 1, our code for a bug, where the reader has gone.
        if isinstance(e, SystemExit) and not isinstance(e.__context__, BrokenPipeError):
            raise
        # What is still unwritten goes nowhere, or Python would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ENDED_BY_PIPE
    raise SystemExit(code)


def _code_of(app: typer.Typer, args: list[str]) -> int:
    try:
        return app(args=args, prog_name=PROGRAM, standalone_mode=False) or 0
    except typer.Abort:
        print("Aborted!", file=sys.stderr)
        return Interrupted.exit_code
    except _CLICK_USAGE_ERROR as e:
        e.show()
        command = PROGRAM if e.ctx is None else e.ctx.command_path
        error = UsageError(e.format_message(), where=command, hint=f"{command} --help")
        if "--json" in args:
            print_error(error, one_line="--follow" in args)
        return error.exit_code
