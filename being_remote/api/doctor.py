"""`doctor()`: what is missing on hosts and on this laptop."""

from __future__ import annotations

from being_remote.api.arguments import InventoryLike, Names, checked, read_inventory, read_names
from being_remote.workflows import doctor as workflow
from being_remote.workflows.hosts import HostsReport


@checked
def doctor(host: Names = None, *, inventory: InventoryLike = None) -> HostsReport:
    """Check this laptop (the first row, `host: local`) and hosts, in parallel.

    Args:
        host: one or several; default: all.
        inventory: itself, or its file; default: that of this folder.

    Raises:
        UsageError: a name that the inventory does not have.

    Example:
        >>> report = doctor("a100")
        >>> [(row.host, row.reachable) for row in report.hosts]
        [('local', True), ('a100', True)]
    """
    return workflow.doctor(read_inventory(inventory), read_names(host))
