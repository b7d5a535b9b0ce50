"""What stays of a job that was forgotten: a mark that keeps every attempt of it from starting, for good.

It is the mark of an early cancel, for every attempt, so that a supervisor of any version obeys it; and it
says that the job was forgotten, so that a claim stores nothing under this id again.
"""

from __future__ import annotations

import os

from being_remote.pod import cancel_mark, job_records
from being_remote.pod.job_paths import JobPaths


def leave(job: JobPaths) -> None:
    """Leave the mark; it survives a power cut from here on. Raises OSError."""
    os.makedirs(os.path.dirname(job.early_cancel_mark), 0o700, exist_ok=True)
    job_records.write_json(job.early_cancel_mark, {"attempt": cancel_mark.EVERY_ATTEMPT, "forgotten": True})
    job_records.sync_folder(job.jobs)


def is_forgotten(job: JobPaths) -> bool:
    """Whether the job was forgotten. Raises Unreadable."""
    try:
        record = job_records.read_json(job.early_cancel_mark)
    except job_records.Unreadable:
        raise
    except ValueError:
        return False  # a mark of another kind, which the supervisor obeys
    return record is not None and record.get("forgotten") is True
