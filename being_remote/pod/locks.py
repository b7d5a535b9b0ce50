"""Locks that the kernel frees: flock on files on a local disk, where no cleaner of temporary files goes.

A lock file is never removed, or two processes could each hold "the" lock. Because others may remove it all
the same, the inode is compared again after every lock taken. A process that inherits the descriptor holds
the lock, too: so a payload keeps its job's lock when its supervisor is killed. Probes take a shared lock
for a moment, so a taker tries for a while.

Version 0.1.0 had its locks in /tmp. The lock of a job or of a GPU is two files, one here and one there, and
whoever takes it takes both: so its processes and ours keep each other out while they live, and an emptied
/tmp frees no lock.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import json
import os
import pwd
import stat
import time
from typing import Any, Iterator, List, Optional, Tuple

from being_remote.pod import disk_features, kernel_fs

MAX_NOTE_BYTES = 8192
PROBED_S = 2.0  # how long probes may hold up a taker
# Where flock of one machine counts for all its processes, and only for them.
LOCAL_DISKS = frozenset(
    b"ext2 ext3 ext4 xfs btrfs zfs f2fs jfs reiserfs bcachefs overlay aufs tmpfs ramfs rootfs".split()
)


def folder(make: bool = True) -> str:
    """The folder of this user's locks; `make` it if need be. Without one of our own it is `shared_folder`.

    Raises:
        PermissionError: other users can enter the folder.
    """
    named = os.environ.get("BEING_REMOTE_LOCKS")
    if named:
        return _ours(named, make)
    for path in own_places():
        if _find_kind(path) in LOCAL_DISKS:
            with contextlib.suppress(OSError):  # it cannot be made, or is not ours
                return _ours(path, make)
    return shared_folder(make)


@functools.lru_cache
def _find_kind(path: str) -> Optional[bytes]:
    return kernel_fs.find_kind(path)


def own_places() -> List[str]:
    """Where the locks may be, the best first."""
    places = ["/var/lib/being-remote/locks"] if os.geteuid() == 0 else []
    return [*places, os.path.join(_home(), ".being-remote-locks", os.uname().nodename)]


def shared_folder(make: bool = True) -> str:
    """The folder that processes of version 0.1.0 know, too: their locks, and the tickets of all.

    Another user may take the usual name in /tmp first. From then on it is a folder of the user's home: where
    that exists it is used, so that all processes agree.

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
    # Several machines may share a home.
    other = os.path.join(_home(), f".being-remote-{os.uname().nodename}", "locks")
    return f"/tmp/being-remote-{os.geteuid()}/locks", other


def _home() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:  # a container may run as an unnamed user
        return os.path.expanduser("~")


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


def job_locks(job: str, make: bool = True) -> List[str]:
    """The files of a job's lock: ours, and that of version 0.1.0."""
    return _both(f"{job}.lock", make)


def gpu_locks(uuid: str, make: bool = True) -> List[str]:
    """The files of a GPU's lease: ours, and that of version 0.1.0."""
    return _both(f"gpu-{uuid}.lock", make)


def list_gpu_locks() -> List[str]:
    """The files of all GPUs' leases that are there."""
    found = []
    for find_place in (folder, shared_folder):
        with contextlib.suppress(OSError):  # nor can a lease be taken there
            place = find_place(make=False)
            names = os.listdir(place)
            found += [os.path.join(place, n) for n in names if n.startswith("gpu-") and n.endswith(".lock")]
    return sorted(set(found))


def watch_lock(job: str) -> str:
    """Held by the one supervisor that is put back while a payload holds the job's lock."""
    return os.path.join(folder(), job + ".watch.lock")


def _both(name: str, make: bool) -> List[str]:
    paths = [os.path.join(folder(make), name)]
    with contextlib.suppress(OSError):  # nor can version 0.1.0 take one there
        shared = os.path.join(shared_folder(make), name)
        if shared not in paths:
            paths.append(shared)
    return paths


def queue_mutex() -> str:
    """The lock under which tickets are drawn and GPUs chosen."""
    return os.path.join(shared_folder(), "gpu.mutex")


def tickets_folder() -> str:
    path = os.path.join(shared_folder(), "tickets")
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
            _flock(fd, fcntl.LOCK_EX, path)
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


def _flock(fd: int, how: int, path: str) -> None:
    """Lock without waiting; a refusal names the path, and a disk without locks is always ENOLCK."""
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as e:
        number = errno.ENOLCK if e.errno in disk_features.NOT_OFFERED else e.errno or errno.EIO
        raise OSError(number, os.strerror(number), path) from e


def take_all(paths: List[str], wait_s: float = 0.0) -> Optional[List[int]]:
    """Take all files of one lock, in their order; None if one was held all through `wait_s`."""
    taken: List[int] = []
    for path in paths:
        fd = take(path, wait_s)
        if fd is None:
            release(taken)
            return None
        taken.append(fd)
    return taken


def release(lock: List[int]) -> None:
    """Free a lock; a process that inherited it still holds it."""
    for fd in lock:
        os.close(fd)


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
            _flock(fd, fcntl.LOCK_SH, path)
        except BlockingIOError:
            state = "held"
        try:
            note = json.loads(os.pread(fd, MAX_NOTE_BYTES, 0).decode("utf-8"))
        except (ValueError, RecursionError):
            note = None
        return state, os.fstat(fd).st_ino, note
    finally:
        os.close(fd)


def probe_all(paths: List[str]) -> Tuple[str, Optional[int], Optional[Any]]:
    """What `probe` says of a lock of several files: of one that is held, else of the first that is there."""
    found = [probe(path) for path in paths]
    return min(found, key=lambda one: ("held", "free", "missing").index(one[0]))


def write_note(fd: int, note: Any) -> None:
    """Write who holds the lock, in place: the file must stay the same one.

    Nothing depends on it: on a full disk it is left out, and readers take a missing note for unknown.
    """
    data = (json.dumps(note, sort_keys=True) + "\n").encode()
    assert len(data) <= MAX_NOTE_BYTES
    try:
        # Blanks after the text instead of a truncation before it: a reader never meets an empty file.
        os.pwrite(fd, data.ljust(os.fstat(fd).st_size), 0)
        os.ftruncate(fd, len(data))
    except OSError:
        with contextlib.suppress(OSError):  # the note of the holder before would be taken for ours
            os.ftruncate(fd, 0)


def is_still(path: str, fd: int) -> bool:
    """Whether the file of that name is still the one that was locked."""
    try:
        current = os.stat(path)
    except FileNotFoundError:
        return False
    taken = os.fstat(fd)
    return (current.st_dev, current.st_ino) == (taken.st_dev, taken.st_ino)
