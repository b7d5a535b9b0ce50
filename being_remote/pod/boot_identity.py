"""Which boot of which pod this is, and which volume holds the jobs.

A boot is told from another by the PID namespace, the start time of process 1 and the kernel's boot id; a
volume by the marker that the first claim leaves on it.
"""

from __future__ import annotations

import contextlib
import os
from typing import Optional

from being_remote.pod import disk_features, job_records, processes
from being_remote.pod.job_paths import jobs_folder, volume_marker
from being_remote.pod.job_records import Record


def read_boot_identity(workdir: str) -> Record:
    """The identity as records and answers hold it."""
    jobs = jobs_folder(workdir)
    try:
        pid_ns: Optional[int] = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        pid_ns = None
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot_id: Optional[str] = file.read(100).strip()
    except OSError:
        boot_id = None
    return {
        "pid_ns": pid_ns,
        "init_start": processes.identify(1)["start"],
        "boot_id": boot_id,
        "volume": read_volume(jobs),
        "alone": _is_own_disk(jobs),
    }


def read_volume(jobs: str) -> Optional[str]:
    """The name in the volume's marker; None without one that can be read."""
    try:
        marker = job_records.read_json(volume_marker(jobs))
    except ValueError:
        return None
    name = marker.get("volume") if marker else None
    return name if isinstance(name, str) and len(name) <= 200 else None


def mark_volume(jobs: str) -> None:
    """Give the volume a name, once; two that try at the same time leave one name."""
    path = volume_marker(jobs)
    if os.path.exists(path):
        return
    temporary = f"{path}.{os.urandom(8).hex()}.tmp"
    job_records.write_json(temporary, {"volume": os.urandom(16).hex()})
    try:
        disk_features.rename_new(temporary, path)
    except FileExistsError:
        pass  # another claim was first, and its name counts
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    job_records.sync_folder(jobs)


def _is_own_disk(jobs: str) -> Optional[bool]:
    """True where no other pod can mount the volume: it is the container's own disk. None: unknown."""
    try:
        return True if os.stat(jobs).st_dev == os.stat("/").st_dev else None
    except OSError:
        return None
