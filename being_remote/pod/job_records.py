"""A job's folder on the pod: names, small JSON records that are whole or absent, and which life this is.

Records are written to a temporary name, synced, renamed, and the folder synced: a reader sees the
old one or the new one. Readers take regular files of bounded size only. Stdlib, Python 3.8.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from typing import Any, Dict, List, Optional, Tuple

MAX_RECORD_BYTES = 1 << 20
JOB_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,78}[a-z0-9])?")
_ATTEMPT = re.compile(r"([1-9][0-9]{0,3})(\.asked)?")
JOBS = "jobs"
SPEC, CANCEL, ATTEMPTS = "spec.json", "cancel", "attempts"
CANCELLED = ".cancelled"
PUSHED, PUSHED_NOTE = ".pushed", "pushed.json"
WHO, PROGRESS, END, LOG, WORK = "who.json", "progress.json", "end.json", "log", "work"
VOLUME = ".volume"

Record = Dict[str, Any]


class Unreadable(OSError, ValueError):
    """The system gave no answer about a file: what it holds is not known."""


def job_folder(workdir: str, job: str) -> str:
    """The job's folder; raises ValueError for what cannot be an id."""
    if not JOB_ID.fullmatch(job):
        raise ValueError(f"not a job id: {job!r}")
    return f"{workdir}/{JOBS}/{job}"  # not os.path.join: status does this for a thousand jobs


def attempt_folder(folder: str, attempt: int) -> str:
    return f"{folder}/{ATTEMPTS}/{attempt}"


def read_bytes(path: str, limit: int = MAX_RECORD_BYTES) -> Optional[bytes]:
    """A regular file's content; None if it is not there. Raises ValueError for anything odd."""
    try:
        # Without O_NONBLOCK a pipe of that name would wait for its writer.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as e:
        said = f"{os.path.basename(path)} cannot be read: {e.strerror}"
        raise (ValueError if e.errno in (errno.ELOOP, errno.ENXIO) else Unreadable)(said) from None
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or info.st_size > limit:
            raise ValueError(f"{os.path.basename(path)} is not a small file")
        return os.read(fd, info.st_size)  # a buffer of the limit would cost more than the file
    finally:
        os.close(fd)


def read_json(path: str) -> Optional[Record]:
    """A record; None if it is not there. Raises ValueError for anything odd."""
    data = read_bytes(path)
    if data is None:
        return None
    try:
        record = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise ValueError(f"{os.path.basename(path)} is not a record")
    return record


def read_spec(folder: str) -> Tuple[Record, str]:
    """(the job's spec, its hash). Raises ValueError if it is not there or odd."""
    data = read_bytes(os.path.join(folder, SPEC))
    try:
        spec = None if data is None else json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        spec = None
    if data is None or not isinstance(spec, dict):
        raise ValueError("the job has no spec.json that can be read")
    return spec, hashlib.sha256(data).hexdigest()


def write_json(path: str, record: Record, durable: bool = True) -> None:
    """Replace a record as a whole; `durable`: it survives a power cut from here on."""
    write_bytes(path, (json.dumps(record, sort_keys=True) + "\n").encode(), durable)


def write_bytes(path: str, data: bytes, durable: bool = True) -> None:
    temporary = f"{path}.{os.getpid()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        if durable:
            os.fsync(fd)
    os.rename(temporary, path)
    if durable:
        sync_folder(os.path.dirname(path))


