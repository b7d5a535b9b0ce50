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
from being_remote.tracker import plain_pickle
from being_remote.tracker.camera_blocks import CameraBlocks
from being_remote.tracker.plain_pickle import Array, Tensor
from being_remote.tracker.stored import (
    LAST_KEYS,
    SHAPES,
    Stored,
    described,
    parse_stored,
    pickle_of,
    shown_name,
    storages_of,
)
from being_remote.tracker.torch_zip import TORN, members

MAX_FRAME_BYTES = 16 << 20
REGULAR = "only regular files are opened: put the file itself there"
MAX_BOX_BYTES = 64 << 10

EDITED = "it was edited, or a fork of the tracker wrote it; fetch or track it again"

_FLAME = tuple(key for key in SHAPES if key.startswith("flame."))


@dataclass(frozen=True, eq=False)
class Frame:
    """One `.frame`: the fit of one video frame.

    Attributes:
        frame_id: as stored, digits; zero-based index of the tracked frame (see `numbering`).
        global_step: the tracker's optimisation step.
        image_size_wh: of the network image that K belongs to, pixels.
        K: (3, 3) float64, corner convention, pixels of the network image.
        R: (3, 3) float64, world-to-camera, OpenCV axes.
        t: (3,) float64, metres.
        focal_ndc: PyTorch3D's focal, as fitted.
        principal_ndc: (2,) float64, PyTorch3D's principal point, +x left, +y up.
        flame: exp, shape, tex, sh, eyes, eyelids, jaw as stored: float32, first axis 1, read-only.
        keys: every key found, dotted, in the file's order.
        extra_keys: those that the tracker does not write.
    """

    frame_id: str
    global_step: int
    image_size_wh: tuple[int, int]
    K: np.ndarray[Any, np.dtype[np.float64]]
    R: np.ndarray[Any, np.dtype[np.float64]]
    t: np.ndarray[Any, np.dtype[np.float64]]
    focal_ndc: float
    principal_ndc: np.ndarray[Any, np.dtype[np.float64]]
    flame: Mapping[str, np.ndarray[Any, np.dtype[Any]]]
    keys: tuple[str, ...]
    extra_keys: tuple[str, ...]


def read_frame(path: str | os.PathLike[str]) -> Frame:
    """Read one `.frame`.

    Raises:
        NotFoundError: it is not there.
        UnsafeFile: no regular file, larger than `MAX_FRAME_BYTES`, or more than plain data.
        TornFile: cut short or damaged.
        InconsistentData: other keys or shapes than the tracker's, blocks that contradict each
            other, or a frame_id that is not the file's name.
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
        float(cameras.focal_ndc[0, 0]),
        cameras.principal_ndc[0],
        {key[len("flame.") :]: stored.array(key) for key in _FLAME},
        keys,
        tuple(k for k in keys if k not in SHAPES and k not in LAST_KEYS),
    )


def image_size_wh(stored: Stored, shown: str) -> tuple[int, int]:
    """Width and height of the network image."""
    # The tracker stores height, width.
    height, width = stored.array("img_size").tolist()
    if any(type(n) is not int or not 0 < n < 1 << 16 for n in (height, width)):
        raise InconsistentData(f"img_size is {height!r}, {width!r} (height, width)", file=shown, hint=EDITED)
    return width, height


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
    parts = members(data, shown)
    content, _ = plain_pickle.load(pickle_of(parts, shown), shown, storages_of(parts))
    if type(content) is Array:
        numbers = content.numpy().tolist() if content.shape in ((4,), (1, 4)) else []
    elif type(content) is Tensor:
        numbers = _tensor_numbers(data, shown) if content.shape in ((4,), (1, 4)) else []
    else:
        numbers = content if type(content) in (list, tuple) else []
    if len(numbers) == 1 and type(numbers[0]) in (list, tuple):
        numbers = numbers[0]
    if len(numbers) != 4:
        found = f"{len(numbers)} entries" if numbers else described(content)
        _no_box(f"is to hold four numbers x_min, x_max, y_min, y_max; it holds {found}", shown)
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


def _tensor_numbers(data: bytes, shown: str) -> list[Any]:
    """Four numbers of a tensor whose pickle was scanned and whose storage adds up."""
    import io
    import pickle

    try:
        import torch
    except ModuleNotFoundError as e:
        raise InconsistentData("is a torch tensor, and torch is not installed here", file=shown) from e
    try:
        # The very bytes that were scanned, so that nothing can be swapped in between.
        tensor = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, pickle.UnpicklingError) as e:
        raise UnsafeFile("is a tensor that torch's own safe loader refuses", file=shown) from e
    numbers: list[Any] = tensor.tolist()
    return numbers


def _no_box(what: str, shown: str) -> NoReturn:
    raise InconsistentData(what, file=shown, hint="use another bbox.pt of this run")


def _too_large(found: int, limit: int, shown: str) -> NoReturn:
    what = f"has {found} bytes; more than {limit} are not read"
    raise UnsafeFile(what, file=shown, hint="it is not what the tracker writes: fetch the original again")
