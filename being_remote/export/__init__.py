"""Cameras written for each trainer: one module for each format, with a Target that describes it.

Add one: a module with a `TARGET` and a line in `TARGETS`; or, in a package of its own, an entry point
of the group `being_remote.exports` that names a Target. Files are written from checked numbers, never
copied from a pod, and appear complete or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from being_remote.errors import UsageError
from being_remote.export import (
    colmap,
    flashavatar,
    gaussian_avatars,
    gaussiantalker,
    insta,
    json_file,
    nerfstudio,
    npz_file,
)
from being_remote.export.cameras import Cameras
from being_remote.export.files import refuse_left_over, write_atomically
from being_remote.export.target import CanvasChoice, Export, RunFiles, Target, off_centre, prepare
from being_remote.plugins import installed

__all__ = [
    "TARGETS",
    "Cameras",
    "CanvasChoice",
    "Export",
    "RunFiles",
    "Target",
    "all_targets",
    "off_centre",
    "prepare",
    "refuse_left_over",
    "targets",
    "write",
    "write_atomically",
]

TARGETS: dict[str, Target] = {
    module.TARGET.name: module.TARGET
    for module in (
        json_file,
        npz_file,
        nerfstudio,
        colmap,
        insta,
        gaussian_avatars,
        gaussiantalker,
        flashavatar,
    )
}


def all_targets() -> dict[str, Target]:
    """Every target by its name: those of this package, then those of installed packages."""
    added = installed("being_remote.exports")
    for name, target in added.items():
        if not isinstance(target, Target) or target.name != name or name in TARGETS:
            raise UsageError(
                f"the export {name!r} of an installed package is not a Target of that new name",
                hint="update or uninstall the package",
            )
    return {**TARGETS, **added}


def targets(names: Sequence[str]) -> tuple[Target, ...]:
    """The targets called `names`, each once; without names those that are written by default.

    Example:
        >>> [t.main_files for t in targets(["nerfstudio"])]
        [('transforms.json',)]
    """
    # A broken plug-in does not stop the exports of this package that are named.
    known = TARGETS if names and TARGETS.keys() >= set(names) else all_targets()
    unknown = [n for n in names if n not in known]
    if unknown:
        raise UsageError(
            f"no export named {', '.join(map(repr, unknown))}", hint=f"--export one of: {', '.join(known)}"
        )
    default = [name for name, target in known.items() if target.default]
    return tuple(known[n] for n in dict.fromkeys(names or default))


def write(target: Target, export: Export, folder: Path) -> tuple[Path, ...]:
    """Write one export below `folder`, which is created; each file replaces an older one as a whole.

    Returns:
        The main files, and folders of one file per frame.

    Raises:
        NoSpace: the disk is full; older files are untouched.
        UsageError: the folder cannot be written, or holds files of other frames that its trainer would
            read as this export's.
        DataError: a file of the run that the target is made from cannot be read.
    """
    refuse_left_over(target, export.cameras, folder / target.folder)
    for name, pieces in target.files(export):
        write_atomically(folder / target.folder / name, pieces, synced=name in target.main_files)
    return tuple(folder / target.folder / name for name in target.main_files)
