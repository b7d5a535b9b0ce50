"""The Typer app: every command, in the order in which the help lists them.

A command parses its options, calls one workflow and shows the report. Add one: a function with
`@command` in the file of its group, a line in `COMMANDS`, and what Ctrl-C leaves of it in
`interruption_notes`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from being_remote.cli import demo, find_bbox, hosts, jobs, push, recover, retrack, runs, safe_to_stop, sync
from being_remote.cli.interruption_notes import begin
from being_remote.cli.single_options import SingleOptionsCommand

COMMANDS: dict[str, Callable[..., None]] = {
    "find-bbox": find_bbox.find_bbox,
    "sync": sync.sync,
    "recover": recover.recover,
    "analyze": runs.analyze,
    "compare": runs.compare,
    "hosts": hosts.hosts,
    "doctor": hosts.doctor,
    "trust": hosts.trust,
    "retrack": retrack.retrack,
    "jobs": jobs.jobs,
    "logs": jobs.logs,
    "cancel": jobs.cancel,
    "pull": jobs.pull,
    "resume": jobs.resume,
    "forget": jobs.forget,
    "push": push.push,
    "safe-to-stop": safe_to_stop.safe_to_stop,
    "demo": demo.demo,
}

# Plain help: drawing it with rich would cost more than the rest of the start-up.
app = typer.Typer(
    name="being-remote",
    help="Find the face crop, download checkpoints, recover the camera of the original video.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _name, _run in COMMANDS.items():
    app.command(_name, cls=SingleOptionsCommand)(_run)


def _show_version(wanted: bool) -> None:
    if wanted:
        from being_remote import __version__

        print(f"being-remote {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    begin(context.invoked_subcommand)
