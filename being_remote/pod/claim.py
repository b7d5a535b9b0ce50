"""Runs on the pod: store a job as a whole or not at all, then make sure that a supervisor runs.

Both are idempotent, so one round trip does both. The job's files come on stdin, are checked, synced and
renamed into place; after a lost link a later claim removes what was staged, once its lock is free. The
supervisor is detached in a session of its own and shares no descriptor with us.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import select
import shutil
import sys
import tarfile
import time
from typing import BinaryIO, Iterator, Optional, Tuple

from being_remote.pod import job_records, locks, start_gate, status
from being_remote.pod.boot_identity import mark_volume, read_boot_identity, read_volume
from being_remote.pod.job_paths import PUSHED_NOTE, JobPaths, incoming_folder, jobs_folder
from being_remote.pod.job_records import Record
from being_remote.pod.supervisor_start import start_supervisor

MAX_BUNDLE_BYTES = 300 << 20
MAX_ANSWER_BYTES = 1 << 16
MAX_NOTE_BYTES = 64 << 20


def claim(query: Record, stdin: BinaryIO) -> str:
    """Store the job unless it is there: "made", "there", "refused", "absent", "torn" or "elsewhere".

    "unpushed": it is there, but not the upload from which its attempt resumes.
    """
    job = JobPaths.of(query["workdir"], query["job"])
    found = _compare_spec(job, query["spec_sha256"]) or _receive(query, job, stdin)
    if found in ("made", "there"):
        _remove_abandoned(incoming_folder(job.jobs))
        if query["pushed"] is not None and not _is_whole(job.pushed(query["pushed"])):
            return "unpushed"
    return found


def _is_whole(pushed: str) -> bool:
    """Whether the note, which comes last, is there and is the one after which the folder is named."""
    note = job_records.read_bytes(f"{pushed}/{PUSHED_NOTE}", MAX_NOTE_BYTES)
    return note is not None and pushed.endswith("." + hashlib.sha256(note).hexdigest())


def _receive(query: Record, job: JobPaths, stdin: BinaryIO) -> str:
    if not query["bundle_bytes"]:
        return "absent"
    if query["volume"] is None or query["volume"] != read_volume(job.jobs):
        return "elsewhere"  # an earlier claim may have reached the disk that was here before
    if query["bundle_bytes"] > MAX_BUNDLE_BYTES:
        return "torn"
    data = stdin.read(query["bundle_bytes"])
    if len(data) != query["bundle_bytes"] or hashlib.sha256(data).hexdigest() != query["bundle_sha256"]:
        return "torn"
    incoming = incoming_folder(job.jobs)
    os.makedirs(incoming, 0o700, exist_ok=True)
    with _staged(os.path.join(incoming, f"{query['job']}.{query['nonce']}")) as staging:
        return _store(data, staging, job, query["spec_sha256"])


def _store(data: bytes, staging: str, job: JobPaths, spec_sha256: str) -> str:
    """Write the job's files to `staging` and rename that into place."""
    staged = JobPaths(staging)
    try:
        unpack(data, staging)
        spec = job_records.read_bytes(staged.spec)
        if spec is None or hashlib.sha256(spec).hexdigest() != spec_sha256:
            return _compare_spec(job, spec_sha256) or "torn"
        os.mkdir(staged.attempts, 0o700)
        sync_tree(staging)
        os.rename(staging, job.folder)
        job_records.sync_folder(job.jobs)
        return "made"
    except OSError:
        # Another claim was first; all else (a full disk, no rights) stays an error.
        found = _compare_spec(job, spec_sha256)
        if found is None:
            raise
        return found


@contextlib.contextmanager
def _staged(staging: str) -> Iterator[str]:
    """A folder for this claim, removed afterwards; the lock beside it shows that the claim runs."""
    lock = staging + ".lock"
    held = _take(lock, wait_s=locks.PROBED_S)
    try:
        os.mkdir(staging, 0o700)
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(lock)
        if held is not None:
            os.close(held)


