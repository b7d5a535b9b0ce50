"""The command `init`, and what it prints on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from being_remote.cli.command import command
from being_remote.cli.options import DryRunOpt, flag, option
from being_remote.cli.output import Out
from being_remote.cli.printing import line, prose

if TYPE_CHECKING:
    from rich.console import Console

    from being_remote.workflows.init import InitReport


@command
def init(
    out: Out,
    login: Annotated[
        str, typer.Argument(metavar="LOGIN", help='as your provider shows it: "ssh root@HOST -p PORT"')
    ],
    name: Annotated[str | None, option("NAME", "what to call the host; default: pod")] = None,
    workdir: Annotated[
        str, option("DIR", "our folder on the host; default: /workspace/Being")
    ] = "/workspace/Being",
    add: Annotated[bool, flag("--add", "add the host to an inventory of yours")] = False,
    fingerprint: Annotated[str | None, option("SHA256:...", "trust exactly this host key")] = None,
    dry_run: DryRunOpt = False,
) -> None:
    """Start with a pod from its ssh line.

    Writes inventory.yaml and tasks.py in this folder, asks about the host's key, and checks the host. Never
    writes over a file of yours.
    """
    from being_remote.workflows import init as workflow

    report = workflow.init(
        out.inventory_path(),
        workflow.InitRequest(login, name, workdir, add, fingerprint),
        confirm=out.ask,
        dry_run=dry_run,
        say=out.note,
        require_trust=out.require_trust,
    )
    out.finish(report, show_init)


def show_init(console: Console, report: InitReport) -> None:
    """The inventory of a dry run; else the key, what the host lacks, and the next command."""
    from being_remote.cli.host_tables import show_doctor, show_trust

    if report.dry_run:
        line(console, f"would write {', '.join(report.wrote) or 'nothing'}; {report.inventory}:")
        for text in report.text.splitlines():
            line(console, f"  {text}", "dim")
        return
    if report.trust is not None:
        show_trust(console, report.trust)
    if report.doctor is not None:
        show_doctor(console, report.doctor)
    if report.error is not None:
        for text in report.error.splitlines():
            prose(console, text, "red")
    line(console, f"next: being-remote {report.next}")
