"""The mark by which a cancel reaches a job's supervisor, also one that starts later.

A record; or, where the disk has no room for one, a link that says the attempt's number: that takes no room
but a name's. Where the disk takes neither, a record among the locks reaches the supervisor that holds the
job's lock; it is as durable as the locks.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import Optional

from being_remote.pod import job_records, locks
from being_remote.pod.job_paths import JobPaths

EVERY_ATTEMPT = 1 << 30
_NUMBER = re.compile(r"[0-9]{1,9}")


def cancelled_up_to(job: JobPaths) -> Optional[int]:
    """The highest attempt that a cancel was asked for; None without one. Raises Unreadable."""
    found = [_read_mark(mark) for mark in (job.cancel_mark, job.early_cancel_mark)]
    with contextlib.suppress(OSError):  # the mark needs the locks' folder
        found.append(_read_mark(_mark_among_locks(job, make=False)))
    return max((n for n in found if n is not None), default=None)


def mark_cancelled(job: JobPaths, attempt: int, supervised: bool) -> None:
    """Mark the attempts up to this one as cancelled; `supervised`: a supervisor of this pod runs.

    Raises:
        OSError: no mark could be made.
    """
    if not os.path.isdir(job.folder):  # its payload removed it
        return mark_before_arrival(job, attempt)
    try:
        _write_mark(job.cancel_mark, attempt)
    except OSError:
        if not supervised:
            raise
        _write_mark(_mark_among_locks(job), attempt)


def mark_before_arrival(job: JobPaths, attempt: int) -> None:
    """Mark a job that may be on its way, or was forgotten: a mark for more stays. Raises OSError."""
    if (_read_mark(job.early_cancel_mark) or 0) >= attempt:
        return
    os.makedirs(os.path.dirname(job.early_cancel_mark), 0o700, exist_ok=True)
    _write_mark(job.early_cancel_mark, attempt)


def _mark_among_locks(job: JobPaths, make: bool = True) -> str:
    return os.path.join(locks.folder(make), os.path.basename(job.folder) + ".cancel")


def _write_mark(path: str, attempt: int) -> None:
    try:
        job_records.write_json(path, {"attempt": attempt})
    except OSError as refused:
        temporary = job_records.temporary_beside(path)
        try:
            os.symlink(str(attempt), temporary)
            os.rename(temporary, path)
        except OSError:
            raise refused from None
        with contextlib.suppress(OSError):  # the mark counts all the same
            job_records.sync_folder(os.path.dirname(path))


def _read_mark(path: str) -> Optional[int]:
    try:
        number = os.readlink(path)
    except OSError:  # no link
        return _read_record(path)
    return int(number) if _NUMBER.fullmatch(number) else EVERY_ATTEMPT


def _read_record(path: str) -> Optional[int]:
    try:
        record = job_records.read_json(path)
    except job_records.Unreadable:
        raise  # a network disk that fails for a moment has asked for nothing
    except ValueError:
        return EVERY_ATTEMPT  # a mark that cannot be read: to stop is the safe reading
    if record is None:
        return None
    attempt = record.get("attempt")
    return attempt if type(attempt) is int and attempt >= 0 else EVERY_ATTEMPT
