"""metrical-tracker's `.frame` and `bbox.pt`, read without torch and without trusting them.

What comes out is in our conventions: sizes are (width, height), K is in the corner convention, R
and t are world-to-camera in OpenCV axes, all float64. Files come from rented machines: they are
bounded, scanned and cross-checked, never unpickled; a file that fails raises a DataError that says
what was found. It reads one file; whether several belong together is for `sequence`.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from being_remote.errors import InconsistentData, NotFoundError, TornFile, UnsafeFile
from being_remote.tracker.camera_blocks import CameraBlocks
from being_remote.tracker.frame_entries import (
    LAST_KEYS,
    SHAPES,
    StoredFrame,
    described,
    lacks,
    parse_stored,
    shown_name,
)
from being_remote.tracker.plain_pickle import Array, Tensor
from being_remote.tracker.torch_file import load_file
from being_remote.tracker.torch_zip import TORN

MAX_FRAME_BYTES = 16 << 20
REGULAR = "only regular files are opened: put the file itself there"
MAX_BOX_BYTES = 64 << 10

EDITED = "it was edited, or a fork of the tracker wrote it; fetch or track it again"

_FLAME = tuple(key for key in SHAPES if key.startswith("flame."))


@dataclass(frozen=True, eq=False)
class Frame:
    """One `.frame`: the fit of one video frame.

    Attributes:
        frame_id: digits, the file's stem; zero-based index of the tracked frame (see `numbering`).
        global_step: the tracker's optimisation step; None where the file does not say it.
        image_size_wh: of the network image that K belongs to, pixels.
        K: (3, 3) float64, corner convention, pixels of the network image.
        R: (3, 3) float64, world-to-camera, OpenCV axes.
        t: (3,) float64, metres.
        focal_ndc: PyTorch3D's focal, as fitted; None where the file has no such block.
        principal_ndc: (2,) float64, PyTorch3D's principal point, +x left, +y up; None likewise.
        flame: those of exp, shape, tex, sh, eyes, eyelids, jaw that are there, as stored: float32,
            first axis 1, read-only.
        keys: every key found, dotted, in the file's order.
        extra_keys: those that the tracker does not write.
        notes: how the file is of another form than the tracker's, in words; () where it is not.
        file: its name, as it stands in messages.
    """

    frame_id: str
    global_step: int | None
    image_size_wh: tuple[int, int]
    K: np.ndarray[Any, np.dtype[np.float64]]
    R: np.ndarray[Any, np.dtype[np.float64]]
    t: np.ndarray[Any, np.dtype[np.float64]]
    focal_ndc: float | None
    principal_ndc: np.ndarray[Any, np.dtype[np.float64]] | None
    flame: Mapping[str, np.ndarray[Any, np.dtype[Any]]]
    keys: tuple[str, ...]
    extra_keys: tuple[str, ...]
    notes: tuple[str, ...]
    file: str

    def flame_for(self, name: str) -> np.ndarray[Any, np.dtype[Any]]:
        """One entry of `flame`, for what cannot do without it.

        Raises:
            InconsistentData: the file has none, or of another form.
        """
        if name not in self.flame:
            raise lacks(f"flame.{name}", self.file)
        return self.flame[name]


def read_frame(path: str | os.PathLike[str]) -> Frame:
    """Read one `.frame`.

    Raises:
        NotFoundError: it is not there.
        UnsafeFile: no regular file, larger than `MAX_FRAME_BYTES`, or more than plain data.
        TornFile: cut short or damaged.
        InconsistentData: no camera, blocks that contradict each other, or a frame_id that is not the
            file's name.
    """
    return parse_frame(read_bytes(path, MAX_FRAME_BYTES), os.fspath(path))


def parse_frame(data: bytes, name: str) -> Frame:
    """The same for bytes that were read already; `name` is the file's name or path."""
    shown = shown_name(name)
    if len(data) > MAX_FRAME_BYTES:
        _too_large(len(data), MAX_FRAME_BYTES, shown)
    stored = parse_stored(data, name)
    size_wh = image_size_wh(stored, shown)
    cameras = CameraBlocks.empty(1)
    cameras.put(0, stored)
    wrong = cameras.contradiction(size_wh)
    if wrong:
        raise InconsistentData(wrong[1], file=shown, hint=EDITED)
    keys = stored.layout.keys
    return Frame(
        stored.frame_id,
        stored.global_step,
        size_wh,
        cameras.K[0],
        cameras.R[0],
        cameras.t[0],
        float(cameras.focal_ndc[0, 0]) if cameras.paired[0] else None,
        cameras.principal_ndc[0] if cameras.paired[0] else None,
        {key[len("flame.") :]: stored.array(key) for key in _FLAME if key in stored},
        keys,
        tuple(k for k in keys if k not in SHAPES and k not in LAST_KEYS),
        stored.notes,
        shown,
    )


def resumable(frame: Frame) -> bool:
    """Whether the tracker itself can go on from a frame: it loads both blocks and all of FLAME's entries."""
    return frame.focal_ndc is not None and len(frame.flame) == len(_FLAME)


