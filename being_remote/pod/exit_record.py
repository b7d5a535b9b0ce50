"""The exit record of an attempt, `end.json`: final, and written while the job's lock is held.

Its room on the disk is taken before the payload starts, for a payload that fills the disk.
"""

from __future__ import annotations

import os
from typing import Callable, List, NamedTuple, Optional

from being_remote.pod import job_records
from being_remote.pod.job_paths import AttemptPaths
from being_remote.pod.job_records import Record
from being_remote.pod.job_states import JobState

RESERVED_BYTES = 8192


class AttemptOutcome(NamedTuple):
    """How an attempt ends."""

    state: JobState
    exit_code: Optional[int]
    reason: str


# How an attempt ends if somebody wants it to; None: it goes on.
AskedToStop = Callable[[], Optional[AttemptOutcome]]


def has_exit_record(attempt: AttemptPaths) -> bool:
    """Whether the attempt has ended, with a record of it. Raises OSError where the disk cannot say."""
    try:
        os.lstat(attempt.end)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def reserve_room(attempt: AttemptPaths) -> None:
    """Take the room for the exit record, and make the log's file. Raises OSError."""
    job_records.write_bytes(attempt.end_reserved, b" " * RESERVED_BYTES)
    os.close(os.open(attempt.log, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def write_exit_record(
    attempt: AttemptPaths,
    outcome: AttemptOutcome,
    *,
    elapsed_s: float,
    spec: Record,
    spec_sha256: str,
    frames_done: Optional[int] = None,
    frames_total: Optional[int] = None,
    gpus: Optional[List[str]] = None,
) -> None:
    """Write how the attempt ended; it survives a power cut from here on. Raises OSError.

    Its folder is made again if the payload removed it: else the attempt could be started once more.
    """
    end = {
        "state": outcome.state,
        "exit_code": outcome.exit_code,
        "reason": outcome.reason[:500],
        "elapsed_s": round(elapsed_s, 3),
        "frames_done": frames_done,
        "frames_total": frames_total,
        "gpus": gpus or [],
        "spec_sha256": spec_sha256,
        "ledger": spec.get("ledger"),
    }
    os.makedirs(attempt.folder, 0o700, exist_ok=True)
    job_records.write_json(attempt.end, end, reserved=attempt.end_reserved)
