"""The command line: the only place that prints, asks, or chooses an exit code.

Both programs, `being-remote X` and `invoke X`, lead to the one Typer app in `app.py`.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command line; always ends in SystemExit with the exit code of docs/errors.md."""
    gc.set_threshold(20_000)  # garbage collection during the imports takes a tenth of the start
    try:
        from being_remote.cli.app import app
        from being_remote.cli.signals import obeyed
        from being_remote.cli.usage import run
    except KeyboardInterrupt:
        print("error: stopped by Ctrl-C; nothing was started", file=sys.stderr)
        raise SystemExit(130) from None

    with obeyed():
        run(app, argv)
