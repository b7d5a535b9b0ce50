"""List a host's files, or hash them there, and validate the answer of `pod/listing.py`.

The answer is read strictly, every size bounded. A name that was not asked for refuses the whole answer.
An impossible value of a name that was asked for (a time after the year 2262) leaves that file out, named;
the others count. It is read line by line, so that a hundred thousand files are never in memory in several
forms at once.
"""

from __future__ import annotations

import fnmatch
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from being_remote.errors import UnrequestedFile
from being_remote.local_path import is_plain
from being_remote.pace import READ_BYTES_PER_S
from being_remote.pod_client.encoded_names import letters
from being_remote.pod_client.runner import malformed_answer, run_program
from being_remote.session import Session
from being_remote.strict_model import StrictModel, first_problem

# Of the inflated answer; a longer line, or more in all, is refused.
MAX_LINE_BYTES = 4 << 20
MAX_INFLATED_BYTES = 256 << 20
MAX_FILES = 500_000
MAX_LINES = 10_000
MAX_ROWS = 5_000
MAX_END_BYTES = 2 << 20
_SLICE_BYTES = 64 << 10
# Files with impossible values, of one folder, that are named.
MAX_MALFORMED = 20

_Count = Annotated[int, Field(ge=0, le=1 << 50)]
_Inode = Annotated[int, Field(ge=0, lt=1 << 64)]
_Time = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Name = Annotated[str, Field(min_length=1, max_length=1 << 16)]


@dataclass(frozen=True)
class FolderQuery:
    """One folder to list; `pattern` is a glob over the paths below it, `top` a folder above or itself.

    Of more than `most` files, or of more than `MAX_FILES` in all folders of a request, those that come
    first are listed; so the most precious folders are asked for first.
    """

    top: PurePosixPath
    path: PurePosixPath
    pattern: str
    recursive: bool
    most: int = MAX_FILES

    def asks_for(self, name: bytes) -> bool:
        """Whether a path below the folder fits the request.

        Example:
            >>> box = FolderQuery(PurePosixPath("/w"), PurePosixPath("/w/in"), "bbox.pt", recursive=False)
            >>> box.asks_for(b"bbox.pt"), box.asks_for(b".history/manifests/7.json")
            (True, False)
        """
        if b"/" in name and not self.recursive:
            return False
        return self.pattern == "*" or fnmatch.fnmatchcase(name, os.fsencode(self.pattern))


class ListedFile(NamedTuple):
    """One plain file on a host; its figures are those from before it was hashed."""

    name: bytes
    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: str | None


class ContainerStart(StrictModel):
    """What tells one start of a container from the next; None: not known."""

    boot_id: Annotated[str, Field(max_length=64)] | None
    pid_namespace: _Inode | None


@dataclass(frozen=True)
class ListedFolder:
    """One folder's plain files, and what was passed over.

    Attributes:
        malformed: files with impossible values, and which value; the first few of `malformed_count`.
        cut: there are more files than are listed.
    """

    exists: bool
    error: str | None
    files: list[ListedFile]
    skipped: list[tuple[bytes, Literal["link", "special"]]]
    malformed: list[tuple[bytes, str]] = field(default_factory=list)
    malformed_count: int = 0
    cut: bool = False


@dataclass(frozen=True)
class Listing:
    """The answer, one `ListedFolder` for each folder asked for.

    `clock_ns` is the host's own clock at its begin; `digest` tells it from any other listing.
    """

    incarnation: ContainerStart
    clock_ns: int
    folders: list[ListedFolder]
    digest: str


_Row = tuple[_Name, _Count, _Time, _Time, _Inode, _Sha256 | None]
_ROW = TypeAdapter(_Row, config=ConfigDict(strict=True))
_VALUES = ("name", "size", "modification time", "change time", "inode", "hash")


class _Files(StrictModel):
    folder: Annotated[int, Field(ge=0)]
    # Our program sends 500 to a line. Of more, each of which is wrong, the errors alone would take a minute.
    files: Annotated[list[_Row], Field(max_length=MAX_ROWS)]


class _FolderHeader(StrictModel):
    exists: bool
    error: Annotated[str, Field(max_length=40_000)] | None
    skipped: Annotated[list[tuple[_Name, Literal["link", "special"]]], Field(max_length=100)]
    cut: bool


class _End(StrictModel):
    incarnation: ContainerStart
    clock_ns: _Time
    folders: Annotated[list[_FolderHeader], Field(max_length=MAX_LINES)]
    digest: _Sha256


