"""Read files once: their hash, and whether a judge finds them whole. Two threads, no side effects."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from being_remote.durable_files import CHUNK_BYTES, Stat, open_plain
from being_remote.errors import DataError, InconsistentData, TornFile, UnsafeFile
from being_remote.session import OnProgress, TransferProgress

THREADS = 2
# A task for the pool costs about as much as hashing a small file.
BATCH = 64
# What can be wrong with contents: not there, or other bytes than their name says.
Fault = Literal["missing", "rotten"]


@dataclass(frozen=True)
class Judge:
    """Knows what a whole file looks like, which a backup does not.

    Attributes:
        most_bytes: how large a whole file of this name can be; larger ones are refused unread. None: it
            cannot be judged.
        check: (path in the backup, contents); raises DataError when the file is torn or unsafe.
    """

    most_bytes: Callable[[str], int | None]
    check: Callable[[str, bytes], None]


def _nothing(_name: str, _data: bytes) -> None: ...


NO_JUDGE = Judge(lambda _name: None, _nothing)


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """One file that was read; `error` is what the judge said of it, None if it is whole or was not judged."""

    path: str
    file: Path
    sha256: str
    bytes: int
    mtime_ns: int
    judged: bool
    error: DataError | None

    @property
    def problem(self) -> str | None:
        """What is wrong with it."""
        return self.error.what if self.error is not None else None

    @property
    def torn(self) -> bool:
        """Whether it may be half written."""
        return isinstance(self.error, TornFile)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a snapshot. `path` is relative to the backup; `checks` says what was checked, and found."""

    path: str
    sha256: str
    bytes: int
    mtime_ns: int
    checks: tuple[str, ...] = ()
    host: str | None = None

    def looks_like(self, found: Stat) -> bool:
        """Whether a file's size and time are this entry's."""
        return (found.st_size, found.st_mtime_ns) == (self.bytes, self.mtime_ns)


_WHOLE = ("sha256", "whole")


def stored_file(checked: CheckedFile, mtime_ns: int, *, host: str | None) -> StoredFile:
    """The entry of a file that was checked."""
    checks: tuple[str, ...] = ("sha256",)
    if checked.judged:
        checks = _WHOLE if checked.problem is None else ("sha256", f"unsound: {checked.problem}")
    return StoredFile(checked.path, checked.sha256, checked.bytes, mtime_ns, checks, host)


def check_files(files: Mapping[str, Path], judge: Judge, on_progress: OnProgress) -> list[CheckedFile]:
    """Hash and judge each file (path in the backup -> where it lies now).

    Raises:
        InconsistentData: one of them is not a plain file.
    """

    def some(paths: Sequence[str]) -> list[CheckedFile]:
        return [_check_one(path, files[path], judge) for path in paths]

    paths, checked = list(files), list[CheckedFile]()
    with ThreadPoolExecutor(THREADS) as pool:
        for batch in pool.map(some, (paths[i : i + BATCH] for i in range(0, len(paths), BATCH))):
            checked += batch
            on_progress(TransferProgress("checking", len(checked), len(files), "files"))
    return checked


def _check_one(path: str, file: Path, judge: Judge) -> CheckedFile:
    # hashlib lets go of the interpreter lock above 2047 bytes, so two threads use two cores.
    most = judge.most_bytes(path)
    error: DataError | None = None
    with open_plain(file) as (descriptor, found):
        if found.st_size <= (CHUNK_BYTES if most is None else most):
            data = _all_of(descriptor, found.st_size)
            digest = hashlib.sha256(data)
            if most is not None:
                try:
                    judge.check(path, data)
                except DataError as e:
                    # Made again: a raised one keeps the whole contents in memory by its traceback.
                    error = type(e)(e.what, file=path, hint=e.hint)
        else:
            digest = hashlib.sha256()
            while chunk := os.read(descriptor, CHUNK_BYTES):
                digest.update(chunk)
            if most is not None:
                error = UnsafeFile(f"has {found.st_size} bytes; a whole one has at most {most}", file=path)
    sha256, judged = digest.hexdigest(), most is not None
    return CheckedFile(path, file, sha256, found.st_size, found.st_mtime_ns, judged, error)


def _all_of(descriptor: int, size: int) -> bytes:
    """What the file holds; one read, unless it grew or is larger than the system reads at once."""
    data = os.read(descriptor, size + 1)
    while len(data) != size and (more := os.read(descriptor, CHUNK_BYTES)):
        data += more
    return data


def find_faults(
    names: Sequence[str], file_of: Callable[[str], tuple[Path, str]], what: str, on_progress: OnProgress
) -> Mapping[str, Fault]:
    """Read files again, each with the sha256 that it should have, and say which have not."""

    def some(part: Sequence[str]) -> dict[str, Fault]:
        found = ((name, find_fault(*file_of(name))) for name in part)
        return {name: wrong for name, wrong in found if wrong is not None}

    wrong: dict[str, Fault] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        parts = [names[i : i + BATCH] for i in range(0, len(names), BATCH)]
        for done, found in enumerate(pool.map(some, parts), start=1):
            wrong |= found
            read = min(done * BATCH, len(names))
            on_progress(TransferProgress(what, read, len(names), "files"))
    return wrong


def find_fault(file: Path, sha256: str) -> Fault | None:
    """What is wrong with a file that should have this hash; None when it has."""
    try:
        return None if hash_of(file) == sha256 else "rotten"
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except InconsistentData:
        return "rotten"  # a link or a folder in its place


def has_hash(file: Path, sha256: str) -> bool:
    """Whether a plain file with these bytes lies there."""
    return find_fault(file, sha256) is None


def hash_of(file: Path, size: int | None = None) -> str:
    """The sha256 of a plain file, or of its first `size` bytes; "" where the disk cannot read it any more.

    Raises:
        InconsistentData: it is a link, a folder or a special.
    """
    digest = hashlib.sha256()
    with open_plain(file) as (descriptor, _):
        try:
            left = size
            while chunk := os.read(descriptor, CHUNK_BYTES if left is None else min(left, CHUNK_BYTES)):
                digest.update(chunk)
                left = None if left is None else left - len(chunk)
        except OSError as e:
            if e.errno != errno.EIO:
                raise
            return ""
    return digest.hexdigest()
