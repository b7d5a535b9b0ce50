"""`find_bbox()`: an actor's bbox.pt, on hosts and on this laptop."""

from __future__ import annotations

from being_remote.api.arguments import InventoryLike, Names, checked, read_inventory, read_names
from being_remote.session import OnProgress, no_progress
from being_remote.workflows import find_bbox as workflow
from being_remote.workflows.find_bbox import FindReport


@checked
def find_bbox(
    actor: str | None = None,
    *,
    host: Names = None,
    fetch: bool = False,
    search_time_s: float | None = None,
    inventory: InventoryLike = None,
    on_progress: OnProgress = no_progress,
) -> FindReport:
    """Search hosts and this laptop for an actor's bbox.pt, and check all that is found.

    Args:
        actor: its name; default: the only one.
        host: one or several; default: all. This laptop is always searched.
        fetch: download the best one into the actor's backup, never over a different one.
        search_time_s: seconds after which each host's search ends.
        inventory: itself, or its file; default: that of this folder.

    Raises:
        UsageError: an unknown or ambiguous name; nothing was contacted.
        InconsistentData: `fetch`, and a different bbox.pt is in the backup.

    Example:
        >>> found = find_bbox("roman")
        >>> [(row.host, row.reachable) for row in found.results]
        [('a100', True), ('local', True)]
        >>> found.best.host, found.best.bbox.x_max - found.best.bbox.x_min
        ('local', 324)
    """
    return workflow.find_bbox(
        read_inventory(inventory),
        actor=actor,
        hosts=read_names(host),
        fetch=fetch,
        search_time_s=search_time_s,
        on_progress=on_progress,
    )
