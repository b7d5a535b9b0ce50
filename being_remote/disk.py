"""Room on this machine's disks: what downloads must leave free, and whether a disk is full.

What another machine says never decides that a disk here is full.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from being_remote.errors import NoSpace
from being_remote.wording import size_words

# What a download leaves free of a disk: 1 % of it, at most 1 GiB.
RESERVE_SHARE = 100
RESERVE_MOST_BYTES = 1 << 30
FULL = (errno.ENOSPC, errno.EDQUOT)
_PROBE_BYTES = 64 << 10


def reserve_bytes(disk_bytes: int) -> int:
    """What stays free on a disk of this size.

    Example:
        >>> reserve_bytes(50 * 10**9), reserve_bytes(10**12) == 1 << 30
        (500000000, True)
    """
    return min(disk_bytes // RESERVE_SHARE, RESERVE_MOST_BYTES)


def room_bytes(folder: Path) -> int:
    """How much may still be downloaded to the folder's disk; below 0 when the reserve is touched."""
    at = shutil.disk_usage(existing_parent(folder))
    return at.free - reserve_bytes(at.total)


def require_writable_room(folder: Path) -> None:
    """Raise NoSpace where the folder's disk, or our quota on it, has no room: its figures say so, or a write
    fails."""
    there = existing_parent(folder)
    if room_bytes(there) < 0:
        raise no_space(folder)
    try:
        with tempfile.TemporaryFile(dir=there, buffering=0) as probe:
            probe.write(bytes(_PROBE_BYTES))
            os.fsync(probe.fileno())
    except OSError as e:
        if e.errno in FULL:
            raise no_space(folder, error=e) from e


def no_space(folder: Path, need_bytes: int | None = None, *, error: OSError | None = None) -> NoSpace:
    """The error for a full disk of this laptop, or a used-up quota (`error`); `need_bytes` if known."""
    if error is not None and error.errno == errno.EDQUOT:
        return NoSpace(
            "quota exceeded on this laptop: the disk refuses to store more for this user, whatever is free;"
            " what was safe before is untouched",
            file=str(folder),
            hint="remove files of yours on that disk, or have the quota raised (`quota -s` shows it, where"
            " there is one); then sync again: it goes on where it stopped",
        )
    at = shutil.disk_usage(existing_parent(folder))
    need = f"{size_words(need_bytes)} are needed, " if need_bytes is not None else ""
    kept = f"{size_words(reserve_bytes(at.total))} stay in reserve"
    return NoSpace(
        f"this laptop's disk is full ({need}{size_words(at.free)} are free, {kept});"
        " what was safe before is untouched",
        file=str(folder),
        hint="free space on the disk of that folder (or point `backups:` in the inventory to a larger one), "
        "then sync again: it goes on where it stopped",
    )


def describe_full(error: OSError) -> str:
    """What one of the errors `FULL` says of a disk.

    Example:
        >>> describe_full(OSError(errno.ENOSPC, "")), describe_full(OSError(errno.EDQUOT, ""))
        ('the disk is full', 'quota exceeded')
    """
    return "quota exceeded" if error.errno == errno.EDQUOT else "the disk is full"


def existing_parent(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists: where it is, or will be made."""
    return next(p for p in (folder, *folder.parents) if p.exists())
