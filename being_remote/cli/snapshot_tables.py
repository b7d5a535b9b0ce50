"""`sync --list`, `--restore` and `--prune`: what they print on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from being_remote.cli.printing import cell, line, new_table, prose
from being_remote.cli.text import amount_text, files_text, size_text
from being_remote.workflows.snapshots import PruneReport, RestoreReport, SnapshotsReport


def show_snapshots(console: Console, report: SnapshotsReport) -> None:
    """A row for each snapshot, the newest last; then the disk space they take."""
    numbers = ("snapshot", "files", "size", "added", "changed", "removed")
    table = new_table("snapshot", "made (UTC)", "why", "host", *numbers[1:], "", numbers=numbers)
    for made in report.generations:
        table.add_row(
            str(made.generation),
            made.created[:19].replace("T", " "),
            made.why if made.of is None else f"{made.why} ({made.of})",
            cell(made.host or "-"),
            str(made.files),
            size_text(made.bytes),
            str(made.change.added),
            str(made.change.changed),
            str(made.change.dropped),
            "live" if made.live else "",
        )
    console.print(table)
    console.print()
    line(console, f"backup: {report.folder}")
    old = f"{size_text(report.old_bytes)} of it only for older snapshots"
    line(console, f"history: {size_text(report.history_bytes)}, {old}")
    if report.orphan_bytes:
        line(console, f"in no snapshot: {size_text(report.orphan_bytes)}; --prune removes it")
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
    freed = f"{report.contents} file versions that only they used, {size_text(report.bytes)}"
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
