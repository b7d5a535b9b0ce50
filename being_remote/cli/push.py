"""The command `push`, and what it prints on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from being_remote.cli.command import command
from being_remote.cli.completion import complete_actor
from being_remote.cli.options import DryRunOpt, HostOpt, option
from being_remote.cli.output import Out
from being_remote.cli.printing import line, prose
from being_remote.cli.text import amount_text, files_text

if TYPE_CHECKING:
    from rich.console import Console

    from being_remote.workflows.push import PushedFolder, PushReport


@command
def push(
    out: Out,
    actor: Annotated[
        str | None,
        option(
            "ACTOR", "default: the inventory's only actor; none with --tracker alone", complete=complete_actor
        ),
    ] = None,
    host: HostOpt = None,
    tracker: Annotated[Path | None, option("DIR", "a local tracker checkout with its model files")] = None,
    dry_run: DryRunOpt = False,
) -> None:
    """Upload an actor's input or a tracker.

    The input is the actor's video and identity. Files on the host are verified and never overwritten.
    """
    from being_remote.workflows import push as workflow

    inventory = out.inventory()
    with out.progress() as on_progress:
        report = workflow.push(
            inventory,
            actor=actor,
            host=host,
            tracker=tracker and tracker.expanduser(),
            dry_run=dry_run,
            on_progress=on_progress,
        )
    out.finish(report, show_push)


def show_push(console: Console, report: PushReport) -> None:
    """What was uploaded to which folder, and what was there already."""
    for part in report.parts:
        source = part.source if part.what == "tracker" else f"{part.what} {part.source}"
        line(console, f"{source} -> {report.host}:{part.into}", "bold")
        line(console, f"  {amount_text(part.files, part.bytes)}; {_moved(part, report.dry_run)}")
        if not report.dry_run:
            have = "has" if part.verified == 1 else "have"
            line(console, f"  verified: {files_text(part.verified)} {have} the local hash", "green")
        for note in part.notes:
            prose(console, f"  note: {note}", "yellow")
        # What an actor's note says comes before a retrack.
        if not report.dry_run and (part.what == "tracker" or not part.notes):
            line(console, f"  next: {_next(part, report.host)}")


def _moved(part: PushedFolder, dry_run: bool) -> str:
    if part.already == part.files:
        return "all are on the host already"
    already = f"{part.already} on the host already, " if part.already else ""
    amount = amount_text(part.transferred_files, part.transferred_bytes)
    return f"{already}would upload {amount}" if dry_run else f"{already}uploaded {amount} by {part.method}"


def _next(part: PushedFolder, host: str) -> str:
    if part.what == "tracker":
        return f"doctor --host {host} lists what its Python still lacks"
    return f"retrack --host {host} --actor {part.source}"
