"""Our programs, stored once on a host as one importable archive a version: `jobs/.programs/<sha256>`.

An archive is used only after its bytes were compared with their hash; one that is half-written or changed
counts as missing, and the laptop sends it again. A job keeps a link of its own, or a copy where there are no
links, and the hash beside it, so that anybody may remove `.programs` at any time.
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
    return _is_whole(programs_archive(jobs, sha256), sha256)


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
    _link(programs_archive(jobs, sha256), job.bundle)


def version_of(job: JobPaths) -> Optional[str]:
    """The hash of the job's programs; None of a job from before, whose programs are a folder."""
    try:
        note = job_records.read_bytes(job.bundle_sha256)
    except ValueError:
        return ""
    return None if note is None else note.decode("ascii", "replace").partition(" ")[0]


def mend(job: JobPaths) -> None:
    """Replace the job's programs from the store if they are damaged. Raises OSError where that cannot be."""
    sha256 = version_of(job)
    if sha256 is None or _is_whole(job.bundle, sha256):
        return
    if not is_stored(job.jobs, sha256):
        raise OSError("the job's programs were changed or are damaged: " + job.bundle)
    temporary = f"{job.bundle}.{os.getpid()}.tmp"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    _link(programs_archive(job.jobs, sha256), temporary)
    os.rename(temporary, job.bundle)
    job_records.sync_folder(job.folder)


def _is_whole(path: str, sha256: str) -> bool:
    try:
        data = job_records.read_bytes(path, MAX_PROGRAMS_BYTES)
    except ValueError:
        return False
    return data is not None and hashlib.sha256(data).hexdigest() == sha256


def _link(source: str, path: str) -> None:
    try:
        os.link(source, path)
    except FileExistsError:
        raise
    except OSError:  # no links on this disk, or too many of this file
        shutil.copyfile(source, path)
        disk_features.set_mode(path, 0o600)


def _remove_abandoned(folder: str, before: float) -> None:
    """Remove what stores left that were killed before that time."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        with contextlib.suppress(FileNotFoundError):
            if name.endswith(".tmp") and os.lstat(path).st_mtime < before:
                os.unlink(path)
