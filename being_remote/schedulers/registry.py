"""Which scheduler a host has."""

from __future__ import annotations

from being_remote.inventory import LocalHost, SshHost
from being_remote.schedulers.plain_host import PlainHost
from being_remote.schedulers.scheduler import Scheduler


def scheduler_of(host: SshHost | LocalHost) -> Scheduler:
    """The host's scheduler; the inventory knows only hosts that run supervisors themselves."""
    return PlainHost()
