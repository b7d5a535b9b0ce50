"""One snapshot of a backup: which files, with which bytes, from where. Values and their JSON.

A manifest is written once and never changed. Names that are not UTF-8 are kept exactly, in
`path_b64`; their `path` is then only for the eye.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import Field, TypeAdapter, ValidationError

from being_remote.durable_files import open_plain
from being_remote.errors import InconsistentData
from being_remote.local_path import LIVE, name_problem, shown_path
from being_remote.strict_model import StrictModel
from being_remote.transfer.checked_files import StoredFile

SCHEMA = 1

# "verified": what was found lost is left out; "restored": an earlier one, made live again.
Why = Literal["adopted", "sync", "put", "verified", "restored"]


@dataclass(frozen=True)
class Manifest:
    """One snapshot; `new_tree` says that it replaces what was live, instead of adding to it.

    `of` is the snapshot that a restored one shows again.
    """

    number: int
    created: str
    why: Why
    files: Mapping[str, StoredFile]
    host: str | None = None
    incarnation: Mapping[str, str | int | None] | None = None
    new_tree: bool = False
    of: int | None = None


class _StoredEntry(StrictModel):
    path: str
    path_b64: str | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0, lt=1 << 63)]
    mtime_ns: Annotated[int, Field(gt=-(1 << 92), lt=1 << 92)]
    checks: tuple[str, ...]
    host: str | None


class _Head(StrictModel):
    schema_version: Literal[1]
    generation: Annotated[int, Field(ge=0)]
    created: str
    why: Why
    host: str | None
    incarnation: dict[str, str | int | None] | None
    new_tree: bool
    of: Annotated[int, Field(ge=0)] | None


_ROWS = TypeAdapter(list[_StoredEntry])
_BEGIN, _END = b' "files": [\n', b" ]}\n"
# Read so many lines at a time: a manifest may have a hundred thousand.
_LINES = 1000
# A path has at most 2048 bytes, each of which may take six letters in JSON, and stands there twice.
_LINE_BYTES = 1 << 16
_CONTENT = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_CHUNK_BYTES = 1 << 20


def dump(manifest: Manifest) -> Iterator[bytes]:
    """The manifest as JSON, one file a line so that two snapshots can be compared by eye."""
    head = {
        "schema_version": SCHEMA,
        "generation": manifest.number,
        "created": manifest.created,
        "why": manifest.why,
        "host": manifest.host,
        "incarnation": dict(manifest.incarnation) if manifest.incarnation is not None else None,
        "new_tree": manifest.new_tree,
        "of": manifest.of,
    }
    yield json.dumps(head)[:-1].encode() + b",\n" + _BEGIN
    before = b"  "
    for entry in sorted(manifest.files.values(), key=lambda e: e.path):
        path, path_b64 = shown_path(entry.path)
        row: dict[str, Any] = {"path": path, **({"path_b64": path_b64} if path_b64 else {})}
        row |= {"sha256": entry.sha256, "bytes": entry.bytes, "mtime_ns": entry.mtime_ns}
        row |= {"checks": entry.checks, "host": entry.host}
        yield before + json.dumps(row).encode()
        before = b",\n  "
    yield b"\n" + _END if manifest.files else _END


def load(file: BinaryIO, name: str) -> Manifest:
    """Read one manifest, as `dump` wrote it; `name` is for the message.

    Raises:
        InconsistentData: it is not one of ours, or was damaged.
    """
    try:
        head = _Head.model_validate_json(file.readline(_LINE_BYTES).removesuffix(b",\n") + b"}")
        if file.readline(_LINE_BYTES) != _BEGIN:
            raise ValueError("its list of files does not begin")
        files, same = dict[str, StoredFile](), dict[Any, Any]()
        for row in _rows(file):
            path = os.fsdecode(base64.b64decode(row.path_b64)) if row.path_b64 else row.path
            if why := name_problem(os.fsencode(path)) or (
                None if LIVE.holds(path) else "it is not a live file"
            ):
                raise ValueError(f"it names {path!r}, but {why}")
            checks, host = same.setdefault(row.checks, row.checks), same.setdefault(row.host, row.host)
            files[path] = StoredFile(path, row.sha256, row.bytes, row.mtime_ns, checks, host)
    except ValueError as e:  # pydantic's ValidationError is one
        wrong = f"{e.error_count()} wrong fields" if isinstance(e, ValidationError) else e
        raise InconsistentData(
            f"is not a manifest that we can read ({wrong})",
            file=name,
            hint="move it away; what the live tree shows is in the next snapshot",
        ) from e
    return Manifest(
        head.generation, head.created, head.why, files, head.host, head.incarnation, head.new_tree, head.of
    )


def _rows(file: BinaryIO) -> Iterator[_StoredEntry]:
    each = iter(lambda: file.readline(_LINE_BYTES), b"")
    while lines := list(islice(each, _LINES)):
        ended = lines[-1] == _END
        yield from _ROWS.validate_json(b"[" + b"".join(lines[:-1] if ended else lines).rstrip(b",\n") + b"]")
        if ended and not file.read(1):
            return
    raise ValueError("it is cut short, or something follows it")


def contents_in(path: Path) -> set[str]:
    """The sha256 of each content that a manifest seems to name, which cannot be read otherwise."""
    named, rest = set[str](), b""
    try:
        with open_plain(path) as (descriptor, _):
            while some := os.read(descriptor, _CHUNK_BYTES):
                text = rest + some
                named.update(found.decode() for found in _CONTENT.findall(text))
                rest = text[-128:]
    except (OSError, InconsistentData):
        return named
    return named
