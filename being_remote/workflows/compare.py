"""`compare A B`: two runs, or two settings files, side by side.

Which settings differ and what each means, what of the face moves and how smoothly, the cameras, and
which frames only one of them has. Reads files on this laptop; writes only the picture that `plot` names.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import NotFoundError, UsageError
from being_remote.workflows.run_names import find_run

if TYPE_CHECKING:
    from being_remote.inventory import Inventory
    from being_remote.recovery.run_comparison import ComparedRun, CompareReport

SETTINGS_SUFFIXES = (".yml", ".yaml")


def compare(
    inventory: Inventory | None, a: str, b: str, *, plot: Path | None = None, dry_run: bool = False
) -> CompareReport:
    """Compare two runs or settings.

    Args:
        inventory: of the actors and jobs; None: folders and files only.
        a, b: a folder of `.frame` files or of a run, an actor's name, a job, or a .yml.
        plot: a PNG to draw the parameters into.

    Raises:
        UsageError: what was named is neither; or a picture of settings is asked for.
        NotFoundError: nothing has that name, or no checkpoint of it is local yet.
        DataError: a file is unsafe, torn, or the frames are not of one run.
    """
    from being_remote.recovery.run_comparison import compare_runs, complete_defaults, plot_runs

    if plot is not None and plot.suffix.lower() != ".png":
        raise UsageError(f"{str(plot)!r} does not end in .png", where="--plot", hint="--plot FILE.png")
    if plot is not None:
        from being_remote.report.plots import check_matplotlib

        check_matplotlib()
    sides = _read_side(inventory, a), _read_side(inventory, b)
    if plot is not None and not any(side.cameras for side in sides):
        raise UsageError("two settings files have no parameters to draw", where="--plot", hint="leave it out")
    sides = complete_defaults(*sides)
    report = compare_runs(*sides)
    if plot is None:
        return replace(report, dry_run=dry_run)
    if not dry_run:
        plot_runs(*sides, plot)
    return replace(report, plot=str(plot), dry_run=dry_run)


def _read_side(inventory: Inventory | None, name: str) -> ComparedRun:
    from being_remote.recovery.run_comparison import read_run, read_settings_file

    path = Path(name).expanduser()
    if path.suffix.lower() in SETTINGS_SUFFIXES and not path.is_dir():
        return read_settings_file(name, path)
    if path.is_file():
        raise UsageError(
            "is neither a run's folder nor a settings file (.yml)",
            where=name,
            hint="analyze FRAME looks at one file; compare takes folders, actors, jobs or .yml",
        )
    try:
        return read_run(name, find_run(inventory, None, name))
    except (NotFoundError, UsageError) as e:
        if e.where != "--run":
            raise
        more = "" if inventory else "; names of actors and jobs need an inventory (--inventory FILE)"
        raise NotFoundError(
            e.what, where="compare", hint=f"name a folder of .frame files, an actor, a job, or a .yml{more}"
        ) from e
