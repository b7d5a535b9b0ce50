"""The commands that look at hosts: `hosts`, `doctor`, `ssh` and `trust`."""

from __future__ import annotations

from typing import Annotated

import typer

from being_remote.cli.command import command
from being_remote.cli.completion import complete_host
from being_remote.cli.options import DryRunOpt, HostsOpt, flag, option
from being_remote.cli.output import Out
from being_remote.errors import UsageError


@command
def hosts(out: Out, host: HostsOpt = None) -> None:
    """List the hosts and whether they answer."""
    from being_remote.cli.host_tables import show_hosts
    from being_remote.workflows import hosts as workflow

    out.finish(workflow.hosts(out.inventory(), host or ()), show_hosts)


@command
def doctor(out: Out, host: HostsOpt = None) -> None:
    """Check what hosts and this laptop lack."""
    from being_remote.cli.host_tables import show_doctor
    from being_remote.workflows import doctor as workflow

    out.finish(workflow.doctor(out.inventory(), host or ()), show_doctor)


@command
def ssh(
    out: Out,
    host: Annotated[
        str | None,
        typer.Argument(
            metavar="HOST", help="default: the inventory's only host", autocompletion=complete_host
        ),
    ] = None,
) -> None:
    """Open a shell on a host.

    With the login and the trusted host keys of every other command. Ends with the shell's exit code.
    """
    from being_remote.workflows.shell import open_shell

    if out.as_json:
        raise UsageError("a shell has no JSON answer", where="--json", hint="run --host HOST -- CMD...")
    out.leave(open_shell(out.inventory(), host))


@command
def trust(
    out: Out,
    host: Annotated[str, option("HOST", "the host whose key to trust", complete=complete_host)],
    fingerprint: Annotated[str | None, option("SHA256:...", "trust exactly this key")] = None,
    yes: Annotated[bool, flag("--yes", "trust a first key without asking; never replaces a key")] = False,
    dry_run: DryRunOpt = False,
) -> None:
    """Trust a host's SSH key.

    Needed once for each pod. Shows the key's fingerprint and asks; compare it with the pod's console.
    """
    from being_remote.cli.host_tables import show_trust
    from being_remote.workflows import trust as workflow

    report = workflow.trust(
        out.inventory(), host=host, fingerprint=fingerprint, yes=yes, confirm=out.ask, dry_run=dry_run
    )
    out.finish(report, show_trust)
