"""Cameras written for those who use them: one module a format, one Target that says what it honours.

Files are always written anew from checked numbers, never copied from a pod, and appear whole or not
at all. This knows formats and files; it knows no hosts and does not compute cameras.
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
from being_remote.export.files import write_atomically
from being_remote.export.left_over import refuse_left_over
from being_remote.export.target import CanvasChoice, Export, RunFiles, Target, off_centre, prepare

__all__ = [
    "TARGETS",
    "Cameras",
    "CanvasChoice",
    "Export",
    "RunFiles",
    "Target",
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


def targets(names: Sequence[str]) -> tuple[Target, ...]:
    """The targets called `names`, each once; without a name those that are written by default.

    One that nobody named and that cannot hold a camera (`prepare` raises) is to be left out with a
    warning, not to keep the others from being written.

    Raises:
        UsageError: there is no such export; lists those there are.

    Example:
        >>> [t.main_files for t in targets(["nerfstudio"])]
        [('transforms.json',)]
    """
    unknown = [n for n in names if n not in TARGETS]
    if unknown:
        raise UsageError(
            f"no export named {', '.join(map(repr, unknown))}", hint=f"--export one of: {', '.join(TARGETS)}"
        )
    default = [name for name, target in TARGETS.items() if target.default]
    return tuple(TARGETS[n] for n in dict.fromkeys(names or default))


def write(target: Target, export: Export, folder: Path) -> tuple[Path, ...]:
    """Write one export below `folder`, which is made; each file replaces an older one as a whole.

    Returns:
        The main files, and folders of one file a frame.

    Raises:
        NoSpace: the disk is full; what was there before is untouched.
        UsageError: the folder cannot be written, or holds files of other frames that its trainer would take
            for this export's.
        DataError: a file of the run that the target is made from cannot be read.
    """
    refuse_left_over(target, export.cameras, folder / target.folder)
    for name, pieces in target.files(export):
        write_atomically(folder / target.folder / name, pieces, synced=name in target.main_files)
    return tuple(folder / target.folder / name for name in target.main_files)
