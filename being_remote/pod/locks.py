"""Locks that the kernel frees: flock on files in one folder on a local disk.

A lock file is never removed, or two processes could each hold "the" lock. Because others may remove it all
the same, the inode is compared again after every lock taken. A process that inherits the descriptor holds
the lock, too: so a payload keeps its job's lock when its supervisor is killed. Probes take a shared lock
for a moment, so a taker tries for a while.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pwd
import stat
import time
from typing import Any, Iterator, Optional, Tuple

MAX_NOTE_BYTES = 8192
PROBED_S = 2.0  # how long probes may hold up a taker


def folder(make: bool = True) -> str:
    """The folder of this user's locks, on a disk of this machine; `make` it if need be.

    Another user may take the usual name in /tmp first. From then on the locks are in a folder of the
    user's home: where that exists it is used, so that all processes agree.

    Raises:
        PermissionError: other users can enter the folder.
    """
    named = os.environ.get("BEING_REMOTE_LOCKS")
    if named:
        return _ours(named, make)
    usual, other = places()
    if not os.path.lexists(other):
        with contextlib.suppress(PermissionError):
            return _ours(usual, make)
    return _ours(other, make)


def places() -> Tuple[str, str]:
    """(the usual folder, the one for when another user has taken its name)."""
    uid = os.geteuid()
    try:
        home = pwd.getpwuid(uid).pw_dir
    except KeyError:  # a container may run as an unnamed user
        home = os.path.expanduser("~")
    # Several machines may share a home.
    other = os.path.join(home, f".being-remote-{os.uname().nodename}", "locks")
    return f"/tmp/being-remote-{uid}/locks", other


def _ours(path: str, make: bool) -> str:
    for part in (os.path.dirname(path), path):
        if not os.path.lexists(part):
            if not make:
                return path
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o700)
        info = os.lstat(part)  # before anything is made in it
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "the locks' folder is not ours", part)
    if stat.S_IMODE(info.st_mode) & 0o077:
        raise PermissionError(errno.EPERM, "the locks' folder is open to others", path)
    return path


def job_lock(job: str, make: bool = True) -> str:
    return os.path.join(folder(make), job + ".lock")


def watch_lock(job: str) -> str:
    """Held by the one supervisor that is put back while a payload holds the job's lock."""
    return os.path.join(folder(), job + ".watch.lock")


def gpu_lock(uuid: str, make: bool = True) -> str:
    return os.path.join(folder(make), f"gpu-{uuid}.lock")


def queue_mutex() -> str:
    """The lock under which tickets are drawn and GPUs chosen."""
    return os.path.join(folder(), "gpu.mutex")


def tickets_folder() -> str:
    path = os.path.join(folder(), "tickets")
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path


def waiter_lock(key: str, make: bool = True) -> str:
    return os.path.join(folder(make), f"waiter-{key}.lock")


def take(path: str, wait_s: float = 0.0) -> Optional[int]:
    """Take the lock; returns its descriptor, or None if it was held all through `wait_s`."""
    deadline = time.monotonic() + wait_s
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.02)
            continue
        except BaseException:
            os.close(fd)
            raise
        if is_still(path, fd):
            return fd
        os.close(fd)  # it was removed meanwhile, so ours does not count


@contextlib.contextmanager
def held(path: str) -> Iterator[None]:
    """Hold a lock that is never held for long."""
    while True:
        fd = take(path, wait_s=60.0)
        if fd is not None:
            break
    try:
        yield
    finally:
        os.close(fd)


def probe(path: str) -> Tuple[str, Optional[int], Optional[Any]]:
    """("held" | "free" | "missing", inode, the last holder's note). Makes nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return "missing", None, None
    try:
        state = "free"
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            state = "held"
        try:
            note = json.loads(os.pread(fd, MAX_NOTE_BYTES, 0).decode("utf-8"))
        except (ValueError, RecursionError):
            note = None
        return state, os.fstat(fd).st_ino, note
    finally:
        os.close(fd)


def write_note(fd: int, note: Any) -> None:
    """Write who holds the lock, in place: the file must stay the same one."""
    data = (json.dumps(note, sort_keys=True) + "\n").encode()
    assert len(data) <= MAX_NOTE_BYTES
    # Blanks after the text instead of a truncation before it: a reader never meets an empty file.
    os.pwrite(fd, data.ljust(os.fstat(fd).st_size), 0)
    os.ftruncate(fd, len(data))


def is_still(path: str, fd: int) -> bool:
    """Whether the file of that name is still the one that was locked."""
    try:
        current = os.stat(path)
    except FileNotFoundError:
        return False
    taken = os.fstat(fd)
    return (current.st_dev, current.st_ino) == (taken.st_dev, taken.st_ino)
