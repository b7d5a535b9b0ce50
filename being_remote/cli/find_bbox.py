"""The command `find-bbox`."""

from __future__ import annotations

from typing import Annotated

from being_remote.cli.command import command
from being_remote.cli.options import ActorOpt, DryRunOpt, HostsOpt, flag, option, parse_duration
from being_remote.cli.output import Out


@command
def find_bbox(
    out: Out,
    actor: ActorOpt = None,
    host: HostsOpt = None,
    fetch: Annotated[
        bool, flag("--fetch", "download the best one to the backup, never over a different one")
    ] = False,
    search_time: Annotated[str | None, option("TIME", "time limit per host, e.g. 10m; default: 30s")] = None,
    dry_run: DryRunOpt = False,
) -> None:
    """Search hosts and this laptop for bbox.pt."""
    from being_remote.cli.find_bbox_tables import show_find_bbox
    from being_remote.workflows import find_bbox as workflow

    search_time_s = None if search_time is None else parse_duration(search_time, "--search-time")
    inventory = out.inventory()
    with out.progress() as on_progress:
        report = workflow.find_bbox(
            inventory,
            actor=actor,
            hosts=host or (),
            fetch=fetch,
            search_time_s=search_time_s,
            dry_run=dry_run,
            on_progress=on_progress,
        )
    out.finish(report, show_find_bbox)
