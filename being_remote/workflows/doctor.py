"""`doctor`: what is missing on the hosts and on this laptop, and how to fix it."""

from __future__ import annotations

from collections.abc import Sequence

from being_remote.host_checks.laptop import check_laptop
from being_remote.inventory import Inventory
from being_remote.workflows.hosts import HostsReport, check_named


def doctor(inventory: Inventory, names: Sequence[str] = ()) -> HostsReport:
    """Check this laptop (the first row, `host: local`) and, in parallel, all hosts or the named ones.

    Raises:
        UsageError: a name that the inventory does not have.
    """
    from being_remote.transport import rsync

    rows = check_named(inventory, names, thorough=True)
    laptop = check_laptop(
        inventory.backups, rsync=rsync.version(), oldest_rsync=rsync.OLDEST, state=inventory.state
    )
    return HostsReport((laptop, *rows))
