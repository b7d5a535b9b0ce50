"""What `sync --watch` prints: downloads on stdout, pauses on stderr; or JSON Lines.

Without rich, which takes megabytes: a watch may run for days.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from being_remote.cli.output import Out
from being_remote.cli.text import amount_text, printable
from being_remote.sync.watch import EVERY_S, WatchPause, WatchReport, WatchRound
from being_remote.workflows.sync import watch

if TYPE_CHECKING:
    from being_remote.inventory import Inventory


def run_watch(
    out: Out,
    inventory: Inventory,
    actor: str | None,
    host: str | None,
    only: Sequence[str],
    every_s: float | None,
) -> None:
    """Watch until Ctrl-C; the last line sums up."""
    every_s = EVERY_S if every_s is None else every_s
    if not out.as_json:
        out.note(f"looking every {every_s:g} s; Ctrl-C ends it")
    report = watch(inventory, actor=actor, host=host, only=only, every_s=every_s, say=_teller(out))
    out.end(report, _tell_end)


def _teller(out: Out) -> Callable[[WatchRound | WatchPause], None]:
    def tell(event: WatchRound | WatchPause) -> None:
        if out.as_json:
            out.line(event)
        elif isinstance(event, WatchPause):
            out.note(f"{_clock()} {event.waiting_for}: {event.reason}")
        else:
            for text in _round_lines(event):
                out.text(printable(text))

    return tell


def _tell_end(report: WatchReport) -> None:
    amount = amount_text(report.transferred_files, report.transferred_bytes)
    text = f"downloaded {amount} in {report.rounds} round{'' if report.rounds == 1 else 's'}"
    if report.snapshot is not None:
        text += f"; backup: {report.folder}, snapshot {report.snapshot}"
    print(printable(text))


def _round_lines(done: WatchRound) -> list[str]:
    news = "nothing new"
    if done.transferred_files:
        news = f"+{amount_text(done.transferred_files, done.transferred_bytes)}"
    lines = [f"{_clock()} {news}; {done.files} on {done.host}; snapshot {done.snapshot}"]
    if done.new_run:
        lines.append(f"  another run: {done.new_run}")
    lines += [f"  note: {warning}" for warning in done.warnings]
    lines += [f"  quarantined: {q.path} {q.reason}" for q in done.quarantined]
    return lines


def _clock() -> str:
    return time.strftime("%H:%M:%S")
