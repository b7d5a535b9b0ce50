"""The mark by which a cancel reaches a job's supervisor, also one that starts later."""

from __future__ import annotations

from typing import Optional

from being_remote.pod import job_records
from being_remote.pod.job_paths import JobPaths

_EVERY_ATTEMPT = 1 << 30


def cancelled_up_to(job: JobPaths) -> Optional[int]:
    """The highest attempt that a cancel was asked for; None without one. Raises Unreadable."""
    found = [_read_mark(mark) for mark in (job.cancel_mark, job.early_cancel_mark)]
    return max((n for n in found if n is not None), default=None)


def _read_mark(path: str) -> Optional[int]:
    try:
        record = job_records.read_json(path)
    except job_records.Unreadable:
        raise  # a network disk that fails for a moment has asked for nothing
    except ValueError:
        return _EVERY_ATTEMPT  # a mark that cannot be read: to stop is the safe reading
    if record is None:
        return None
    attempt = record.get("attempt")
    return attempt if type(attempt) is int and attempt >= 0 else _EVERY_ATTEMPT
