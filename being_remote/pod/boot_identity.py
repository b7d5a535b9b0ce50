"""Which boot of which pod this is, and which volume holds the jobs.

A boot is told from another by the PID namespace, the start time of process 1 and the kernel's boot id; a
volume by the marker that the first claim leaves on it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import Any, Optional

from being_remote.pod import disk_features, job_records, processes
from being_remote.pod.job_paths import jobs_folder, volume_marker
from being_remote.pod.job_records import Record

_BOOT = ("pid_ns", "init_start", "boot_id")


def read_boot_identity(workdir: str) -> Record:
    """The identity as records and answers hold it. Raises Unreadable: the volume's name is unknown now."""
    jobs = jobs_folder(workdir)
    return {**read_boot(), "volume": read_volume(jobs), "alone": _is_own_disk(jobs)}


def read_boot() -> Record:
    """The parts of the identity that name the boot; None for what the system does not say."""
    try:
        pid_ns: Optional[int] = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        pid_ns = None
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot_id: Optional[str] = file.read(100).strip()
    except OSError:
        boot_id = None
    return {"pid_ns": pid_ns, "init_start": processes.identify(1)["start"], "boot_id": boot_id}


def is_boot_known(boot: Record) -> bool:
    """Whether the system says all that tells one boot from another."""
    return all(boot.get(part) is not None for part in _BOOT)


def is_same_boot(then: Any, here: Record) -> bool:
    """Whether the identity in a record is that of this boot; False where the system does not say."""
    return isinstance(then, dict) and all(
        here[part] is not None and then.get(part) == here[part] for part in _BOOT
    )


def runs_nowhere_else(then: Any, here: Record) -> bool:
    """Whether no other pod can run what this identity started: this boot did, or one before it on this pod's
    own disk."""
    if not isinstance(then, dict) or here["volume"] is None or then.get("volume") != here["volume"]:
        return False
    if not is_boot_known(then) or not is_boot_known(here):
        return False
    return is_same_boot(then, here) or here["alone"] is True


def boot_key(boot: Record, *more: str) -> str:
    """The name of a boot, and of `more` that differs within it, in the names of files."""
    told = [*more, *(boot[part] for part in _BOOT)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def read_volume(jobs: str) -> Optional[str]:
    """The name in the volume's marker; None without one that is whole. Raises Unreadable."""
    try:
        marker = job_records.read_json(volume_marker(jobs))
    except job_records.Unreadable:
        raise  # the disk fails for a moment
    except ValueError:
        return None
    name = marker.get("volume") if marker else None
    return name if isinstance(name, str) and len(name) <= 200 else None


def mark_volume(jobs: str) -> None:
    """Give the volume a name, once; two that try at the same time leave one name. Raises OSError.

    On a disk without links the marker is empty for a moment: who reads it then finds no name.
    """
    path = volume_marker(jobs)
    if disk_features.exists(path):
        return
    temporary = job_records.temporary_beside(path)
    job_records.write_json(temporary, {"volume": os.urandom(16).hex()})
    try:
        _put_into_place(temporary, path)
    except FileExistsError:
        pass  # another claim was first, and its name counts
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    job_records.sync_folder(jobs)


def _put_into_place(temporary: str, path: str) -> None:
    """Rename, but never over another claim's marker. Raises FileExistsError."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except OSError as e:
        if e.errno not in disk_features.NO_HARD_LINKS:
            raise
        # Whoever makes the file may replace it.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.rename(temporary, path)


def _is_own_disk(jobs: str) -> Optional[bool]:
    """True where no other pod can mount the volume: it is the container's own disk. None: unknown."""
    try:
        return True if os.stat(jobs).st_dev == os.stat("/").st_dev else None
    except OSError:
        return None
