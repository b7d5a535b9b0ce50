"""What `sync` prints on a terminal: after a download, while it watches, and of the snapshots of a backup.

A watch may run for days, so nothing it prints loads rich, which takes megabytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.backup_sync.sync_report import SyncReport, SyncsReport
from being_remote.backup_sync.watch import EVERY_S, WatchPause, WatchReport, WatchRound
from being_remote.cli.output import Out
from being_remote.cli.printing import cell, line, new_table, prose
from being_remote.cli.text import amount_text, files_text, first_line, local_time, printable
from being_remote.wording import count_noun, size_words
from being_remote.workflows.snapshots import PruneReport, RestoreReport, SnapshotsReport
from being_remote.workflows.sync import watch

if TYPE_CHECKING:
    from rich.console import Console

    from being_remote.inventory import Inventory


def show_sync(console: Console, report: SyncReport) -> None:
    """What was downloaded, what was quarantined, and what to look at."""
    listed = f"{report.host}: {amount_text(report.files, report.bytes)} of {report.actor}"
    amount = amount_text(report.transferred_files, report.transferred_bytes)
    if report.dry_run:
        line(
            console,
            f"{listed}; would download {f'up to {amount}' if report.transferred_files else 'nothing'}",
        )
    else:
        by = f" by {report.method}" if report.method else ""
        done = f"downloaded {amount}{by}" if report.transferred_files else "nothing to download,"
        line(console, f"{listed}; {done} in {report.seconds:.1f} s")
    if report.snapshot is not None and not report.dry_run:
        news = "" if report.transferred_files or report.adopted.count else " (nothing new)"
        line(console, f"backup: {report.folder}, snapshot {report.snapshot}{news}", "green")
    if report.verified is not None:
        line(
            console,
            f"verified: {report.verified} of {files_text(report.files)} have the hash computed on the host",
            "green",
        )
    if report.host_error is not None:
        prose(console, f"not compared: {first_line(report.host_error)}", "red")
    if report.mismatched.count:
        names = ", ".join(report.mismatched.examples)
        line(
            console,
            f"still differ from the host after a second download: {report.mismatched.count}: {names}",
            "red",
        )
    for path in report.damaged:
        prose(console, f"corrupt, so its snapshot cannot be read: {path}; move it away", "red")
    if report.adopted.count:
        line(
            console, f"adopted: {files_text(report.adopted.count)} that were in the backup already, unchanged"
        )
    if report.new_run:
        prose(console, f"another run: {report.new_run}", "yellow")
    for warning in report.warnings:
        prose(console, f"note: {warning}", "yellow")
    for q in report.quarantined:
        prose(console, f"quarantined: {q.path} {q.reason}", "yellow")
        line(console, f"  kept as {q.kept_as}" if q.kept_as else "  not downloaded")
    if report.quarantined:
        prose(
            console,
            f"  next: sync again once the file is complete on {report.host}; an older local copy stays",
        )


def show_syncs(console: Console, report: SyncsReport) -> None:
    """One after the other, and at last what failed."""
    for one in report.syncs:
        show_sync(console, one)
    for failed in report.failed:
        prose(console, f"failed: {failed.actor} from {failed.host}: {first_line(failed.error)}", "red")
        if failed.next is not None:
            line(console, f"  next: {failed.next}")


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
    text = f"downloaded {amount} in {count_noun(report.rounds, 'round')}"
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


def show_snapshots(console: Console, report: SnapshotsReport) -> None:
    """A row for each snapshot, the newest last; then the disk space they take."""
    numbers = ("snapshot", "files", "size", "added", "changed", "removed")
    table = new_table(
        "snapshot", "made", "why", "host", *numbers[1:], "", numbers=numbers, unbroken=("made",)
    )
    for made in report.generations:
        table.add_row(
            str(made.generation),
            cell(local_time(made.created, year=True)),
            made.why if made.of is None else f"{made.why} ({made.of})",
            cell(made.host or "-"),
            str(made.files),
            size_words(made.bytes),
            str(made.change.added),
            str(made.change.changed),
            str(made.change.dropped),
            "live" if made.live else "",
        )
    console.print(table)
    console.print()
    line(console, f"backup: {report.folder}")
    old = f"{size_words(report.old_bytes)} of it only for older snapshots"
    line(console, f"history: {size_words(report.history_bytes)}, {old}")
    if report.orphan_bytes:
        line(console, f"in no snapshot: {size_words(report.orphan_bytes)}; --prune removes it")
    if report.unsaved:
        prose(
            console,
            f"note: {files_text(report.unsaved)} added, changed or removed by hand since; the next sync"
            " saves them",
            "yellow",
        )
    _show_damaged(console, report.unreadable)


def show_restore(console: Console, report: RestoreReport) -> None:
    """What is live now, how it differs from before, how to undo it."""
    what = f"snapshot {report.restored}: {amount_text(report.files, report.bytes)}"
    if report.dry_run:
        line(console, f"{what}, none corrupt; would restore it: {_changes(report)}")
        if report.adopted:
            line(console, f"before that, would save {files_text(report.adopted)} changed by hand")
    elif report.snapshot == report.before:
        line(console, f"{what} is live already, as snapshot {report.snapshot}", "green")
    else:
        line(
            console,
            f"{what} is live again, as snapshot {report.snapshot}: {_changes(report)}",
            "green",
        )
        if report.adopted:
            line(console, f"saved before: {files_text(report.adopted)} that were in no snapshot")
        line(console, f"backup: {report.folder}")
        line(console, f"undo: sync --restore {report.before}")
    for q in report.quarantined:
        prose(console, f"refused: {q.path} {q.reason}", "yellow")
        line(console, f"  kept as {q.kept_as}")
    for warning in report.warnings:
        prose(console, f"note: {warning}", "yellow")


def show_prune(console: Console, report: PruneReport) -> None:
    """How many snapshots were removed, and how much disk space that freed."""
    removed = f"{len(report.removed)} of {len(report.kept) + len(report.removed)} snapshots"
    freed = f"{report.contents} file versions that only they used, {size_words(report.bytes)}"
    if not report.removed and not report.contents:
        line(console, f"nothing to remove; snapshots: {len(report.kept)}")
    elif report.dry_run:
        line(console, f"would remove {removed} and {freed}")
    else:
        line(console, f"removed {removed} and {freed}", "green")
    if report.kept:
        line(console, f"backup: {report.folder}, oldest snapshot {report.kept[0]}, newest {report.kept[-1]}")
    _show_damaged(console, report.damaged)


def _show_damaged(console: Console, manifests: Sequence[Path]) -> None:
    for path in manifests:
        prose(console, f"corrupt: {path}", "red")
    if manifests:
        prose(console, "  next: move it away; the other snapshots stay as they are")


def _changes(report: RestoreReport) -> str:
    change = report.change
    return f"{change.added} added, {change.changed} changed, {change.dropped} removed"
