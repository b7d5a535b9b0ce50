"""Vertices and triangles of a .ply, checked and read without trusting it.

Takes what a tracker writes: vertices with x, y, z, then perhaps triangles; ASCII or little-endian
binary. Counts are checked against the file's size before anything is built.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from being_remote.errors import TornFile, UnsafeFile
from being_remote.tracker.frame_entries import shown_name
from being_remote.tracker.frame_file import read_bytes
from being_remote.tracker.plain_pickle import as_float64
from being_remote.tracker.torch_zip import TORN

MAX_BYTES = 256 << 20
MAX_VERTICES = 2_000_000

_HEADER = re.compile(
    rb"ply\r?\nformat (?P<format>\w{1,30}) 1\.0\r?\n(?P<lines>.{0,8000}?)end_header\r?\n", re.S
)
_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "<i2"),
    **dict.fromkeys(("ushort", "uint16"), "<u2"),
    **dict.fromkeys(("int", "int32"), "<i4"),
    **dict.fromkeys(("uint", "uint32"), "<u4"),
    **dict.fromkeys(("float", "float32"), "<f4"),
    **dict.fromkeys(("double", "float64"), "<f8"),
}


@dataclass(frozen=True, eq=False)
class Mesh:
    """Vertices (V, 3) in the file's units; triangles (F, 3), or None where the file has none to read."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64] | None


class _Element(NamedTuple):
    name: str
    rows: int
    properties: list[tuple[str, ...]]  # ("float", "x") or ("list", "uchar", "int", "vertex_indices")

    @property
    def item_bytes(self) -> int:
        # The tracker's faces are triangles.
        return sum(
            _bytes(p[1]) + 3 * _bytes(p[2]) if p[0] == "list" else _bytes(p[0]) for p in self.properties
        )


def read_ply(path: Path) -> Mesh:
    """Read one mesh.

    Raises:
        NotFoundError: the file is missing.
        UnsafeFile: not a regular file, too large, or a kind of .ply that is not read.
        TornFile: it ends before its header says, or has vertices that are not finite.
    """
    return parse_ply(read_bytes(path, MAX_BYTES), str(path))


def parse_ply(data: bytes, name: str) -> Mesh:
    """As `read_ply`, of bytes; `name` is for messages."""
    shown = shown_name(name)
    try:
        encoding, elements, end = _parse_header(data)
        _check_vertices(elements)
    except ValueError as e:
        raise UnsafeFile(f"has no .ply header that can be read: {e}", file=shown) from e
    body = data[end:]
    vertex, face = elements[0], elements[1] if len(elements) > 1 else None
    if encoding == "ascii":
        return _ascii(body, vertex, shown)
    if encoding == "binary_little_endian":
        return _binary(body, vertex, face, shown)
    raise UnsafeFile(f"is {encoding!r}; read are ascii and binary_little_endian", file=shown)


def check_ply(data: bytes, shown: str) -> None:
    """Check that a file is a whole .ply, of whatever elements.

    Raises:
        TornFile: the header is damaged, or the file is shorter or longer than it says.
    """
    try:
        encoding, elements, end = _parse_header(data)
        if any(element.rows < 0 for element in elements):
            raise ValueError("a negative count")
    except ValueError as e:
        raise TornFile(f"is not a PLY mesh, or its header is damaged: {e}", file=shown, hint=TORN) from e
    if encoding == "ascii":
        promised = sum(element.rows for element in elements)
        if data.count(b"\n", end) < promised:
            what = f"is cut short: it has fewer lines than the {promised} that its header promises"
            raise TornFile(what, file=shown, hint=TORN)
        return
    promised = end + sum(element.rows * element.item_bytes for element in elements)
    if len(data) != promised:
        raise TornFile(f"has {len(data)} bytes where its header promises {promised}", file=shown, hint=TORN)


