"""What `push` prints on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from being_remote.cli.printing import line, prose
from being_remote.cli.text import files_text, size_text

if TYPE_CHECKING:
    from being_remote.workflows.push import PushedFolder, PushReport


def show_push(console: Console, report: PushReport) -> None:
    """What was put where, what was there already, what is odd."""
    for part in report.parts:
        source = part.source if part.what == "tracker" else f"{part.what} {part.source}"
        line(console, f"{source} -> {report.host}:{part.into}", "bold")
        line(console, f"  {files_text(part.files)}, {size_text(part.bytes)}; {_moved(part, report.dry_run)}")
        if not report.dry_run:
            have = "has" if part.verified == 1 else "have"
            line(console, f"  verified: {files_text(part.verified)} {have} the hash made here", "green")
        for note in part.notes:
            prose(console, f"  note: {note}", "yellow")
        # What an actor's note says comes before a retrack.
        if not report.dry_run and (part.what == "tracker" or not part.notes):
            line(console, f"  next: {_next(part, report.host)}")


def _moved(part: PushedFolder, dry_run: bool) -> str:
    there = f"{part.already} are there already, " if part.already else ""
    if part.already == part.files:
        return "all are there already"
    amount = f"{files_text(part.transferred_files)}, {size_text(part.transferred_bytes)}"
    if dry_run:
        return f"{there}would send {amount}"
    return f"{there}sent {amount} by {part.method}"


def _next(part: PushedFolder, host: str) -> str:
    if part.what == "tracker":
        return f"doctor --host {host} says what its Python still lacks"
    return f"retrack --host {host} --actor {part.source}"