@dataclass(frozen=True)
class ListingAnswer:
    """A host's answer, not read yet; `asked`: by folder, which names match and how many files at most."""

    host: str
    data: bytes
    asked: tuple[tuple[Callable[[bytes], bool], int], ...]


def list_files(session: Session, python: str, folders: Sequence[FolderQuery]) -> Listing:
    """List `folders` on the host, whose Python is `python` (3.8 or newer), in one round trip.

    Raises:
        ToolMissing: that Python is missing.
        CommandFailed: it ended with an error.
        HostError: no answer, or an invalid one; nothing of it is used.
        UnrequestedFile: it names a file that was not asked for; nothing of it is used.
    """
    return _read_all(ask_listing(session, python, folders))


def ask_listing(
    session: Session, python: str, folders: Sequence[FolderQuery], *, unless: str | None = None
) -> ListingAnswer:
    """Ask as `list_files` does, with its errors, and read nothing yet.

    With `unless`, the digest of an earlier listing, an answer that would be the same lists no file.
    """
    request = [
        {
            "path": letters(os.fsencode(f.path)),
            "pattern": letters(os.fsencode(f.pattern)),
            "recursive": f.recursive,
            "hash": False,
            "most": f.most,
        }
        for f in folders
    ]
    asked = tuple((f.asks_for, f.most) for f in folders)
    return _ask(session, python, request, asked, timeout_s=None, unless=unless)


def _read_all(answer: ListingAnswer) -> Listing:
    files: list[list[ListedFile]] = [[] for _ in answer.asked]
    listing = read_each(answer, lambda folder, file: files[folder].append(file))
    folders = [replace(f, files=some) for f, some in zip(listing.folders, files, strict=True)]
    return replace(listing, folders=folders)


def read_each(answer: ListingAnswer, take: Callable[[int, ListedFile], None]) -> Listing:
    """The listing in an answer without its files: `take` is given each of them, with its folder's number.

    Raises:
        HostError, UnrequestedFile: as `list_files`; what was taken must be forgotten.
    """
    with _refuse_malformed(answer):
        return _parse(answer, take)


@contextmanager
def _refuse_malformed(answer: ListingAnswer) -> Iterator[None]:
    try:
        yield
    except ValidationError as e:
        raise malformed_answer(answer.host, "listing", first_problem(e)) from e
    except (zlib.error, ValueError, RecursionError) as e:
        raise malformed_answer(answer.host, "listing", str(e)) from e


def digest_of(answer: ListingAnswer) -> str:
    """What tells the listing in an answer from any other; HostError for an invalid one. Reads no file."""
    with _refuse_malformed(answer):
        last = b""
        for line in _lines(answer.data):
            last = line
        return _end(last).digest


# A folder on a host and the name of a file below it, both as the host spells them.
FileKey = tuple[PurePosixPath, bytes]


def hash_files(
    session: Session, python: str, sizes: Mapping[FileKey, int], *, whole: bool = False
) -> tuple[int, dict[FileKey, ListedFile]]:
    """Hash files on the host, in one round trip; missing ones are left out.

    Args:
        python: the host's Python, 3.8 or newer.
        sizes: how many of its first bytes are to be hashed of each file; the time-out grows with them.
        whole: hash all its bytes, however many there are by now.

    Returns:
        The host's clock when it began, and the files as they were before they were read.

    Raises:
        HostError, UnrequestedFile: as `list_files`.
    """
    if not sizes:
        return 0, {}
    named: dict[PurePosixPath, list[tuple[bytes, int | None]]] = {}
    for (folder, name), size in sizes.items():
        named.setdefault(folder, []).append((name, None if whole else size))
    request = [
        {"path": letters(os.fsencode(folder)), "names": [(letters(name), limit) for name, limit in names]}
        for folder, names in named.items()
    ]
    asked = tuple((frozenset(n for n, _ in names).__contains__, len(names)) for names in named.values())
    timeout_s = 60 + sum(sizes.values()) / READ_BYTES_PER_S
    listing = _read_all(_ask(session, python, request, asked, timeout_s=timeout_s))
    folders = zip(named, listing.folders, strict=True)
    return listing.clock_ns, {(folder, f.name): f for folder, listed in folders for f in listed.files}


