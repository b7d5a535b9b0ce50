"""Whether contents in the history still are what their names say. Reads only."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from being_remote.backup.history import History
from being_remote.durable_files import CHUNK_BYTES, open_plain
from being_remote.errors import InconsistentData
from being_remote.session import OnProgress, TransferProgress
from being_remote.transfer.file_check import BATCH, THREADS

# What can be wrong with contents: not there, or other bytes than their name says.
Fault = Literal["missing", "rotten"]


def faults(history: History, names: Sequence[str], on_progress: OnProgress) -> Mapping[str, Fault]:
    """Read the contents of these names (sha256) again, and say which are not what they should be."""
    return wrong_ones(names, lambda name: (history.object(name), name), "reading the history", on_progress)


def wrong_ones(
    names: Sequence[str], file_of: Callable[[str], tuple[Path, str]], what: str, on_progress: OnProgress
) -> Mapping[str, Fault]:
    """Read files again, each with the sha256 that it should have, and say which have not."""

    def some(part: Sequence[str]) -> dict[str, Fault]:
        found = ((name, fault(*file_of(name))) for name in part)
        return {name: wrong for name, wrong in found if wrong is not None}

    wrong: dict[str, Fault] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        parts = [names[i : i + BATCH] for i in range(0, len(names), BATCH)]
        for done, found in enumerate(pool.map(some, parts), start=1):
            wrong |= found
            read = min(done * BATCH, len(names))
            on_progress(TransferProgress(what, read, len(names), "files"))
    return wrong


def fault(file: Path, sha256: str) -> Fault | None:
    """What is wrong with a file that should have this hash; None when it has."""
    try:
        return None if hash_of(file) == sha256 else "rotten"
    except FileNotFoundError:
        return "missing"
    except InconsistentData:
        return "rotten"  # a link or a folder in its place


def hash_of(file: Path) -> str:
    """The sha256 of a plain file; "" where the disk cannot read it any more.

    Raises:
        InconsistentData: it is a link, a folder or a special.
    """
    digest = hashlib.sha256()
    with open_plain(file) as (descriptor, _):
        try:
            while chunk := os.read(descriptor, CHUNK_BYTES):
                digest.update(chunk)
        except OSError as e:
            if e.errno != errno.EIO:
                raise
            return ""
    return digest.hexdigest()
