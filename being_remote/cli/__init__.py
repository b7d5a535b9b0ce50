"""The command line: the only place that prints, asks, or chooses an exit code.

Both doors, `being-remote X` and `invoke X`, lead to the one Typer app in `app.py`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command line; always ends in SystemExit with the exit code of docs/errors.md."""
    from being_remote.cli.app import app
    from being_remote.cli.usage import run

    with _tidied_when_killed():
        run(app, argv)


@contextmanager
def _tidied_when_killed() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end us as Ctrl-C does: connections and folders are put away."""

    def leave(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one is obeyed at once
        raise SystemExit(128 + number)

    # What is ignored (nohup) stays so; and only the main thread may set handlers.
    ours = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    for number in ours:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