def _ask(
    session: Session,
    python: str,
    folders: list[dict[str, Any]],
    asked: tuple[tuple[Callable[[bytes], bool], int], ...],
    *,
    timeout_s: float | None,
    unless: str | None = None,
) -> ListingAnswer:
    payload = zlib.compress(json.dumps({"folders": folders, "unless": unless}).encode("ascii"), 1)
    data = run_program(session, "listing", {}, python=python, timeout_s=timeout_s, payload=payload)
    return ListingAnswer(session.host, data, asked)


def _parse(answer: ListingAnswer, take: Callable[[int, ListedFile], None]) -> Listing:
    """The whole answer; ValueError (pydantic's ValidationError is one) for an invalid one."""
    lines, counts = _lines(answer.data), [0] * len(answer.asked)
    malformed: list[list[tuple[bytes, str]]] = [[] for _ in answer.asked]
    line = next(lines, b"")
    for following in lines:
        number, rows, bad = _rows(line)
        count = len(rows) + len(bad)
        if number >= len(answer.asked):
            raise ValueError("it names a folder that was not asked for")
        for row in rows:
            try:
                file = ListedFile(row[0].encode("latin-1"), *row[1:])
            except UnicodeEncodeError:
                bad.append((_name_of(row[0]), "its name is impossible"))
                continue
            _require_asked(answer, number, file.name)
            take(number, file)
        for name, why in bad:
            _require_asked(answer, number, name)
            malformed[number].append((name, why))
        counts[number] += count
        if counts[number] > answer.asked[number][1] or sum(counts) > MAX_FILES:
            raise ValueError("it lists more files than it may")
        line = following
    end = _end(line)
    if len(end.folders) != len(answer.asked):
        raise ValueError("it has another number of folders than asked")
    folders = []
    for number, (f, bad) in enumerate(zip(end.folders, malformed, strict=True)):
        skipped = [(name.encode("latin-1"), what) for name, what in f.skipped]
        for name, _ in skipped:
            _require_asked(answer, number, name)
        folders.append(ListedFolder(f.exists, f.error, [], skipped, bad[:MAX_MALFORMED], len(bad), f.cut))
    return Listing(end.incarnation, end.clock_ns, folders, end.digest)


def _require_asked(answer: ListingAnswer, number: int, name: bytes) -> None:
    fits, _ = answer.asked[number]
    if not fits(name) or not is_plain(name):
        raise UnrequestedFile(repr(os.fsdecode(name)), host=answer.host)


def _rows(line: bytes) -> tuple[int, list[_Row], list[tuple[bytes, str]]]:
    """One line: its folder, its rows, and the files with an impossible value, each with why."""
    try:
        some = _Files.model_validate_json(line)
    except ValidationError as e:
        parsed = _as_json(line)  # which also takes half a surrogate pair
        if not isinstance(parsed, dict) or not isinstance(parsed.get("files"), list):
            raise e
        if len(parsed["files"]) > MAX_ROWS:
            raise ValueError("a line of it is too long") from e
        number = _Files.model_validate({**parsed, "files": []}).folder
    else:
        return some.folder, some.files, []
    rows, bad = [], []
    for each in parsed["files"]:
        try:
            rows.append(_ROW.validate_python(tuple(each) if isinstance(each, list) else each))
        except ValidationError as e:
            if not isinstance(each, list) or len(each) != len(_VALUES) or not isinstance(each[0], str):
                raise
            wrong = ", ".join(dict.fromkeys(_VALUES[int(error["loc"][0])] for error in e.errors()))
            bad.append((_name_of(each[0]), f"its {wrong} is impossible"))
    return number, rows, bad


def _name_of(letters: str) -> bytes:
    """The name, also where our program could not have spelt it."""
    try:
        return letters.encode("latin-1")
    except UnicodeEncodeError:
        return letters.encode("utf-8", "surrogatepass")


def _as_json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _end(line: bytes) -> _End:
    """The last line. A long one is not parsed: every value in it would be built first."""
    if len(line) > MAX_END_BYTES:
        raise ValueError("its last line is too long")
    return _End.model_validate_json(line)


def _lines(data: bytes) -> Iterator[bytes]:
    """The answer's lines, inflated in parts; ValueError where it is cut short or too large."""
    inflate, line, line_bytes, done, count = zlib.decompressobj(), list[bytes](), 0, 0, 0
    given, at = b"", 0
    while not inflate.eof:
        if not given:
            # In slices: what is left of an input is copied each time, and of 64 MiB that takes a minute.
            given, at = data[at : at + _SLICE_BYTES], at + _SLICE_BYTES
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
    if line_bytes or inflate.unused_data or at < len(data):
        raise ValueError("something follows it")
