"""Cameras written for those who use them: one module a format, one Target that says what it honours.

Files are always written anew from checked numbers, never copied from a pod, and appear whole or not
at all. This knows formats and files; it knows no hosts and does not compute cameras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from being_remote.errors import UsageError
from being_remote.export import json_file, nerfstudio, npz_file
from being_remote.export.cameras import Cameras
from being_remote.export.files import write_atomically

__all__ = ["TARGETS", "Cameras", "Target", "targets", "write", "write_atomically"]


@dataclass(frozen=True)
class Target:
    """One format: what it is called, how it reads numbers, and what it makes of them.

    Attributes:
        name: what `--export` takes.
        file_name: of the file that is written.
        pose: direction and camera axes of its poses.
        pixels: its pixel convention.
        honours: what of a camera reaches the trainer.
        notes: what a person must do so that it arrives unchanged.
        chunks: the file's bytes, in pieces.
    """

    name: str
    file_name: str
    pose: str
    pixels: str
    honours: tuple[str, ...]
    notes: tuple[str, ...]
    chunks: Callable[[Cameras], Iterator[bytes]]


_ALL = ("fx", "fy", "cx", "cy", "R", "t")

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "json",
            "cameras.json",
            "world-to-camera, OpenCV axes",
            "corner, and OpenCV's beside it",
            (*_ALL, "crop", "times", "source numbers"),
            (),
            json_file.chunks,
        ),
        Target(
            "npz",
            "cameras.npz",
            "world-to-camera, OpenCV axes",
            "corner, and OpenCV's beside it",
            (*_ALL, "crop", "times", "source numbers"),
            (),
            npz_file.chunks,
        ),
        Target(
            "nerfstudio",
            "transforms.json",
            "camera-to-world, OpenGL axes",
            "corner",
            _ALL,
            (
                "put the frames of the original video into images/ beside it, numbered from 00001.png",
                "ns-train ... nerfstudio-data --orientation-method none --center-method none"
                " --auto-scale-poses False, or it moves and rescales the poses",
            ),
            nerfstudio.chunks,
        ),
    )
}


def targets(names: Sequence[str]) -> tuple[Target, ...]:
    """The targets called `names`, each once; all of them when no name is given.

    Raises:
        UsageError: there is no such export; lists those there are.

    Example:
        >>> [t.file_name for t in targets(["nerfstudio"])]
        ['transforms.json']
    """
    unknown = [n for n in names if n not in TARGETS]
    if unknown:
        raise UsageError(
            f"no export named {', '.join(map(repr, unknown))}", hint=f"--export one of: {', '.join(TARGETS)}"
        )
    return tuple(TARGETS[n] for n in dict.fromkeys(names or TARGETS))


def write(cameras: Cameras, target: Target, folder: Path) -> Path:
    """Write one export into `folder`, which is made; an older one is replaced as a whole.

    Raises:
        NoSpace: the disk is full; what was there before is untouched.
    """
    path = folder / target.file_name
    write_atomically(path, target.chunks(cameras))
    return path