def sync_folder(path: str) -> None:
    """Make the names in a folder survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def attempts_of(folder: str) -> Tuple[List[int], int]:
    """(attempts whose folder was made, in order; the highest one that was made or asked for, or 0)."""
    try:
        names = os.listdir(f"{folder}/{ATTEMPTS}")
    except FileNotFoundError:
        return [], 0
    made, highest = [], 0
    for name in names:
        found = _ATTEMPT.fullmatch(name)
        if found:
            highest = max(highest, int(found.group(1)))
            if not found.group(2):
                made.append(int(found.group(1)))
    return sorted(made), highest


def ask_for(folder: str, attempt: int, pushed: str = "") -> None:
    """Leave word that `attempt` was asked for: a supervisor of an earlier one stops when it sees it.

    `pushed` names what it is to go on from; the first word counts.
    """
    path = _asked(folder, attempt)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.exists(path):
        write_bytes(path, pushed.encode("ascii"))
        sync_folder(folder)


def _asked(folder: str, attempt: int) -> str:
    return os.path.join(folder, ATTEMPTS, f"{attempt}.asked")


def pushed_folder(folder: str, name: str) -> str:
    """Where the laptop puts what an attempt goes on from that was made on another host."""
    return os.path.join(os.path.dirname(folder), PUSHED, os.path.basename(name))


def pushed_for(folder: str, attempt: int) -> str:
    """What was put here for an attempt, or for one before it on this host; "" without any."""
    for number in range(attempt, 0, -1):
        name = (read_bytes(_asked(folder, number)) or b"").decode("ascii", "replace").strip()
        pushed = pushed_folder(folder, name)
        # For this very attempt it must be there, or its first step fails: nothing else may take its place.
        if name and (number == attempt or os.path.isfile(os.path.join(pushed, PUSHED_NOTE))):
            return pushed
    return ""


def cancel_mark(folder: str, arrived: bool) -> str:
    """Where a cancel of a job is written: in its folder, or beside it while it has not arrived."""
    jobs, job = os.path.split(folder)
    return os.path.join(folder, CANCEL) if arrived else os.path.join(jobs, CANCELLED, job)


def cancelled_up_to(folder: str) -> Optional[int]:
    """The highest attempt that a cancel was asked for; None without one. Raises Unreadable."""
    found = [_cancelled(cancel_mark(folder, arrived)) for arrived in (True, False)]
    return max((n for n in found if n is not None), default=None)


def _cancelled(mark: str) -> Optional[int]:
    try:
        record = read_json(mark)
    except Unreadable:
        raise  # a network disk that hiccups has asked for nothing
    except ValueError:
        return 1 << 30  # somebody left a mark that cannot be read: to stop is the safe reading
    if record is None:
        return None
    attempt = record.get("attempt")
    return attempt if type(attempt) is int and attempt >= 0 else 1 << 30


def process_start(pid: int) -> Optional[int]:
    """A process's start time in ticks since boot; None if it is gone (or there is no /proc)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name may hold blanks and brackets; the fields after its last ")" do not.
            fields = file.read(4096).rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def process(pid: int) -> Record:
    """A process as records name it."""
    return {"pid": pid, "start": process_start(pid)}


def is_alive(named: Any) -> Optional[bool]:
    """Whether the process of a record is the one that runs under its pid; None if that cannot be seen."""
    if not isinstance(named, dict) or type(named.get("pid")) is not int:
        return None
    start = named.get("start")
    if type(start) is not int or not os.path.exists("/proc/self/stat"):
        return None
    return process_start(named["pid"]) == start


def incarnation(workdir: str) -> Record:
    """Which life of which pod this is, and which volume holds the jobs."""
    jobs = os.path.join(workdir, JOBS)
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
        "init_start": process_start(1),
        "boot_id": boot_id,
        "volume": volume(jobs),
        "alone": _alone(jobs),
    }


def volume(jobs: str) -> Optional[str]:
    """The name that the volume was given; None if it has none that can be read."""
    try:
        marker = read_json(os.path.join(jobs, VOLUME))
    except ValueError:
        return None
    name = marker.get("volume") if marker else None
    return name if isinstance(name, str) and len(name) <= 200 else None


def mark_volume(jobs: str) -> None:
    """Give the volume a name of its own, once; two that try at once leave one name."""
    path = os.path.join(jobs, VOLUME)
    if os.path.exists(path):
        return
    temporary = f"{path}.{os.urandom(8).hex()}.tmp"
    write_json(temporary, {"volume": os.urandom(16).hex()})
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # another claim was first, and its name counts
    finally:
        os.unlink(temporary)
    sync_folder(jobs)


def _alone(jobs: str) -> Optional[bool]:
    """True where no other pod can see the volume: it is the container's own disk. Else not known."""
    try:
        return True if os.stat(jobs).st_dev == os.stat("/").st_dev else None
    except OSError:
        return None
