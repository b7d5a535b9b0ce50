"""Reading files once: their hash, and what a judge says of them. Two threads, no side effects."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from being_remote.durable_files import CHUNK_BYTES, open_plain
from being_remote.errors import DataError, TornFile
from being_remote.session import OnProgress, TransferProgress

THREADS = 2
# A task for the pool costs about as much as hashing a small file.
BATCH = 64


@dataclass(frozen=True)
class Judge:
    """Who knows what a whole file looks like; a backup does not.

    Attributes:
        most_bytes: how large a whole file of this name can be; larger ones are refused unread. None: it
            cannot be judged.
        check: (path at home, contents); raises DataError when the file is torn, unsafe or contradicts itself.
    """

    most_bytes: Callable[[str], int | None]
    check: Callable[[str, bytes], None]


def _nothing(_name: str, _data: bytes) -> None: ...


NO_JUDGE = Judge(lambda _name: None, _nothing)


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """One file that was read: `problem` is None or what the judge said; `torn`: it may be but half there."""

    path: str
    file: Path
    sha256: str
    bytes: int
    mtime_ns: int
    judged: bool
    problem: str | None
    torn: bool


def check(files: Mapping[str, Path], judge: Judge, on_progress: OnProgress) -> list[CheckedFile]:
    """Hash and judge each file (path at home -> where it lies now).

    Raises:
        InconsistentData: one of them is no plain file.
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
    most, problem, torn = judge.most_bytes(path), None, False
    with open_plain(file) as (descriptor, found):
        if found.st_size <= (CHUNK_BYTES if most is None else most):
            data = _all_of(descriptor, found.st_size)
            digest = hashlib.sha256(data)
            if most is not None:
                try:
                    judge.check(path, data)
                except DataError as e:
                    problem, torn = e.what, isinstance(e, TornFile)
        else:
            digest = hashlib.sha256()
            while chunk := os.read(descriptor, CHUNK_BYTES):
                digest.update(chunk)
            if most is not None:
                problem = f"has {found.st_size} bytes; a whole one has at most {most}"
    sha256, judged = digest.hexdigest(), most is not None
    return CheckedFile(path, file, sha256, found.st_size, found.st_mtime_ns, judged, problem, torn)


def _all_of(descriptor: int, size: int) -> bytes:
    """What the file holds; one read, unless it grew or is larger than the system reads at once."""
    data = os.read(descriptor, size + 1)
    while len(data) != size and (more := os.read(descriptor, CHUNK_BYTES)):
        data += more
    return data
