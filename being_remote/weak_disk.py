"""What a disk of this laptop lacks that others offer, and what that costs. A leaf.

Network and FUSE disks refuse some of it; all commands work there, but promise less.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from being_remote.disk import existing_parent
from being_remote.local_lock import REFUSED
from being_remote.pod.disk_features import NOT_OFFERED, REFUSED_TO_USER

# What is lacking -> what that costs. A disk that refuses may say so in either way.
_COSTS = {
    "flock": "after a restart of this laptop the lock of a killed command has to be removed with"
    " `sync --break-lock`",
    "fsync of folders": "a file that was just written may be missing after a power cut",
    "chmod": "files have the rights that the disk gives them",
    "utime": "files are compared by hash, so each sync reads the whole backup",
}


def describe_weakness(folder: Path) -> str | None:
    """What the folder's disk lacks, in one sentence; None for nothing. Leaves nothing there."""
    place = existing_parent(folder)
    try:
        lacking = _find_lacking(place)
    except OSError:  # full, or not ours: a write will say so
        return None
    if not lacking:
        return None
    costs = "; ".join(_COSTS[what] for what in lacking)
    return f"the disk of {place} offers no {', no '.join(lacking)}: {costs}"


def refuses_record_locks(folder: Path) -> bool:
    """Whether the disk refuses the locks (fcntl) by which SQLite keeps its processes apart."""
    try:
        with tempfile.TemporaryFile(dir=existing_parent(folder), buffering=0) as probe:
            return _is_refused(lambda: fcntl.lockf(probe, fcntl.LOCK_EX | fcntl.LOCK_NB), REFUSED)
    except OSError:
        return False


def _find_lacking(place: Path) -> list[str]:
    folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with tempfile.TemporaryFile(dir=place, buffering=0) as probe:
            number = probe.fileno()
            tried: dict[str, tuple[Callable[[], object], tuple[int, ...]]] = {
                "flock": (lambda: fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB), REFUSED),
                "fsync of folders": (lambda: os.fsync(folder), NOT_OFFERED),
                "chmod": (lambda: os.chmod(number, 0o600), REFUSED_TO_USER),
                "utime": (lambda: os.utime(number, (1, 1)), REFUSED_TO_USER),
            }
            return [what for what, (call, refusals) in tried.items() if _is_refused(call, refusals)]
    finally:
        os.close(folder)


def _is_refused(call: Callable[[], object], refusals: tuple[int, ...]) -> bool:
    try:
        call()
    except OSError as e:
        return e.errno in refusals
    return False
