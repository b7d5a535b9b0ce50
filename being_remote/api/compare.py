"""`compare()`: two runs, or two settings files, side by side."""

from __future__ import annotations

from being_remote.api.arguments import InventoryLike, PathLike, checked, inventory_for, read_path
from being_remote.recovery.run_comparison import CompareReport
from being_remote.workflows import compare as workflow


@checked
def compare(
    a: PathLike, b: PathLike, *, plot: PathLike | None = None, inventory: InventoryLike = None
) -> CompareReport:
    """Compare two runs or settings: what differs in the settings, the cameras, and how the face moves.

    Args:
        a, b: a folder of `.frame` files or of a run, an actor's name, a job's id, or a .yml.
        plot: a PNG to draw the parameters into.
        inventory: itself, or its file; default: that of this folder. Folders and files need none.

    Raises:
        UsageError: what was named is neither; or a picture of settings is asked for.
        NotFoundError: nothing has that name, or no checkpoint of it is local yet.
        DataError: a file is unsafe, torn, or the frames are not of one run.

    Example:
        >>> report = compare("roman", "roman")
        >>> report.parameters is not None
        True
    """
    return workflow.compare(inventory_for([a, b], inventory), str(a), str(b), plot=read_path(plot))
