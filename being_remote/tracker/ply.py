"""Vertices and triangles of a .ply, read without trusting it.

Takes what a tracker writes: vertices with x, y, z, then perhaps triangles;
ASCII or little-endian binary. Files come from rented machines, so counts are checked against the
file's size before anything is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from being_remote.errors import TornFile, UnsafeFile
from being_remote.tracker.frame_entries import shown_name
from being_remote.tracker.frame_file import read_bytes

MAX_BYTES = 256 << 20
MAX_VERTICES = 2_000_000
MAX_HEADER_BYTES = 16 << 10

_TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "<i2",
    "int16": "<i2",
    "ushort": "<u2",
    "uint16": "<u2",
    "int": "<i4",
    "int32": "<i4",
    "uint": "<u4",
    "uint32": "<u4",
    "float": "<f4",
    "float32": "<f4",
    "double": "<f8",
    "float64": "<f8",
}


@dataclass(frozen=True, eq=False)
class Mesh:
    """Vertices (V, 3) in the file's units; triangles (F, 3), or None where the file has none to read."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64] | None


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: tuple[tuple[str, ...], ...]  # ("float", "x") or ("list", "uchar", "int", "vertex_indices")


def read_ply(path: Path) -> Mesh:
    """Read one mesh.

    Raises:
        NotFoundError: there is no such file.
        UnsafeFile: not a regular file, too large, or a kind of .ply that is not read.
        TornFile: it ends before its header says.
    """
    return parse_ply(read_bytes(path, MAX_BYTES), str(path))


def parse_ply(data: bytes, name: str) -> Mesh:
    """The same for bytes that were read already; `name` is for the message."""
    shown = shown_name(name)
    end = data.find(b"end_header", 0, MAX_HEADER_BYTES)
    newline = data.find(b"\n", end)
    if not data.startswith(b"ply") or end < 0 or newline < 0:
        raise UnsafeFile("is not a .ply: no header", file=shown)
    try:
        encoding, elements = _header(data[:end].decode("ascii").split("\n"))
    except (UnicodeDecodeError, ValueError, IndexError) as e:
        raise UnsafeFile(f"has a header that cannot be read: {e}", file=shown) from e
    body = data[newline + 1 :]
    vertex, face = elements[0], elements[1] if len(elements) > 1 else None
    if encoding == "ascii":
        return _ascii(body, vertex, shown)
    if encoding == "binary_little_endian":
        return _binary(body, vertex, face, shown)
    raise UnsafeFile(f"is {encoding!r}; read are ascii and binary_little_endian", file=shown)


def _header(lines: list[str]) -> tuple[str, list[_Element]]:
    encoding = ""
    elements: list[_Element] = []
    for line in lines:
        words = line.split()
        if words[:1] == ["format"]:
            encoding = words[1]
        elif words[:1] == ["element"]:
            elements.append(_Element(words[1], int(words[2]), ()))
        elif words[:1] == ["property"]:
            last = elements.pop()
            elements.append(_Element(last.name, last.count, (*last.properties, tuple(words[1:]))))
    if not elements or elements[0].name != "vertex" or not 0 < elements[0].count <= MAX_VERTICES:
        raise ValueError(f"the first element must be 1 to {MAX_VERTICES} vertices")
    names = [p[-1] for p in elements[0].properties]
    if any(len(p) != 2 or p[0] not in _TYPES for p in elements[0].properties) or len(set(names)) != len(
        names
    ):
        raise ValueError("vertices may hold plain, distinct numbers only")
    if not {"x", "y", "z"} <= set(names):
        raise ValueError("vertices lack x, y or z")
    return encoding, elements


def _binary(body: bytes, vertex: _Element, face: _Element | None, shown: str) -> Mesh:
    row = np.dtype([(name, _TYPES[kind]) for kind, name in vertex.properties])
    need = row.itemsize * vertex.count
    if len(body) < need:
        raise TornFile(f"{vertex.count} vertices need {need} bytes, {len(body)} are there", file=shown)
    table = np.frombuffer(body, row, vertex.count)
    vertices = np.column_stack([table[axis] for axis in "xyz"]).astype(np.float64)
    return Mesh(_finite(vertices, shown), _triangles(body[need:], face, vertex.count))


def _triangles(body: bytes, face: _Element | None, vertices: int) -> NDArray[np.int64] | None:
    """The faces where all are triangles of known vertices; else None: a picture goes without them."""
    if face is None or face.name != "face" or face.count < 1 or len(face.properties) != 1:
        return None
    kind = face.properties[0]
    if len(kind) != 4 or kind[0] != "list" or kind[1] not in _TYPES or kind[2] not in _TYPES:
        return None
    row = np.dtype([("n", _TYPES[kind[1]]), ("corners", _TYPES[kind[2]], (3,))])
    if row.itemsize * face.count > len(body):
        return None
    table = np.frombuffer(body, row, face.count)
    corners = table["corners"].astype(np.int64)
    if (table["n"] != 3).any() or corners.min() < 0 or corners.max() >= vertices:
        return None
    return corners


def _ascii(body: bytes, vertex: _Element, shown: str) -> Mesh:
    columns = [[name for _, name in vertex.properties].index(axis) for axis in "xyz"]
    lines = body.split(b"\n", vertex.count)[: vertex.count]
    try:
        rows = [[float(line.split()[c]) for c in columns] for line in lines]
    except (ValueError, IndexError) as e:
        raise TornFile(f"a vertex cannot be read: {e}", file=shown) from e
    if len(rows) < vertex.count:
        raise TornFile(f"{vertex.count} vertices are claimed, {len(rows)} are there", file=shown)
    return Mesh(_finite(np.array(rows), shown), None)


def _finite(vertices: NDArray[np.float64], shown: str) -> NDArray[np.float64]:
    if not np.isfinite(vertices).all():
        raise TornFile("holds vertices that are not finite", file=shown)
    return vertices
