"""The waiting attempts of a host: one small file each, in the order in which they wait.

    <workdir>/jobs/.waiting/<boot>/<number>-<job>-<attempt>

A record is written by the attempt's supervisor under the job's lock, and holds no lock itself. Its name says
all that the order needs. Each boot has a folder of its own: several pods may mount one disk, and what waited
before a restart is read by no waiter. `waiter` keeps the order.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from typing import Iterable, List, NamedTuple, Optional

from being_remote.pod import job_records, locks
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
    return f"{waiting_folder(workdir)}/{_key(boot['pid_ns'], boot['init_start'], boot['boot_id'])}"


def waiter_lock(workdir: str, boot: Record, make: bool = True) -> str:
    """The lock of the process that keeps the queue of a workdir in this boot."""
    key = _key(os.path.realpath(workdir), boot["pid_ns"], boot["init_start"], boot["boot_id"])
    return locks.waiter_lock(key, make)


def _key(*told: object) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def list_waiting(folder: str) -> List[WaitingAttempt]:
    """The attempts that wait, in their order. Raises OSError."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    found = (_NAME.fullmatch(name) for name in names)
    waiting = [WaitingAttempt(int(n[1]), n[2], int(n[3])) for n in found if n and JOB_ID.fullmatch(n[2])]
    return sorted(waiting)


def find_highest(folder: str) -> int:
    """The number of the last place; 0 where nothing waits. Raises OSError."""
    return max((place.number for place in list_waiting(folder)), default=0)


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


def remove_job(workdir: str, place: WaitingAttempt, keep: Optional[str]) -> None:
    """Remove the records of an attempt, and of earlier ones of its job, in all boots; `keep` has its own.

    What cannot be removed is dropped by the waiter when it is its turn.
    """
    top = waiting_folder(workdir)
    with contextlib.suppress(OSError):
        for boot in [f"{top}/{name}" for name in os.listdir(top) if _BOOT.fullmatch(name)]:
            for other in list_waiting(boot):
                if (
                    other.job == place.job
                    and other.attempt <= place.attempt
                    and (boot, other) != (keep, place)
                ):
                    remove_waiting(boot, other)
