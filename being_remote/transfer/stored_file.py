"""One file that a backup keeps: its path, its bytes, and what was found when it was read."""

from __future__ import annotations

from dataclasses import dataclass

from being_remote.durable_files import Stat
from being_remote.transfer.checked_files import CheckedFile


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
