"""The waiting attempts of a host: one small file each, in the order in which they wait.

    <workdir>/jobs/.waiting/<boot>/<number>-<job>-<attempt>

A record is written by the attempt's supervisor under the job's lock, and holds no lock itself. Its name says
all that the order needs. Each boot has a folder of its own: several pods may mount one disk, and what waited
before a restart is read by no waiter. `waiter` keeps the order. The environment of an attempt's submit lies
among the locks, on the pod's own disk: it may hold tokens that the host gives to its users, and a network
volume may outlive the pod.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

from being_remote.pod import job_records, locks
from being_remote.pod.boot_identity import boot_key
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
    def key(self) -> Tuple[str, int]:
        """The job and the attempt, whatever its place is."""
        return self.job, self.attempt

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
    return f"{waiting_folder(workdir)}/{boot_key(boot)}"


def waiter_lock(workdir: str, boot: Record, make: bool = True) -> str:
    """The lock of the process that keeps the queue of a workdir in this boot."""
    return locks.waiter_lock(boot_key(boot, os.path.realpath(workdir)), make)


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
    boots = _list_boot_folders(workdir)
    return [waiting for boot in boots if boot != folder for waiting in list_waiting(boot)]


def _list_boot_folders(workdir: str) -> List[str]:
    top = waiting_folder(workdir)
    try:
        return [f"{top}/{name}" for name in sorted(os.listdir(top)) if _BOOT.fullmatch(name)]
    except FileNotFoundError:
        return []


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


def write_environment(place: WaitingAttempt) -> None:
    """Keep this process's environment for the attempt's supervisor. Raises OSError."""
    job_records.write_json(_environment_path(place), dict(os.environ), durable=False)


def read_environment(place: WaitingAttempt) -> Optional[Dict[str, str]]:
    """What `write_environment` kept; None if it was removed, as by a cleaner of that disk."""
    try:
        return job_records.read_json(_environment_path(place))
    except job_records.Unreadable:
        raise  # the disk fails for a moment
    except ValueError:
        return None


def remove_environment(place: WaitingAttempt) -> None:
    """Remove what `write_environment` kept."""
    with contextlib.suppress(OSError):
        os.unlink(_environment_path(place))


def _environment_path(place: WaitingAttempt) -> str:
    return os.path.join(locks.folder(), f"{place.job}-{place.attempt}.env")


def remove_waiting(folder: str, place: WaitingAttempt) -> None:
    """Let an attempt wait no more; not synced, because what comes back after a power cut is harmless."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{folder}/{place.name}")


def remove_job(workdir: str, place: WaitingAttempt, keep: Optional[str]) -> None:
    """Remove the records of an attempt, and of earlier ones of its job, in all boots; `keep` has its own.

    What cannot be removed is dropped by the waiter when it is its turn.
    """
    if keep is None:
        remove_environment(place)
    with contextlib.suppress(OSError):
        for boot in _list_boot_folders(workdir):
            for other in list_waiting(boot):
                if (
                    other.job == place.job
                    and other.attempt <= place.attempt
                    and (boot, other) != (keep, place)
                ):
                    remove_waiting(boot, other)
                    if other.attempt != place.attempt:
                        remove_environment(other)
