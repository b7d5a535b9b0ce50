"""What `sync` prints on a terminal after a download."""

from __future__ import annotations

from rich.console import Console

from being_remote.cli.printing import line, prose
from being_remote.cli.text import amount_text, files_text, first_line
from being_remote.sync.sync_report import SyncReport


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
