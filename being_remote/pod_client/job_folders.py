"""Which job of ours made what lies in a folder, by the layout of `pod/job_paths.py`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from being_remote.pod.job_paths import ATTEMPTS, JOB_ID, JOBS, PUSHED, WORK

_JOB_PATH = re.compile(
    f"/{JOBS}/(?:{re.escape(PUSHED)}/)?({JOB_ID.pattern})"
    rf"(?:/{ATTEMPTS}/[0-9]+/{WORK}/|\.[0-9]+\.[0-9a-f]+/)"
)


def find_job(folder: str, job_folders: Iterable[str], known_jobs: Collection[str]) -> str | None:
    """Return the job that made what lies in a folder; "" where only that much is known; None: no job.

    A job's folders are named after it: `ID`, `ID.attempt-N`, or `ID.N.HASH` where they were uploaded.

    Args:
        folder: an absolute path.
        job_folders: folders that hold nothing but jobs.
        known_jobs: ids of the ledger; they tell copies that lie elsewhere.

    Example:
        >>> find_job("/w/jobs/roman-k3x7a2bq/attempts/1/work", ["/w/jobs"], [])
        'roman-k3x7a2bq'
    """
    parts = folder.split("/")
    for top in job_folders:
        if f"{folder}/".startswith(f"{top}/"):
            below = parts[top.count("/") + 1 :]
            return next((n.partition(".")[0] for n in below if JOB_ID.match(n)), "")
    if made := _JOB_PATH.search(f"{folder}/"):
        return made[1]
    return next((job for n in parts if (job := n.partition(".")[0]) in known_jobs), None)