def _remove_abandoned(incoming: str) -> None:
    """Remove what killed claims of any job left: a free lock proves its claim dead."""
    for name in os.listdir(incoming) if os.path.isdir(incoming) else ():
        staging, suffix = os.path.splitext(os.path.join(incoming, name))
        if suffix != ".lock":
            continue
        held = _take(os.path.join(incoming, name))
        if held is not None:
            shutil.rmtree(staging, ignore_errors=True)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(incoming, name))
            os.close(held)


def _take(lock: str, wait_s: float = 0.0) -> Optional[int]:
    """The lock, or None, also on a volume without locks: abandoned folders stay there."""
    try:
        return locks.take(lock, wait_s)
    except OSError as e:
        if e.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        return None


def unpack(data: bytes, into: str) -> None:
    """Unpack regular files and folders below `into`. Raises ValueError for anything else."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for member in tar:
            path = os.path.normpath(os.path.join(into, member.name))
            if not path.startswith(into + os.sep):
                raise ValueError(f"{member.name!r} leaves the job's folder")
            if member.isdir():
                os.makedirs(path, 0o700, exist_ok=True)
            elif member.isfile():
                os.makedirs(os.path.dirname(path), exist_ok=True)
                source = tar.extractfile(member)
                assert source is not None
                with open(path, "xb") as file:
                    shutil.copyfileobj(source, file)
                os.chmod(path, 0o700 if member.mode & 0o100 else 0o600)
            else:
                raise ValueError(f"{member.name!r} is not a regular file")


def sync_tree(top: str) -> None:
    """Make everything below `top` survive a power cut."""
    for here, _, names in os.walk(top):
        for name in names:
            fd = os.open(os.path.join(here, name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        job_records.sync_folder(here)


def ensure(query: Record) -> Tuple[str, Optional[str]]:
    """Start a supervisor for the attempt; returns (its answer, its reason), "silent" without one in time."""
    job = JobPaths.of(query["workdir"], query["job"])
    start_gate.ask_for(job, query["attempt"], query["pushed"] or "")
    reader, writer = os.pipe()
    start_supervisor(query["workdir"], query["job"], query["attempt"], answer=writer)
    os.close(writer)
    answer_line = _read_line(reader, query["wait_s"])
    if answer_line is None:
        return "silent", None
    try:
        answer = json.loads(answer_line.decode("utf-8"))
        return answer["supervisor"], answer["reason"]
    except (ValueError, KeyError, TypeError):
        return "error", "the supervisor ended without an answer; see supervisor.log in the job's folder"


def _read_line(fd: int, wait_s: float) -> Optional[bytes]:
    """One line; b"" if the other end closed without one, None if the time was over."""
    deadline, answer_line = time.monotonic() + wait_s, b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            return None
        data = os.read(fd, MAX_ANSWER_BYTES)
        answer_line += data
        if not data or data.endswith(b"\n"):
            return answer_line


def _compare_spec(job: JobPaths, spec_sha256: str) -> Optional[str]:
    """Compare the job's folder with the spec: "there" or "refused"; None without a folder."""
    if not os.path.lexists(job.folder):
        return None
    spec = job_records.read_bytes(job.spec)
    same = spec is not None and hashlib.sha256(spec).hexdigest() == spec_sha256
    return "there" if same else "refused"


def main(request: str, stdin: BinaryIO) -> None:
    """Answer one request of `jobs/submit.py`; without a job it only names the volume."""
    query = json.loads(request)
    workdir = query["workdir"]
    if query["job"] is None:
        jobs = jobs_folder(workdir)
        os.makedirs(jobs, 0o700, exist_ok=True)
        mark_volume(jobs)
        sys.stdout.write(json.dumps(read_boot_identity(workdir)))
        return
    answer: Record = {"claim": claim(query, stdin), "spec_sha256": None, "supervisor": None, "reason": None}
    answer["seen"] = None
    if answer["claim"] in ("made", "there"):
        answer["supervisor"], reason = ensure(query)
        answer["reason"] = reason and str(reason)[:1000]
        answer["seen"] = status.look(workdir, query["job"])
        answer["spec_sha256"] = answer["seen"] and answer["seen"]["spec_sha256"]
    answer["incarnation"] = read_boot_identity(workdir)
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
