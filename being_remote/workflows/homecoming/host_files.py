"""What `sync` asks of a host, and what it believes of the answer.

The request names folders and patterns, or files to be hashed; the answer of `pod/listing.py` is read
as what a stranger wrote: strictly, every size bounded, nothing missing and nothing more. It is read
line by line, so that a hundred thousand files are never there in several forms at once.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from being_remote.errors import HostError
from being_remote.jobs.programs import ask_alone, odd_form
from being_remote.session import Session

MAX_ANSWER_BYTES = 64 << 20
# Of the answer when it is inflated; a longer line, or more in all, is no list of files.
MAX_LINE_BYTES = 4 << 20
MAX_INFLATED_BYTES = 256 << 20
MAX_FILES = 500_000
MAX_LINES = 10_000
MAX_ROWS = 5_000
MAX_END_BYTES = 2 << 20
_SLICE_BYTES = 64 << 10
# Hashing over there reads every byte; slower disks than this are rare.
HASHED_BYTES_PER_S = 20e6

_Count = Annotated[int, Field(ge=0, le=1 << 50)]
_Inode = Annotated[int, Field(ge=0, lt=1 << 64)]
_Time = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Name = Annotated[str, Field(min_length=1, max_length=1 << 16)]


@dataclass(frozen=True)
class Folder:
    """One folder to list; `pattern` is a glob over the paths below it, `top` a folder above or itself."""

    top: PurePosixPath
    path: PurePosixPath
    pattern: str
    recursive: bool


class File(NamedTuple):
    """One plain file on a host; its figures are those from before it was hashed."""

    name: bytes
    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: str | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Incarnation(_Strict):
    """What tells one start of a container from the next; None where it could not be told."""

    boot_id: Annotated[str, Field(max_length=64)] | None
    pid_namespace: _Inode | None


@dataclass(frozen=True)
class Listed:
    """One folder's plain files, and what was passed over."""

    exists: bool
    error: str | None
    files: list[File]
    skipped: list[tuple[bytes, Literal["link", "special"]]]


@dataclass(frozen=True)
class Listing:
    """The answer, one `Listed` for each folder asked for.

    `clock_ns` is the host's own clock at its begin; `digest` tells it from any other listing.
    """

    incarnation: Incarnation
    clock_ns: int
    folders: list[Listed]
    digest: str


class _Files(_Strict):
    folder: Annotated[int, Field(ge=0)]
    # Our program sends 500 to a line. Of more, each of which is wrong, the errors alone would take a minute.
    files: Annotated[
        list[tuple[_Name, _Count, _Time, _Time, _Inode, _Sha256 | None]], Field(max_length=MAX_ROWS)
    ]


class _Folder(_Strict):
    exists: bool
    error: Annotated[str, Field(max_length=40_000)] | None
    skipped: Annotated[list[tuple[_Name, Literal["link", "special"]]], Field(max_length=100)]


class _End(_Strict):
    incarnation: Incarnation
    clock_ns: _Time
    folders: Annotated[list[_Folder], Field(max_length=MAX_LINES)]
    digest: _Sha256


@dataclass(frozen=True)
class Answer:
    """What a host said, not read yet: `folders` is how many were asked for."""

    host: str
    said: bytes
    folders: int


def list_files(
    session: Session, python: str, folders: Sequence[Folder], *, hash_bytes: int | None = None
) -> Listing:
    """List `folders` in one round trip.

    Args:
        session: an open way to the host.
        python: the host's Python, 3.8 or newer.
        folders: what to list.
        hash_bytes: None: names, sizes and times. Else the files are hashed over there, too, which
            may take as long as so many bytes need.

    Raises:
        ToolMissing: that Python is not there.
        CommandFailed: it ended with an error.
        HostError: its answer is not one; nothing of it is believed.
    """
    return read(ask(session, python, folders, hash_bytes=hash_bytes))


def ask(
    session: Session,
    python: str,
    folders: Sequence[Folder],
    *,
    hash_bytes: int | None = None,
    unless: str | None = None,
) -> Answer:
    """The question of `list_files` alone; with `unless`, the digest of an earlier listing, an answer that
    would be the same lists no file.

    Raises:
        HostError: as `list_files`.
    """
    asked = [
        {
            "path": _letters(os.fsencode(f.path)),
            "pattern": _letters(os.fsencode(f.pattern)),
            "recursive": f.recursive,
            "hash": hash_bytes is not None,
        }
        for f in folders
    ]
    return _ask(session, python, asked, "its files could not be listed", hash_bytes, unless)


def read(answer: Answer) -> Listing:
    """The listing in an answer.

    Raises:
        HostError: it is none; nothing of it is believed.
    """
    files: list[list[File]] = [[] for _ in range(answer.folders)]
    listing = read_each(answer, lambda folder, file: files[folder].append(file))
    folders = [replace(f, files=some) for f, some in zip(listing.folders, files, strict=True)]
    return replace(listing, folders=folders)


