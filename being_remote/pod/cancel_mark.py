"""The mark by which a cancel reaches a job's supervisor, also one that starts later."""

from __future__ import annotations

import os
from typing import Optional

from being_remote.pod import job_records as records

_EVERY_ATTEMPT = 1 << 30


def mark_path(folder: str, arrived: bool) -> str:
    """Where the mark of a job lies: in its folder, or beside it while the job has not arrived."""
    jobs, job = os.path.split(folder)
    return os.path.join(folder, "cancel") if arrived else os.path.join(jobs, ".cancelled", job)


def cancelled_up_to(folder: str) -> Optional[int]:
    """The highest attempt that a cancel was asked for; None without one. Raises Unreadable."""
    found = [_read_mark(mark_path(folder, arrived)) for arrived in (True, False)]
    return max((n for n in found if n is not None), default=None)


def _read_mark(path: str) -> Optional[int]:
    try:
        record = records.read_json(path)
    except records.Unreadable:
        raise  # a network disk that fails for a moment has asked for nothing
    except ValueError:
        return _EVERY_ATTEMPT  # a mark that cannot be read: to stop is the safe reading
    if record is None:
        return None
    attempt = record.get("attempt")
    return attempt if type(attempt) is int and attempt >= 0 else _EVERY_ATTEMPT
