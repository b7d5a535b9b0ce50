"""Runs on the pod: put a job there whole or not at all, then make sure that a supervisor runs.

Both are safe to repeat, so one round trip does both. The job's files come on stdin, are checked,
synced and renamed into place; a link that is cut leaves nothing but a folder that a later claim
removes once its lock is free. The supervisor is detached in a session of its own and shares no
descriptor with us.
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
import subprocess
import sys
import tarfile
import time
from typing import BinaryIO, Iterator, Optional, Tuple

from being_remote.pod import gate, locks, status
from being_remote.pod import job_records as records
from being_remote.pod.boot_identity import mark_volume, read_boot_identity, read_volume
from being_remote.pod.job_paths import PUSHED_NOTE, JobPaths, incoming_folder, jobs_folder
from being_remote.pod.job_records import Record

MAX_BUNDLE_BYTES = 300 << 20
MAX_ANSWER_BYTES = 1 << 16
MAX_NOTE_BYTES = 64 << 20
START = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from being_remote.pod import supervisor\n"
    "supervisor.main(sys.argv[2])\n"
)


def claim(asked: Record, stdin: BinaryIO) -> str:
    """Put the job there unless it is: "made", "there", "refused", "absent", "torn" or "elsewhere".

    "unpushed": it is there, and what its attempt is to go on from is not.
    """
    job = JobPaths.of(asked["workdir"], asked["job"])
    found = _compared(job, asked["spec_sha256"]) or _brought(asked, job, stdin)
    if found in ("made", "there"):
        _clear(incoming_folder(job.jobs))
        if asked["pushed"] is not None and not _is_whole(job.pushed(asked["pushed"])):
            return "unpushed"
    return found


def _is_whole(pushed: str) -> bool:
    """Whether the note is there, which comes last, and is the one that the folder is named after."""
    note = records.read_bytes(f"{pushed}/{PUSHED_NOTE}", MAX_NOTE_BYTES)
    return note is not None and pushed.endswith("." + hashlib.sha256(note).hexdigest())


def _brought(asked: Record, job: JobPaths, stdin: BinaryIO) -> str:
    if not asked["bundle_bytes"]:
        return "absent"
    if asked["volume"] is None or asked["volume"] != read_volume(job.jobs):
        return "elsewhere"  # its claim may have reached the disk that was here before this one
    if asked["bundle_bytes"] > MAX_BUNDLE_BYTES:
        return "torn"
    data = stdin.read(asked["bundle_bytes"])
    if len(data) != asked["bundle_bytes"] or hashlib.sha256(data).hexdigest() != asked["bundle_sha256"]:
        return "torn"
    incoming = incoming_folder(job.jobs)
    os.makedirs(incoming, 0o700, exist_ok=True)
    with _staged(os.path.join(incoming, f"{asked['job']}.{asked['nonce']}")) as staging:
        return _put(data, staging, job, asked["spec_sha256"])


def _put(data: bytes, staging: str, job: JobPaths, spec_sha256: str) -> str:
    """The job's files to `staging`, and from there into their place in one step."""
    staged = JobPaths(staging)
    try:
        unpack(data, staging)
        spec = records.read_bytes(staged.spec)
        if spec is None or hashlib.sha256(spec).hexdigest() != spec_sha256:
            return _compared(job, spec_sha256) or "torn"
        os.mkdir(staged.attempts, 0o700)
        sync_tree(staging)
        os.rename(staging, job.folder)
        records.sync_folder(job.jobs)
        return "made"
    except OSError:
        # Another claim was first. Anything else (a full disk, no rights) stays an error.
        found = _compared(job, spec_sha256)
        if found is None:
            raise
        return found


@contextlib.contextmanager
def _staged(staging: str) -> Iterator[str]:
    """A folder of this claim's own, gone afterwards; the lock beside it says that we are at work."""
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


def _clear(incoming: str) -> None:
    """Remove what killed claims left behind, of any job: a lock that can be had proves its claim dead."""
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
    """The lock, or None; on a volume that has no locks nobody clears away after others."""
    try:
        return locks.take(lock, wait_s)
    except OSError as e:
        if e.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        return None


def unpack(data: bytes, into: str) -> None:
    """Regular files and folders below `into`, and nothing else. Raises ValueError."""
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
                raise ValueError(f"{member.name!r} is no regular file")


def sync_tree(top: str) -> None:
    """Everything below `top` survives a power cut from here on."""
    for here, _, names in os.walk(top):
        for name in names:
            fd = os.open(os.path.join(here, name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        records.sync_folder(here)


def ensure(asked: Record) -> Tuple[str, Optional[str]]:
    """Start a supervisor for the attempt; (its word, its reason), "silent" if none came in time."""
    job = JobPaths.of(asked["workdir"], asked["job"])
    gate.ask_for(job, asked["attempt"], asked["pushed"] or "")
    reader, writer = os.pipe()
    request = {
        "workdir": asked["workdir"],
        "job": asked["job"],
        "attempt": asked["attempt"],
        "answer": writer,
    }
    log = os.open(job.supervisor_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", START, job.bundle, json.dumps(request)],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        pass_fds=(writer,),
        start_new_session=True,
    )
    os.close(log)
    os.close(writer)
    said = _line(reader, asked["wait_s"])
    if said is None:
        return "silent", None
    try:
        answer = json.loads(said.decode("utf-8"))
        return answer["supervisor"], answer["reason"]
    except (ValueError, KeyError, TypeError):
        return "error", "it ended without an answer; see supervisor.log in the job's folder"


def _line(fd: int, wait_s: float) -> Optional[bytes]:
    """One line; b"" if the other end closed without one, None if the time was over."""
    deadline, said = time.monotonic() + wait_s, b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            return None
        data = os.read(fd, MAX_ANSWER_BYTES)
        said += data
        if not data or data.endswith(b"\n"):
            return said


def _compared(job: JobPaths, spec_sha256: str) -> Optional[str]:
    """Whether the folder that is there is of this spec: "there" or "refused"; None if it is not there."""
    if not os.path.lexists(job.folder):
        return None
    spec = records.read_bytes(job.spec)
    same = spec is not None and hashlib.sha256(spec).hexdigest() == spec_sha256
    return "there" if same else "refused"


def main(request: str, stdin: BinaryIO) -> None:
    """Answer one request; what it holds: `jobs/submit.py`. Without a job it only names the volume."""
    asked = json.loads(request)
    workdir = asked["workdir"]
    if asked["job"] is None:
        jobs = jobs_folder(workdir)
        os.makedirs(jobs, 0o700, exist_ok=True)
        mark_volume(jobs)
        sys.stdout.write(json.dumps(read_boot_identity(workdir)))
        return
    answer: Record = {"claim": claim(asked, stdin), "spec_sha256": None, "supervisor": None, "reason": None}
    answer["seen"] = None
    if answer["claim"] in ("made", "there"):
        answer["supervisor"], reason = ensure(asked)
        answer["reason"] = reason and str(reason)[:1000]
        answer["seen"] = status.look(workdir, asked["job"])
        answer["spec_sha256"] = answer["seen"] and answer["seen"]["spec_sha256"]
    answer["incarnation"] = read_boot_identity(workdir)
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