def read_each(answer: Answer, take: Callable[[int, File], None]) -> Listing:
    """The listing in an answer without its files, which `take` is given one by one, with their folder.

    Raises:
        HostError: it is none; nothing of it is believed, and what was taken must be forgotten.
    """
    with _understood(answer):
        return _parsed(answer.said, answer.folders, take)


@contextmanager
def _understood(answer: Answer) -> Iterator[None]:
    """Raise HostError for what is no answer of ours."""
    try:
        yield
    except ValidationError as e:
        raise odd_form(answer.host, "its list of files", e) from e
    except (zlib.error, ValueError) as e:
        raise HostError(
            f"its list of files is not in our form ({e})",
            host=answer.host,
            hint="something else than our program answered: does its shell print on login?",
        ) from e


def digest_of(answer: Answer) -> str:
    """What tells the listing in an answer from any other; its files are not looked at.

    Raises:
        HostError: it is none.
    """
    with _understood(answer):
        last = b""
        for line in _lines(answer.said):
            last = line
        return _end(last).digest


def hash_files(
    session: Session,
    python: str,
    wanted: Mapping[PurePosixPath, Sequence[tuple[bytes, int | None]]],
    *,
    hash_bytes: int,
) -> Listing:
    """Have named files hashed over there, in one round trip; those that are gone are left out.

    Args:
        session: an open way to the host.
        python: the host's Python, 3.8 or newer.
        wanted: folder -> the files below it, each with how many of its first bytes are to be hashed;
            None: all.
        hash_bytes: how many bytes that is in all; it may take as long as they need.

    Raises:
        HostError: as `list_files`.
    """
    asked = [
        {
            "path": _letters(os.fsencode(folder)),
            "names": [(_letters(name), limit) for name, limit in names],
        }
        for folder, names in wanted.items()
    ]
    return read(_ask(session, python, asked, "its files could not be hashed", hash_bytes, None))


def _ask(
    session: Session,
    python: str,
    folders: list[dict[str, Any]],
    what: str,
    hash_bytes: int | None,
    unless: str | None,
) -> Answer:
    said = ask_alone(
        session,
        "listing",
        {},
        python=python,
        what=what,
        timeout_s=None if hash_bytes is None else 60 + hash_bytes / HASHED_BYTES_PER_S,
        limit=MAX_ANSWER_BYTES,
        payload=zlib.compress(json.dumps({"folders": folders, "unless": unless}).encode("ascii"), 1),
    )
    return Answer(session.host, said, len(folders))


def _parsed(said: bytes, folders: int, take: Callable[[int, File], None]) -> Listing:
    """The whole answer.

    Raises:
        ValueError: it is not one (as pydantic's ValidationError is, too).
    """
    lines = _lines(said)
    line, count = next(lines, b""), 0
    for following in lines:
        some = _Files.model_validate_json(line)
        if some.folder >= folders:
            raise ValueError("it tells of a folder that was not asked for")
        count += len(some.files)
        if count > MAX_FILES:
            raise ValueError(f"more than {MAX_FILES} files")
        for row in some.files:
            take(some.folder, File(row[0].encode("latin-1"), *row[1:]))
        line = following
    end = _end(line)
    if len(end.folders) != folders:
        raise ValueError("it has another number of folders than asked")
    return Listing(
        end.incarnation,
        end.clock_ns,
        [
            Listed(f.exists, f.error, [], [(name.encode("latin-1"), what) for name, what in f.skipped])
            for f in end.folders
        ],
        end.digest,
    )


def _end(line: bytes) -> _End:
    """The last line. A long one is not even parsed: of what it may hold, every value would be built first."""
    if len(line) > MAX_END_BYTES:
        raise ValueError("its last line is too long")
    return _End.model_validate_json(line)


def _lines(said: bytes) -> Iterator[bytes]:
    """The answer's lines, inflated bit by bit; at most `MAX_LINES` of them.

    Raises:
        ValueError: it is cut short, or larger than a listing can be.
    """
    inflate, line, line_bytes, done, count = zlib.decompressobj(), list[bytes](), 0, 0, 0
    given, at = b"", 0
    while not inflate.eof:
        if not given:
            # In slices: what is left of an input is copied each time, and of 64 MiB that takes a minute.
            given, at = said[at : at + _SLICE_BYTES], at + _SLICE_BYTES
        some = inflate.decompress(given, 1 << 18)
        if not (given or some or inflate.eof):
            raise ValueError("it is cut short")
        given = inflate.unconsumed_tail
        done += len(some)
        *whole, rest = some.split(b"\n")
        for each in whole:
            yield b"".join((*line, each))
            line, line_bytes = [], 0
        line.append(rest)
        line_bytes, count = line_bytes + len(rest), count + len(whole)
        if line_bytes > MAX_LINE_BYTES or done > MAX_INFLATED_BYTES or count > MAX_LINES:
            raise ValueError("it is too large")
    if line_bytes or inflate.unused_data or at < len(said):
        raise ValueError("something follows it")


def _letters(name: bytes) -> str:
    """One letter for each byte, as `pod/listing.py` spells names."""
    return name.decode("latin-1")
