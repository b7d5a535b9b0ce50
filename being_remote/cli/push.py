"""The command `push`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from being_remote.cli.command import command
from being_remote.cli.options import DryRunOpt, HostOpt, option
from being_remote.cli.output import Out


@command
def push(
    out: Out,
    actor: Annotated[
        str | None, option("ACTOR", "default: the inventory's only actor; none with --tracker alone")
    ] = None,
    host: HostOpt = None,
    tracker: Annotated[Path | None, option("DIR", "a local tracker checkout with its model files")] = None,
    dry_run: DryRunOpt = False,
) -> None:
    """Upload an actor's input or a tracker.

    The input is the actor's video and identity. Files on the host are verified and never overwritten.
    """
    from being_remote.cli.push_tables import show_push
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
