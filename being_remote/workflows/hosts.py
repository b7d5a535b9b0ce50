"""`hosts`: the inventory's hosts, which of them answer, and which are trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from being_remote.host_checks.host_report import HostReport, check_hosts
from being_remote.inventory import Inventory


@dataclass(frozen=True)
class HostsReport:
    """One row a host.

    Exit code 4 if a host could not be reached or is not trusted. Problems are the answer that was asked
    for, so they leave it at 0; scripts look at `problems`.
    """

    hosts: tuple[HostReport, ...]

    @property
    def exit_code(self) -> int:
        return 0 if all(row.reachable for row in self.hosts) else 4


def hosts(inventory: Inventory, names: Sequence[str] = ()) -> HostsReport:
    """Check all hosts, or the named ones, in parallel.

    Raises:
        UsageError: a name that the inventory does not have.
    """
    return HostsReport(check_named(inventory, names, thorough=False))


def check_named(inventory: Inventory, names: Sequence[str], *, thorough: bool) -> tuple[HostReport, ...]:
    """Return the rows of all hosts, or of the named ones, in the inventory's order.

    Raises:
        UsageError: a name that the inventory does not have.
    """
    wanted = [inventory.host(name) for name in dict.fromkeys(names or inventory.hosts)]
    if not wanted:
        return ()
    # Imported by one thread before there are several: it takes a third of a second.
    from being_remote.transport import session_opener

    return check_hosts(wanted, session_opener(inventory), thorough=thorough)
