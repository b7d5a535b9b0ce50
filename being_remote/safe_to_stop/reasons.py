"""What speaks against stopping a host, as values. No side effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from being_remote.local_path import shown_path

EXAMPLES = 5
# In the place of a hash: nothing local has the file's size, so its bytes are not local either.
NOT_HASHED = ""


@dataclass(frozen=True)
class Reason:
    """One reason: `verdict` is "no" for what is known to be lost or at work, else "unknown"."""

    about: Literal["files", "jobs", "gpu", "host"]
    verdict: Literal["no", "unknown"]
    what: str
    next: str


@dataclass(frozen=True)
class NotLocal:
    """Files that are not at home with the host's bytes; the first few by name."""

    count: int = 0
    bytes: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class RequiredFile:
    """A file of the host that should be at home: its path there and its bytes as hashed over there.

    `sha256` is None where the host could not read it, `NOT_HASHED` where its size alone tells enough.
    """

    path: str
    bytes: int
    mtime_ns: int
    sha256: str | None


def not_home(files: Sequence[RequiredFile]) -> NotLocal:
    """Those files, counted."""
    examples = tuple(shown_path(file.path)[0] for file in files[:EXAMPLES])
    return NotLocal(len(files), sum(file.bytes for file in files), examples)


def named(files: Sequence[RequiredFile]) -> str:
    """How many, and the first few.

    Example:
        >>> named([RequiredFile("a.frame", 1, 0, None)])
        "1 file ('a.frame')"
    """
    more = ", ..." if len(files) > EXAMPLES else ""
    shown = ", ".join(repr(shown_path(file.path)[0]) for file in files[:EXAMPLES]) + more
    return f"{counted(len(files), 'file')} ({shown})"


def counted(count: int, what: str) -> str:
    """A number and its word.

    Example:
        >>> counted(1, "file"), counted(2514, "file")
        ('1 file', '2,514 files')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"
