"""Is one file that came from a pod what its name says, whole, and harmless: the judge of what `sync` accepts.

Files that a camera depends on are read by the readers that later use them: a `.frame` must be a frame of
that number with a finite camera, `bbox.pt` a box, `identity.npy` a shape; in a backup the landmarks and
meshes of the tracker, too. Other arrays, meshes and pictures must be as long as their own header or end
marker says. All other files are taken as they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from being_remote.errors import TornFile, UnsafeFile
from being_remote.tracker.frame_entries import scan, shown_name
from being_remote.tracker.frame_file import (
    MAX_BOX_BYTES,
    MAX_FRAME_BYTES,
    parse_box,
    parse_frame,
    read_bytes,
)
from being_remote.tracker.identity_file import parse_identity
from being_remote.tracker.landmark_file import DENSE, SPARSE, parse_landmarks
from being_remote.tracker.layout import BBOX, IDENTITY, KPT, KPT_DENSE, MESH
from being_remote.tracker.ply import parse_ply
from being_remote.tracker.torch_zip import TORN

# Above what the tracker writes in any of these formats; a larger one is not read into memory.
MAX_OTHER_BYTES = 256 << 20

# Folders of a backup; elsewhere files of these kinds may be another program's, of any shape.
_LANDMARKS = {f"actor/{KPT}": SPARSE, f"actor/{KPT_DENSE}": DENSE}
_MESHES = f"run/{MESH}"

_NPY_HEADER = re.compile(
    rb"\{'descr': '[<>|=](?P<kind>[a-zA-Z])(?P<bytes>\d{0,3})', 'fortran_order': (?:True|False),"
    rb" 'shape': \((?P<shape>(?:\d{1,9}, ?)*(?:\d{1,9})?)\), ?\} *\n"
)
_PLY_HEADER = re.compile(
    rb"ply\r?\nformat (?P<format>\w{1,30}) 1\.0\r?\n(?P<lines>.{0,8000}?)end_header\r?\n", re.S
)
_PLY_BYTES = {
    **dict.fromkeys(("char", "uchar", "int8", "uint8"), 1),
    **dict.fromkeys(("short", "ushort", "int16", "uint16"), 2),
    **dict.fromkeys(("int", "uint", "float", "int32", "uint32", "float32"), 4),
    **dict.fromkeys(("double", "float64"), 8),
}


def can_check(name: str) -> bool:
    """Whether a file of this name is of a format that can be judged; else it need not be read.

    Example:
        >>> can_check("00000.frame"), can_check("train.log")
        (True, False)
    """
    return os.path.splitext(name)[1].lower() in _JUDGES


def most_bytes(name: str) -> int | None:
    """How large a whole file of this name can be; None: of no format that can be judged.

    Example:
        >>> most_bytes("bbox.pt"), most_bytes("train.log")
        (65536, None)
    """
    known = _JUDGES.get(os.path.splitext(name)[1].lower())
    return known[0] if known is not None else None


def check_file(path: Path) -> None:
    """Judge a file on this laptop; returns when it is whole and safe, or of no known format.

    Raises:
        NotFoundError: it is not there.
        UnsafeFile: it holds more than plain data, is too large, or is no regular file.
        TornFile: it is cut short or damaged.
        InconsistentData: it is not what its name says.
    """
    if can_check(path.name):
        limit, _ = _JUDGES[path.suffix.lower()]
        check_bytes(os.fspath(path), read_bytes(path, limit))


def check_bytes(name: str, data: bytes) -> None:
    """The same for bytes that were read already; `name` is its path below the backup, or its name.

    Example:
        >>> check_bytes("mesh.ply", b"ply")
        Traceback (most recent call last):
        being_remote.errors.TornFile: mesh.ply: is no PLY mesh, or its header is damaged...
    """
    if can_check(name):
        limit, judge = _JUDGES[os.path.splitext(name)[1].lower()]
        shown = shown_name(name)
        if len(data) > limit:
            raise UnsafeFile(f"has {len(data)} bytes, more than {limit}", file=shown)
        judge(data, name)


def _frame(data: bytes, name: str) -> None:
    parse_frame(data, name)


def _pt(data: bytes, name: str) -> None:
    if os.path.basename(name) == BBOX:
        parse_box(data, name)
    else:
        scan(data, shown_name(name))


def _npy(data: bytes, name: str) -> None:
    # Damage is told first: a torn file may be written again, a wrong one may not.
    _whole_npy(data, shown_name(name))
    folder, file = os.path.split(name)
    if file == IDENTITY:
        parse_identity(data, name)
    elif folder in _LANDMARKS:
        parse_landmarks(data, name, _LANDMARKS[folder])


def _whole_npy(data: bytes, shown: str) -> None:
    if len(data) < 12 or data[:6] != b"\x93NUMPY" or data[6] not in (1, 2, 3):
        _torn("is no numpy array, or its start is damaged", shown)
    length_bytes = 2 if data[6] == 1 else 4
    start = 8 + length_bytes
    header_bytes = int.from_bytes(data[8:start], "little")
    header = _NPY_HEADER.fullmatch(data[start : start + min(header_bytes, 4096)])
    if header is None:
        if len(data) < start + header_bytes:
            _torn("is cut short within its header", shown)
        raise UnsafeFile("is no plain array of numbers by its header", file=shown)
    if header["kind"] not in (b"f", b"i", b"u", b"b"):
        raise UnsafeFile(f"is an array of {header['kind'].decode()!r}, not of numbers", file=shown)
    promised = int(header["bytes"] or 0)
    for count in header["shape"].split(b","):
        promised *= int(count) if count.strip() else 1
    _check_size(len(data), start + header_bytes + promised, shown)


def _ply(data: bytes, name: str) -> None:
    _whole_ply(data, shown_name(name))
    if os.path.dirname(name) == _MESHES:
        parse_ply(data, name)


def _whole_ply(data: bytes, shown: str) -> None:
    header = _PLY_HEADER.match(data)
    if header is None:
        _torn("is no PLY mesh, or its header is damaged", shown)
    binary = header["format"] != b"ascii"
    promised, count = 0, 0
    for line in header["lines"].decode("ascii", "replace").splitlines():
        words = line.split()
        if words[:1] == ["element"] and len(words) == 3 and words[2].isdigit() and len(words[2]) < 10:
            count = int(words[2])
            promised += 0 if binary else count
        elif binary and words[:2] == ["property", "list"] and len(words) == 5:
            # The tracker's faces are triangles.
            promised += count * (_ply_bytes(words[2], shown) + 3 * _ply_bytes(words[3], shown))
        elif binary and words[:1] == ["property"] and len(words) == 3:
            promised += count * _ply_bytes(words[1], shown)
        elif words[:1] not in (["comment"], ["property"], ["obj_info"], []):
            _torn(f"has a header line that PLY does not know: {line[:60]!r}", shown)
    if binary:
        _check_size(len(data), header.end() + promised, shown)
    elif data.count(b"\n", header.end()) < promised:
        _torn(f"is cut short: it has fewer lines than the {promised} that its header promises", shown)


def _ply_bytes(word: str, shown: str) -> int:
    if word not in _PLY_BYTES:
        _torn(f"has a property of unknown type {word[:20]!r}", shown)
    return _PLY_BYTES[word]


def _png(data: bytes, name: str) -> None:
    _check_ends(data, b"\x89PNG\r\n\x1a\n", b"\x00\x00\x00\x00IEND\xaeB`\x82", "PNG", shown_name(name))


def _jpg(data: bytes, name: str) -> None:
    _check_ends(data, b"\xff\xd8\xff", b"\xff\xd9", "JPEG", shown_name(name))


def _check_ends(data: bytes, start: bytes, end: bytes, what: str, shown: str) -> None:
    if not data.startswith(start):
        _torn(f"is no {what} picture, or its start is damaged", shown)
    if not data.endswith(end):
        _torn(f"is cut short: {len(data)} bytes are there, and a {what}'s end is not", shown)


def _check_size(found: int, promised: int, shown: str) -> None:
    if found != promised:
        _torn(f"has {found} bytes where its header promises {promised}", shown)


def _torn(what: str, shown: str) -> NoReturn:
    raise TornFile(what, file=shown, hint=TORN)


_JUDGES: dict[str, tuple[int, Callable[[bytes, str], None]]] = {
    ".frame": (MAX_FRAME_BYTES, _frame),
    ".pt": (MAX_BOX_BYTES, _pt),
    ".npy": (MAX_OTHER_BYTES, _npy),
    ".ply": (MAX_OTHER_BYTES, _ply),
    ".png": (MAX_OTHER_BYTES, _png),
    ".jpg": (MAX_OTHER_BYTES, _jpg),
}
