"""Our programs, stored once on a host as one importable archive a version: `jobs/.programs/<sha256>`.

An archive is used only after its bytes were compared with their hash; one that is half-written or changed
counts as missing, and the laptop sends it again. A job has a copy of its own, and the hash beside it: anybody
may remove `.programs` at any time, and a payload that changes its own copy spoils no other job's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from typing import Optional

from being_remote.pod import disk_features, job_records
from being_remote.pod.job_paths import JobPaths, programs_archive

MAX_PROGRAMS_BYTES = 32 << 20
_ABANDONED_S = 3600.0


def is_stored(jobs: str, sha256: str) -> bool:
    """Whether the archive is here and whole."""
    try:
        return _read_whole(programs_archive(jobs, sha256), sha256) is not None
    except job_records.Unreadable:
        return False


def store(jobs: str, data: bytes, sha256: str) -> None:
    """Store an archive in place of any that is there. Raises ValueError if it is not the one of that hash."""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError("the programs arrived damaged")
    path = programs_archive(jobs, sha256)
    folder = os.path.dirname(path)
    os.makedirs(folder, 0o700, exist_ok=True)
    job_records.write_bytes(path, data)
    job_records.sync_folder(jobs)
    _remove_abandoned(folder, before=os.stat(path).st_mtime - _ABANDONED_S)


def give_to_job(jobs: str, sha256: str, job: JobPaths) -> None:
    """Put the stored archive, and its hash, into a job's folder."""
    with open(job.bundle_sha256, "x", encoding="ascii") as file:
        disk_features.set_mode(file.fileno(), 0o600)
        file.write(f"{sha256}  {os.path.basename(job.bundle)}\n")  # as `sha256sum -c` reads it
    with open(programs_archive(jobs, sha256), "rb") as stored, open(job.bundle, "xb") as copy:
        disk_features.set_mode(copy.fileno(), 0o600)
        shutil.copyfileobj(stored, copy)


def version_of(job: JobPaths) -> Optional[str]:
    """The hash of the job's programs; None of a job from before, whose programs are a folder.

    Raises:
        Unreadable: it is unknown now.
    """
    try:
        note = job_records.read_bytes(job.bundle_sha256)
    except job_records.Unreadable:
        raise  # the disk fails for a moment
    except ValueError:
        return ""
    return None if note is None else note.decode("ascii", "replace").partition(" ")[0]


def mend(job: JobPaths) -> None:
    """Replace the job's programs from the store if they are damaged. Raises OSError where that cannot be."""
    sha256 = version_of(job)
    if sha256 is None or _read_whole(job.bundle, sha256) is not None:
        return
    programs = _read_whole(programs_archive(job.jobs, sha256), sha256)
    if programs is None:
        # Programs of another version might not run all that the job's spec names.
        raise OSError(
            f"its programs are damaged ({job.bundle}), and the host has no others of their version; cancel"
            f" {os.path.basename(job.folder)}: then the same command makes another job"
        )
    job_records.write_bytes(job.bundle, programs)


def _read_whole(path: str, sha256: str) -> Optional[bytes]:
    """An archive's bytes; None if they are not those of that hash."""
    try:
        data = job_records.read_bytes(path, MAX_PROGRAMS_BYTES)
    except job_records.Unreadable:
        raise  # the disk fails for a moment
    except ValueError:
        return None
    return data if data is not None and hashlib.sha256(data).hexdigest() == sha256 else None


def _remove_abandoned(folder: str, before: float) -> None:
    """Remove what stores left that were killed before that time."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        with contextlib.suppress(FileNotFoundError):
            if name.endswith(".tmp") and os.lstat(path).st_mtime < before:
                os.unlink(path)