def image_size_wh(stored: StoredFrame, shown: str) -> tuple[int, int]:
    """Width and height of the network image."""
    size_wh = whole_size_wh(stored.array("img_size"))
    if size_wh is None:
        height, width = stored.array("img_size").tolist()
        raise InconsistentData(f"img_size is {height!r}, {width!r} (height, width)", file=shown, hint=EDITED)
    return size_wh


def whole_size_wh(height_width: np.ndarray[Any, np.dtype[Any]]) -> tuple[int, int] | None:
    """Width and height of the tracker's height, width; None where these are no two whole numbers."""
    numbers = height_width.tolist()
    if any(type(n) not in (int, float) or not 0 < n < 1 << 16 or n != int(n) for n in numbers):
        return None
    return int(numbers[1]), int(numbers[0])


def read_box(path: str | os.PathLike[str]) -> tuple[int, int, int, int]:
    """Read a bbox.pt: (x_min, x_max, y_min, y_max) in source pixels, the tracker's own order.

    The order cannot be checked: x, y, width, height of other programs can look the same.

    Raises:
        NotFoundError: it is not there.
        UnsafeFile: no regular file, larger than `MAX_BOX_BYTES`, or more than plain data.
        TornFile: cut short or damaged.
        InconsistentData: not four whole numbers with x_max > x_min and y_max > y_min.
    """
    return parse_box(read_bytes(path, MAX_BOX_BYTES), os.fspath(path))


def parse_box(data: bytes, name: str) -> tuple[int, int, int, int]:
    """The same for bytes that were read already; `name` is the file's name or path."""
    shown = shown_name(name)
    if len(data) > MAX_BOX_BYTES:
        _too_large(len(data), MAX_BOX_BYTES, shown)
    if data.startswith(b"\x93NUMPY"):
        what = "is a numpy array (.npy), which the tracker does not write: of such files nobody knows the"
        _no_box(what + " order (pixel3dmm stores y_min, y_max, x_min, x_max)", shown)
    content = load_file(data, shown).value
    if type(content) in (Array, Tensor):
        numbers = content.numpy().tolist() if content.shape in ((4,), (1, 4)) else []
    else:
        numbers = content if type(content) in (list, tuple) else []
    if len(numbers) == 1 and type(numbers[0]) in (list, tuple):
        numbers = numbers[0]
    if len(numbers) != 4:
        found = f"{len(numbers)} entries" if numbers else described(content)
        _no_box(f"is to hold four numbers x_min, x_max, y_min, y_max; it holds {found}", shown)
    return box_of(numbers, shown)


def box_of(numbers: list[Any], shown: str) -> tuple[int, int, int, int]:
    """Four numbers as a box; `shown` says where they come from.

    Raises:
        InconsistentData: not four whole numbers with x_max > x_min and y_max > y_min.
    """
    if any(type(n) not in (int, float) or not math.isfinite(n) or n != int(n) for n in numbers):
        listed = ", ".join(repr(n) if type(n) in (int, float) else type(n).__name__ for n in numbers)
        _no_box(f"is to hold four whole numbers; it holds {listed}", shown)
    x_min, x_max, y_min, y_max = (int(n) for n in numbers)
    if x_max <= x_min or y_max <= y_min or max(map(abs, (x_min, x_max, y_min, y_max))) >= 1 << 31:
        _no_box(f"is no box: x {x_min}..{x_max}, y {y_min}..{y_max}", shown)
    return x_min, x_max, y_min, y_max


def read_bytes(path: str | os.PathLike[str], limit: int) -> bytes:
    """All bytes of a regular file of at most `limit` bytes; links and larger files stay unread.

    Raises:
        NotFoundError: it is not there.
        UnsafeFile: a link, a folder, a device, a pipe, or too large.
    """
    shown = shown_name(os.fspath(path))
    try:
        # O_NONBLOCK: opening a pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as e:
        raise NotFoundError("is not there", where=shown, hint="look for the name in its folder") from e
    except OSError as e:
        if os.path.islink(path):
            raise UnsafeFile("is a symbolic link", file=shown, hint=REGULAR) from e
        raise UnsafeFile(f"cannot be opened: {e.strerror}", file=shown, hint="look at who may read it") from e
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            kind = "folder" if stat.S_ISDIR(found.st_mode) else "device or pipe"
            raise UnsafeFile(f"is a {kind}", file=shown, hint=REGULAR)
        if found.st_size > limit:
            _too_large(found.st_size, limit, shown)
        data = os.read(descriptor, found.st_size + 1)
    finally:
        os.close(descriptor)
    if len(data) != found.st_size:
        raise TornFile("changed while it was read", file=shown, hint=TORN)
    return data


def _no_box(what: str, shown: str) -> NoReturn:
    raise InconsistentData(what, file=shown, hint="use another bbox.pt of this run")


def _too_large(found: int, limit: int, shown: str) -> NoReturn:
    what = f"has {found} bytes; more than {limit} are not read"
    raise UnsafeFile(what, file=shown, hint="it is not what the tracker writes: fetch the original again")
