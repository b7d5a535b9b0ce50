"""The command line: the only place that prints, asks, or chooses an exit code.

Both doors, `being-remote X` and `invoke X`, lead to the one Typer app in `app.py`.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command line; always ends in SystemExit with the exit code of docs/errors.md."""
    from being_remote.cli.app import app

    app(args=None if argv is None else list(argv), prog_name="being-remote")
