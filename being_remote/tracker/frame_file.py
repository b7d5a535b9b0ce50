"""metrical-tracker's `.frame` files, read without torch and without trusting them.

Sizes are (width, height), K is in the corner convention, R and t are world-to-camera in OpenCV axes,
all float64. Files are bounded, scanned and cross-checked, never unpickled; one that fails raises a
DataError that says what was found. Whether several belong together is for `sequence`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from being_remote.errors import InconsistentData, NotFoundError, TornFile, UnsafeFile
from being_remote.tracker.camera_blocks import ENTRIES, CameraBlocks
from being_remote.tracker.frame_entries import (
    SHAPES,
    StoredFrame,
    missing_entry,
    parse_stored,
    shown_name,
)
from being_remote.tracker.torch_zip import TORN

if TYPE_CHECKING:
    from being_remote.tracker.frame_entries import Numbers

    Floats = np.ndarray[Any, np.dtype[np.float64]]

MAX_FRAME_BYTES = 16 << 20
REGULAR = "only regular files are opened: put the file itself in its place"

EDITED = "it was edited, or a fork of the tracker wrote it; fetch or track it again"

_FLAME = tuple(key for key in SHAPES if key.startswith("flame."))


@dataclass(frozen=True, eq=False)
class Frame:
    """One `.frame`: the fit of one video frame."""

    frame_id: str  # digits, the file's stem; zero-based index of the tracked frame (see `frame_numbering`)
    global_step: int | None  # the tracker's optimisation step; None where the file does not say it
    image_size_wh: tuple[int, int]  # of the network image that K belongs to, pixels
    K: Floats  # (3, 3) float64, corner convention, pixels of the network image
    R: Floats  # (3, 3) float64, world-to-camera, OpenCV axes
    t: Floats  # (3,) float64, metres
    focal_ndc: float | None  # PyTorch3D's focal, as fitted; None where the file has no such block
    principal_ndc: Floats | None  # (2,) float64, PyTorch3D's principal point, +x left, +y up; None likewise
    # those of exp, shape, tex, sh, eyes, eyelids, jaw that are there, as stored: float32, first axis 1,
    # read-only
    flame: Mapping[str, Numbers]
    keys: tuple[str, ...]  # every key found, dotted, in the file's order
    notes: tuple[str, ...]  # how the file differs from the tracker's form, in words
    file: str  # its name, for messages

    def flame_for(self, name: str) -> Numbers:
        """One entry of `flame`; InconsistentData where it is missing or has another form."""
        if name not in self.flame:
            raise missing_entry(f"flame.{name}", self.file)
        return self.flame[name]


def read_frame(path: str | os.PathLike[str]) -> Frame:
    """Read one `.frame`.

    Raises:
        NotFoundError: the file is missing.
        UnsafeFile: not a regular file, larger than `MAX_FRAME_BYTES`, or more than plain data.
        TornFile: cut short or damaged.
        InconsistentData: no camera, blocks that contradict each other, or a frame_id that is not the
            file's name.
    """
    return parse_frame(read_bytes(path, MAX_FRAME_BYTES), os.fspath(path))


def parse_frame(data: bytes, name: str) -> Frame:
    """As `read_frame`, of bytes; `name` is the file's name or path."""
    shown = shown_name(name)
    check_size(len(data), MAX_FRAME_BYTES, shown)
    stored = parse_stored(data, name)
    size_wh = image_size_wh(stored, shown)
    cameras = CameraBlocks.empty(1)
    cameras.put(0, stored.arrays(ENTRIES))
    wrong = cameras.contradiction(size_wh)
    if wrong:
        raise InconsistentData(wrong[1], file=shown, hint=EDITED)
    return Frame(
        stored.frame_id,
        stored.global_step,
        size_wh,
        cameras.K[0],
        cameras.R[0],
        cameras.t[0],
        float(cameras.focal_ndc[0, 0]) if cameras.paired[0] else None,
        cameras.principal_ndc[0] if cameras.paired[0] else None,
        {key[len("flame.") :]: numbers for key, numbers in stored.arrays(_FLAME).items()},
        stored.layout.keys,
        stored.notes,
        shown,
    )


def is_resumable(frame: Frame) -> bool:
    """Whether the tracker can resume from a frame: it loads both camera blocks and all FLAME entries."""
    return frame.focal_ndc is not None and len(frame.flame) == len(_FLAME)


def image_size_wh(stored: StoredFrame, shown: str) -> tuple[int, int]:
    """Width and height of the network image."""
    size_wh = whole_size_wh(stored.array("img_size"))
    if size_wh is None:
        height, width = stored.array("img_size").tolist()
        raise InconsistentData(f"img_size is {height!r}, {width!r} (height, width)", file=shown, hint=EDITED)
    return size_wh


def whole_size_wh(height_width: Numbers) -> tuple[int, int] | None:
    """Width and height of the tracker's height, width; None unless both are whole numbers."""
    numbers = height_width.tolist()
    if any(type(n) not in (int, float) or not 0 < n < 1 << 16 or n != int(n) for n in numbers):
        return None
    return int(numbers[1]), int(numbers[0])


def read_bytes(path: str | os.PathLike[str], limit: int) -> bytes:
    """All bytes of a regular file of at most `limit` bytes; links are not followed.

    Raises:
        NotFoundError: the file is missing.
        UnsafeFile: a link, a folder, a device, a pipe, or too large.
    """
    shown = shown_name(os.fspath(path))
    try:
        # O_NONBLOCK: opening a pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as e:
        raise NotFoundError("the file is missing", where=shown, hint="list its folder") from e
    except OSError as e:
        if os.path.islink(path):
            raise UnsafeFile("is a symbolic link", file=shown, hint=REGULAR) from e
        raise UnsafeFile(f"cannot be opened: {e.strerror}", file=shown, hint="check who may read it") from e
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            kind = "folder" if stat.S_ISDIR(found.st_mode) else "device or pipe"
            raise UnsafeFile(f"is a {kind}", file=shown, hint=REGULAR)
        check_size(found.st_size, limit, shown)
        data = os.read(descriptor, found.st_size + 1)
    finally:
        os.close(descriptor)
    if len(data) != found.st_size:
        raise TornFile("changed while it was read", file=shown, hint=TORN)
    return data


def check_size(found: int, limit: int, shown: str) -> None:
    """Refuse a file of more than `limit` bytes."""
    if found > limit:
        what = f"has {found} bytes; more than {limit} are not read"
        raise UnsafeFile(what, file=shown, hint="it is not what the tracker writes: fetch the original again")
