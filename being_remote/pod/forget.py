"""Runs on the pod: remove the folder of a job that has ended, and leave a tombstone for its id.

Under the job's lock, in this order: the tombstone, durable; the folder renamed away as a whole; what was
renamed removed. Killed at any point, the folder is whole, or the tombstone is there and a later forget
removes the rest. A supervisor looks for the tombstone once it has the lock, so none starts the job again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from typing import BinaryIO, List, Tuple

from being_remote.pod import job_records, locks, processes, start_gate, tombstone
from being_remote.pod.boot_identity import read_volume
from being_remote.pod.job_paths import JobPaths, forgotten_folder, uploads_folder
from being_remote.pod.job_records import Record


def forget(query: Record) -> Tuple[str, int]:
    """Forget one job: (what came of it, how many bytes its files took).

    "forgotten", "absent" (nothing of it was here; the tombstone is), "busy" (its lock is held, or a process
    of it lives), "newer" (another attempt was made), "elsewhere" (this is another disk).
    """
    job = JobPaths.of(query["workdir"], query["job"])
    if query["volume"] is None or query["volume"] != read_volume(job.jobs):
        return "elsewhere", 0
    lock = locks.take_all(locks.job_locks(query["job"]), wait_s=locks.PROBED_S)
    if lock is None:
        return "busy", 0
    try:
        made, newest = start_gate.list_attempts(job)
        if newest > query["attempt"]:
            return "newer", 0
        if any(processes.find_marked(processes.mark_of(query["job"], n)) for n in made):
            return "busy", 0
        found = _folders(job)
        size = sum(map(_size, found))
        if not query["dry_run"]:
            tombstone.leave(job)
            remove_whole(job.jobs, found)
        return "forgotten" if found else "absent", size
    finally:
        locks.release(lock)


def _folders(job: JobPaths) -> List[str]:
    """The job's folder, and what was uploaded for its attempts."""
    name, uploads = os.path.basename(job.folder), uploads_folder(job.jobs)
    pushed = sorted(os.listdir(uploads)) if os.path.isdir(uploads) else []
    folders = [job.folder] + [f"{uploads}/{p}" for p in pushed if p.startswith(f"{name}.")]
    return [folder for folder in folders if os.path.lexists(folder)]


def remove_whole(jobs: str, folders: List[str]) -> None:
    """Rename folders away, each as a whole, and remove them and what an earlier removal left."""
    away = forgotten_folder(jobs)
    os.makedirs(away, 0o700, exist_ok=True)
    for folder in folders:
        os.rename(folder, f"{away}/{os.path.basename(folder)}.{os.getpid()}.{os.urandom(4).hex()}")
        job_records.sync_folder(os.path.dirname(folder))
    for name in os.listdir(away):
        path = f"{away}/{name}"
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):  # an earlier version's lock file
                os.unlink(path)


def _size(top: str) -> int:
    """How many bytes the files below a folder take on the disk."""
    blocks = 0
    for here, _, names in os.walk(top):
        for name in names:
            try:
                blocks += os.lstat(os.path.join(here, name)).st_blocks
            except OSError:  # gone meanwhile
                continue
    return 512 * blocks


def main(request: str, stdin: BinaryIO) -> None:
    """Answer one request: {"workdir", "job", "attempt", "volume", "dry_run"}."""
    outcome, size = forget(json.loads(request))
    sys.stdout.write(json.dumps({"forget": outcome, "bytes": size}))
    sys.stdout.flush()
