"""One run of the app in which a command line that Click refuses is an error document too.

Only with `--json`; people get Click's own text and nothing else changes for them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer

from being_remote.cli.output import print_error
from being_remote.errors import UsageError

PROGRAM = "being-remote"
# Typer's releases bring Click with them or import it: its UsageError is reached the same in both.
_CLICK_USAGE_ERROR: Any = typer.BadParameter.__base__


def run(app: typer.Typer, argv: Sequence[str] | None) -> None:
    """Run one command line; always ends in SystemExit."""
    args = list(sys.argv[1:] if argv is None else argv)
    if "--json" not in args:
        app(args=args, prog_name=PROGRAM)
    try:
        code = app(args=args, prog_name=PROGRAM, standalone_mode=False)
    except _CLICK_USAGE_ERROR as e:
        e.show()
        command = PROGRAM if e.ctx is None else e.ctx.command_path
        error = UsageError(e.format_message(), where=command, hint=f"{command} --help")
        print_error(error, one_line="--follow" in args)
        code = error.exit_code
    raise SystemExit(code or 0)
