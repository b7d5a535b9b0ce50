"""The commands that look at runs on this laptop: `analyze` and `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from being_remote.cli.command import command, command_without_inventory
from being_remote.cli.completion import complete_run
from being_remote.cli.options import DryRunOpt, SourceSizeOpt, option, parse_size
from being_remote.cli.output import Out


@command_without_inventory
def analyze(
    out: Out,
    frame: Annotated[Path, typer.Argument(metavar="FRAME", help="one .frame file")],
    source_size: SourceSizeOpt = None,
) -> None:
    """Show what one .frame file contains."""
    from being_remote.cli.run_tables import show_analyze
    from being_remote.workflows import analyze as workflow

    report = workflow.analyze(frame.expanduser(), source_size=parse_size(source_size))
    out.finish(report, show_analyze)


@command
def compare(
    out: Out,
    a: Annotated[
        str,
        typer.Argument(
            metavar="A", help="a run's folder, an actor, a job, or a .yml file", autocompletion=complete_run
        ),
    ],
    b: Annotated[
        str,
        typer.Argument(
            metavar="B", help="the same; the report says how B differs from A", autocompletion=complete_run
        ),
    ],
    plot: Annotated[Path | None, option("FILE.png", "plot the parameters of both runs")] = None,
    dry_run: DryRunOpt = False,
) -> None:
    """Compare two runs or two configs."""
    from being_remote.cli.run_tables import show_compare
    from being_remote.workflows import compare as workflow

    report = workflow.compare(
        out.optional_inventory(), a, b, plot=plot and plot.expanduser(), dry_run=dry_run
    )
    out.finish(report, show_compare)
