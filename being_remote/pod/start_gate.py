"""The gate of an attempt, which one process ever passes: `mkdir attempts/<n>`.

Making a folder is atomic also on a disk that several pods mount, where each pod has locks of its own. Only
the supervisor that made the folder starts the payload. `attempts/<n>.asked` says that an attempt was asked
for: a supervisor of an earlier one stops when it sees it.
"""

from __future__ import annotations

import os
import re
from typing import List, Tuple

from being_remote.pod import job_records
from being_remote.pod.job_paths import PUSHED_NOTE, JobPaths

_NAME = re.compile(r"([1-9][0-9]{0,3})(\.asked)?")


def pass_gate(job: JobPaths, attempt: int) -> bool:
    """Start an attempt of the job; False if somebody started it before, on any pod.

    Sync the folder of the attempts before a payload starts. Raises OSError: it was not started.
    """
    try:
        os.mkdir(job.attempt(attempt).folder, 0o700)
    except FileExistsError:
        return False
    return True


def list_attempts(job: JobPaths) -> Tuple[List[int], int]:
    """(the attempts that were started, in order; the highest that was started or asked for, or 0)."""
    try:
        names = os.listdir(job.attempts)
    except FileNotFoundError:
        return [], 0
    started, highest = [], 0
    for name in names:
        found = _NAME.fullmatch(name)
        if found:
            highest = max(highest, int(found.group(1)))
            if not found.group(2):
                started.append(int(found.group(1)))
    return sorted(started), highest


def ask_for(job: JobPaths, attempt: int, pushed: str = "") -> None:
    """Record that `attempt` was asked for; `pushed` names the upload that it resumes from.

    The first record of an attempt counts.
    """
    if not os.path.exists(job.asked(attempt)):
        write_asked(job, attempt, pushed)
        job_records.sync_folder(job.folder)


def write_asked(job: JobPaths, attempt: int, pushed: str) -> None:
    """Write the record that an attempt was asked for."""
    os.makedirs(job.attempts, 0o700, exist_ok=True)
    job_records.write_bytes(job.asked(attempt), pushed.encode("ascii"))


def find_pushed(job: JobPaths, attempt: int) -> str:
    """The upload that was made here for an attempt, or for one before it on this host; "" without any."""
    for number in range(attempt, 0, -1):
        name = (job_records.read_bytes(job.asked(number)) or b"").decode("ascii", "replace").strip()
        pushed = job.pushed(name)
        # The upload for this very attempt must be there, or its first step fails: no other replaces it.
        if name and (number == attempt or os.path.isfile(f"{pushed}/{PUSHED_NOTE}")):
            return pushed
    return ""
