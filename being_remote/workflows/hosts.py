"""`hosts`: the inventory's hosts, which of them answer, and which are trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from being_remote.host_checks.checks import HostCheck, check_hosts
from being_remote.inventory import Inventory


@dataclass(frozen=True)
class HostsReport:
    """One row a host. Exit code 4 if any of them could not be reached or is not trusted."""

    hosts: tuple[HostCheck, ...]

    @property
    def exit_code(self) -> int:
        return 0 if all(row.reachable for row in self.hosts) else 4


def hosts(inventory: Inventory, names: Sequence[str] = ()) -> HostsReport:
    """Ask all hosts, or the named ones, in parallel.

    Raises:
        UsageError: a name that the inventory does not have.
    """
    return HostsReport(check_hosts(inventory, names, thorough=False))