def _parse_header(data: bytes) -> tuple[str, list[_Element], int]:
    """The encoding, the elements, and where the header ends."""
    found = _HEADER.match(data)
    if found is None:
        raise ValueError("no header")
    elements: list[_Element] = []
    for line in found["lines"].decode("ascii", "replace").splitlines():
        words = line.split()
        if words[:1] == ["element"] and len(words) == 3:
            elements.append(_Element(words[1], int(words[2]), []))
        elif words[:1] == ["property"] and elements and _is_property(words[1:]):
            elements[-1].properties.append(tuple(words[1:]))
        elif words[:1] not in ([], ["comment"], ["obj_info"]):
            raise ValueError(f"unknown line in its header: {line[:60]!r}")
    return found["format"].decode(), elements, found.end()


def _is_property(words: list[str]) -> bool:
    kinds = words[1:3] if words[:1] == ["list"] else words[:1]
    return len(words) == (4 if words[:1] == ["list"] else 2) and all(kind in _TYPES for kind in kinds)


def _check_vertices(elements: list[_Element]) -> None:
    if not elements or elements[0].name != "vertex" or not 0 < elements[0].rows <= MAX_VERTICES:
        raise ValueError(f"the first element in its header must be 1 to {MAX_VERTICES} vertices")
    names = {p[-1] for p in elements[0].properties}
    if any(len(p) != 2 for p in elements[0].properties) or len(names) != len(elements[0].properties):
        raise ValueError("vertices may hold plain, distinct numbers only")
    if not {"x", "y", "z"} <= names:
        raise ValueError("vertices lack x, y or z")


def _bytes(kind: str) -> int:
    return np.dtype(_TYPES[kind]).itemsize


def _binary(body: bytes, vertex: _Element, face: _Element | None, shown: str) -> Mesh:
    row = np.dtype([(name, _TYPES[kind]) for kind, name in vertex.properties])
    need = row.itemsize * vertex.rows
    if len(body) < need:
        raise TornFile(f"{vertex.rows} vertices need {need} bytes, {len(body)} are there", file=shown)
    table = np.frombuffer(body, row, vertex.rows)
    vertices = as_float64(np.column_stack([table[axis] for axis in "xyz"]))
    return Mesh(_finite(vertices, shown), _triangles(body[need:], face, vertex.rows))


def _triangles(body: bytes, face: _Element | None, vertices: int) -> NDArray[np.int64] | None:
    """The faces where all are triangles of known vertices; else None: a picture goes without them."""
    if face is None or face.name != "face" or face.rows < 1 or len(face.properties) != 1:
        return None
    kind = face.properties[0]
    if kind[0] != "list":
        return None
    row = np.dtype([("n", _TYPES[kind[1]]), ("corners", _TYPES[kind[2]], (3,))])
    if row.itemsize * face.rows > len(body):
        return None
    table = np.frombuffer(body, row, face.rows)
    with np.errstate(all="ignore"):  # corners that are no integers
        corners = table["corners"].astype(np.int64)
    if (table["n"] != 3).any() or corners.min() < 0 or corners.max() >= vertices:
        return None
    return corners


def _ascii(body: bytes, vertex: _Element, shown: str) -> Mesh:
    columns = [[name for _, name in vertex.properties].index(axis) for axis in "xyz"]
    lines = body.split(b"\n", vertex.rows)[: vertex.rows]
    try:
        rows = [[float(line.split()[c]) for c in columns] for line in lines]
    except (ValueError, IndexError) as e:
        raise TornFile(f"a vertex cannot be read: {e}", file=shown) from e
    if len(rows) < vertex.rows:
        raise TornFile(f"{vertex.rows} vertices are claimed, {len(rows)} are there", file=shown)
    return Mesh(_finite(np.array(rows), shown), None)


def _finite(vertices: NDArray[np.float64], shown: str) -> NDArray[np.float64]:
    if not np.isfinite(vertices).all():
        raise TornFile("holds vertices that are not finite", file=shown)
    return vertices
