"""Run the app once, to its exit code.

With `--json`, a command line that Click refuses is an error document too. A reader that closes stdout
early ends the command as it ends any other program; a full device is an error without a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import typer

from being_remote.cli.interruption_notes import begin, end_shown, interrupted
from being_remote.cli.output import print_error, show_error
from being_remote.cli.streams import OutputFailed, discard, say, saying, writing
from being_remote.errors import Interrupted, NoSpace, UsageError

PROGRAM = "being-remote"
_TEXT_ALONE = {"--help", "--version"}
ENDED_BY_PIPE = 141  # a shell's code for SIGPIPE
# Typer's releases bring Click with them or import it: its UsageError is reached the same in both.
CLICK_USAGE_ERROR: Any = typer.BadParameter.__base__


def run(app: typer.Typer, argv: Sequence[str] | None) -> None:
    """Run one command line; always ends in SystemExit."""
    args = list(sys.argv[1:] if argv is None else argv)
    _open_closed_streams()
    try:
        try:
            code = _code_of(app, args)
        finally:
            with writing():
                sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as e:
        # Click ends with 1, our code for a bug, where the reader has closed the pipe.
        if isinstance(e, SystemExit) and not isinstance(e.__context__, BrokenPipeError):
            raise
        discard(sys.stdout)
        code = ENDED_BY_PIPE
    except OutputFailed as e:
        discard(sys.stdout)
        say(
            f"error: standard output: cannot be written: {e}\n"
            "  next: free disk space or redirect the output, and run the command again; its work is not lost"
        )
        code = NoSpace.exit_code
    raise SystemExit(code)


def _open_closed_streams() -> None:
    """Where a stream was closed (`>&-`), Python has None for it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for life


def _code_of(app: typer.Typer, args: list[str]) -> int:
    # What Click itself prints, before any command begins.
    text_alone = not args or not _TEXT_ALONE.isdisjoint(args)
    begin(None)
    try:
        with writing() if text_alone else nullcontext():
            code = app(args=args, prog_name=PROGRAM, standalone_mode=False) or 0
        # Ctrl-C while no command held the output: Typer ends with its code, or raises, by its release.
        return _interrupted(args) if code == Interrupted.exit_code and not end_shown() else code
    except (typer.Abort, KeyboardInterrupt):
        return _interrupted(args)
    except CLICK_USAGE_ERROR as e:
        with saying():
            e.show()
        command = PROGRAM if e.ctx is None else e.ctx.command_path
        error = UsageError(e.format_message(), where=command, hint=f"{command} --help")
        if "--json" in args:
            print_error(error, one_line="--follow" in args)
        return error.exit_code


def _interrupted(args: list[str]) -> int:
    stopped = interrupted()
    show_error(stopped, as_json="--json" in args, one_line="--follow" in args)
    return stopped.exit_code
