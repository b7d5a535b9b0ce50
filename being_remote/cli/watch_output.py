"""`sync --watch` on a terminal: arrivals on stdout, what is waited for on stderr; or JSON Lines.

Without rich, as `telling`: a watch runs for days.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from being_remote.cli.output import Out
from being_remote.cli.text import files_text, printable, size_text
from being_remote.sync.watch import EVERY_S, watch
from being_remote.sync.watch_report import WatchPause, WatchReport, WatchRound

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
    """Watch until Ctrl-C; the last line is what the watch came to."""
    every_s = EVERY_S if every_s is None else every_s
    if not out.as_json:
        out.note(f"a look every {every_s:g} s; Ctrl-C ends it")
    report = watch(inventory, actor=actor, host=host, only=only, every_s=every_s, say=_teller(out))
    out.end(report, _tell_end)


def _teller(out: Out) -> Callable[[WatchRound | WatchPause], None]:
    def tell(said: WatchRound | WatchPause) -> None:
        if out.as_json:
            out.line(said)
        elif isinstance(said, WatchPause):
            out.note(f"{_clock()} {said.waiting_for}: {said.reason}")
        else:
            for text in _round_lines(said):
                out.text(printable(text))

    return tell


def _tell_end(report: WatchReport) -> None:
    home = f"; home: {report.folder}, snapshot {report.snapshot}" if report.snapshot is not None else ""
    came = f"{files_text(report.transferred_files)}, {size_text(report.transferred_bytes)} came"
    print(printable(f"{came} in {report.rounds} round{'' if report.rounds == 1 else 's'}{home}"))


def _round_lines(came: WatchRound) -> list[str]:
    size = size_text(came.transferred_bytes)
    moved = f"+{files_text(came.transferred_files)}, {size}" if came.transferred_files else "nothing new"
    lines = [f"{_clock()} {moved}; {came.files} on {came.host}; snapshot {came.snapshot}"]
    if came.new_run:
        lines.append(f"  another run: {came.new_run}")
    lines += [f"  note: {warning}" for warning in came.warnings]
    lines += [f"  set aside: {q.path} {q.reason}" for q in came.quarantined]
    return lines


def _clock() -> str:
    return time.strftime("%H:%M:%S")
