"""Check one downloaded file: is it what its name says, whole, and harmless.

Files that a camera depends on are read by the readers that later use them: a `.frame` must be a frame of
that number with a finite camera, `bbox.pt` a box, `identity.npy` a shape; in a backup the landmarks and
meshes of the tracker, too. Other arrays, meshes and pictures must be as long as their own header or end
marker says. Files of other formats are not checked.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from being_remote.errors import TornFile, UnsafeFile
from being_remote.tracker.box_file import MAX_BOX_BYTES, parse_box
from being_remote.tracker.frame_entries import check_plain_data, shown_name
from being_remote.tracker.frame_file import MAX_FRAME_BYTES, parse_frame, read_bytes
from being_remote.tracker.layout import BBOX, FRAME_SUFFIX, IDENTITY, KPT, KPT_DENSE, MESH
from being_remote.tracker.npy_file import DENSE, SPARSE, check_array, parse_identity, parse_landmarks
from being_remote.tracker.ply import check_ply, parse_ply
from being_remote.tracker.torch_zip import TORN

# Above what the tracker writes in any of these formats; a larger one is not read into memory.
MAX_OTHER_BYTES = 256 << 20

# Folders of a backup; elsewhere files of these kinds may be another program's, of any shape.
_LANDMARKS = {f"actor/{KPT}": SPARSE, f"actor/{KPT_DENSE}": DENSE}
_MESHES = f"run/{MESH}"


def can_check(name: str) -> bool:
    """Whether a file of this name is of a format that can be checked; else it need not be read."""
    return os.path.splitext(name)[1].lower() in _CHECKS


def most_bytes(name: str) -> int | None:
    """How large a whole file of this name can be; None: of a format that is not checked."""
    return _CHECKS[os.path.splitext(name)[1].lower()][0] if can_check(name) else None


def check_file(path: Path) -> None:
    """Check a file on this laptop; returns when it is whole and safe, or of an unknown format.

    Raises:
        NotFoundError: it is missing.
        UnsafeFile: it holds more than plain data, is too large, or is not a regular file.
        TornFile: it is cut short or damaged.
        InconsistentData: it is not what its name says.
    """
    limit = most_bytes(path.name)
    if limit is not None:
        check_bytes(os.fspath(path), read_bytes(path, limit))


def check_bytes(name: str, data: bytes) -> None:
    """As `check_file`, of bytes; `name` is the path below the backup, or the file's name."""
    if can_check(name):
        limit, check = _CHECKS[os.path.splitext(name)[1].lower()]
        if len(data) > limit:
            raise UnsafeFile(f"has {len(data)} bytes, more than {limit}", file=shown_name(name))
        check(data, name)


def _check_pt(data: bytes, name: str) -> None:
    if os.path.basename(name) == BBOX:
        parse_box(data, name)
    else:
        check_plain_data(data, shown_name(name))


def _check_npy(data: bytes, name: str) -> None:
    # Damage is reported first: a torn file may be written again, a wrong one may not.
    check_array(data, shown_name(name))
    folder, file = os.path.split(name)
    if file == IDENTITY:
        parse_identity(data, name)
    elif folder in _LANDMARKS:
        parse_landmarks(data, name, _LANDMARKS[folder])


def _check_ply(data: bytes, name: str) -> None:
    check_ply(data, shown_name(name))
    if os.path.dirname(name) == _MESHES:
        parse_ply(data, name)


def _check_ends(data: bytes, name: str, *, start: bytes, end: bytes, kind: str) -> None:
    if not data.startswith(start):
        what = f"is not a {kind} picture, or its start is damaged"
        raise TornFile(what, file=shown_name(name), hint=TORN)
    if not data.endswith(end):
        raise TornFile(f"is cut short: {len(data)} bytes without its end", file=shown_name(name), hint=TORN)


_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_check_png = partial(_check_ends, start=b"\x89PNG\r\n\x1a\n", end=_PNG_END, kind="PNG")
_check_jpg = partial(_check_ends, start=b"\xff\xd8\xff", end=b"\xff\xd9", kind="JPEG")
_CHECKS: dict[str, tuple[int, Callable[[bytes, str], object]]] = {
    FRAME_SUFFIX: (MAX_FRAME_BYTES, parse_frame),
    ".pt": (MAX_BOX_BYTES, _check_pt),
    ".npy": (MAX_OTHER_BYTES, _check_npy),
    ".ply": (MAX_OTHER_BYTES, _check_ply),
    ".png": (MAX_OTHER_BYTES, _check_png),
    ".jpg": (MAX_OTHER_BYTES, _check_jpg),
}
