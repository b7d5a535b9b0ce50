"""The waiting attempts of a host: one small file each, in the order in which they wait.

    <workdir>/jobs/.waiting/<boot>/<number>-<job>-<attempt>

A record is written by the attempt's supervisor under the job's lock, and holds no lock itself. Its name says
all that the order needs. Each boot has a folder of its own: several pods may mount one disk, and what waited
before a restart waits for nobody. `waiter` keeps the order.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from typing import Iterable, List, NamedTuple, Optional

from being_remote.pod import job_records
from being_remote.pod.job_paths import JOB_ID, waiting_folder
from being_remote.pod.job_records import Record

_NAME = re.compile(r"([0-9]{12})-([a-z0-9-]{1,80})-([1-9][0-9]{0,3})")
_BOOT = re.compile(r"[0-9a-f]{16}")


class WaitingAttempt(NamedTuple):
    """One attempt and its place: lower numbers are first."""

    number: int
    job: str
    attempt: int

    @property
    def name(self) -> str:
        """Its file's name.

        Example:
            >>> WaitingAttempt(7, "roman-k3x7a2bq", 1).name
            '000000000007-roman-k3x7a2bq-1'
        """
        return f"{self.number:012d}-{self.job}-{self.attempt}"


def boot_folder(workdir: str, boot: Record) -> str:
    """The folder of the attempts that wait in this boot of this pod."""
    told = json.dumps([boot["pid_ns"], boot["init_start"], boot["boot_id"]])
    return f"{waiting_folder(workdir)}/{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def list_waiting(folder: str) -> List[WaitingAttempt]:
    """The attempts that wait, in their order. Raises OSError."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    found = (_NAME.fullmatch(name) for name in names)
    waiting = [WaitingAttempt(int(n[1]), n[2], int(n[3])) for n in found if n and JOB_ID.fullmatch(n[2])]
    return sorted(waiting)


def list_other_boots(workdir: str, folder: str) -> List[WaitingAttempt]:
    """The attempts that wait in other boots of this pod, or on other pods. Raises OSError."""
    top = waiting_folder(workdir)
    try:
        boots = [f"{top}/{name}" for name in sorted(os.listdir(top)) if _BOOT.fullmatch(name)]
    except FileNotFoundError:
        return []
    return [waiting for boot in boots if boot != folder for waiting in list_waiting(boot)]


def find_waiting(waiting: Iterable[WaitingAttempt], job: str, attempt: int) -> Optional[WaitingAttempt]:
    """The first place of an attempt; None if it does not wait."""
    return next((place for place in waiting if (place.job, place.attempt) == (job, attempt)), None)


def add_waiting(folder: str, place: WaitingAttempt, content: Record) -> None:
    """Let an attempt wait; it survives a power cut from here on. Raises OSError."""
    top = os.path.dirname(folder)
    for made in (top, folder):
        with contextlib.suppress(FileExistsError):
            os.mkdir(made, 0o700)
            job_records.sync_folder(os.path.dirname(made))
    job_records.write_json(f"{folder}/{place.name}", content)


def remove_waiting(folder: str, place: WaitingAttempt) -> None:
    """Let an attempt wait no more; not synced, because what comes back after a power cut is harmless."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{folder}/{place.name}")


def remove_job(workdir: str, job: str, up_to: int) -> None:
    """Remove an attempt and earlier ones that cannot start any more, in all boots. Raises OSError."""
    top = waiting_folder(workdir)
    with contextlib.suppress(FileNotFoundError):
        for boot in filter(_BOOT.fullmatch, os.listdir(top)):
            for place in list_waiting(f"{top}/{boot}"):
                if place.job == job and place.attempt <= up_to:
                    remove_waiting(f"{top}/{boot}", place)
