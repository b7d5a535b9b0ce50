"""Locks of this laptop, each of which one process holds. A leaf.

The kernel frees a lock with its process: it is an flock. On a disk that refuses flock, as some network disks
do, a file named after the lock says which process holds it. That file outlives a killed process, and is stale
only where that process is known to have ended: it ran on this machine since its last boot. All others are
removed only by a person (`break_lock`).
"""

from __future__ import annotations

import errno
import fcntl
import functools
import hashlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from being_remote.errors import Busy
from being_remote.pod.disk_features import NOT_OFFERED

# What a disk answers that offers no flock.
REFUSED = (errno.ENOLCK, *NOT_OFFERED)
_FIRST_POLL_S, _LONGEST_POLL_S = 0.02, 1.0
_MAX_NOTE_BYTES = 1000
_NOTE = re.compile(
    r"process (\d{1,10}) on (\S{1,255}); boot (\S{1,100}), namespace (\d{1,20}), start (\d{1,20})"
)


@dataclass(frozen=True)
class LockRequest:
    """How a lock is asked for.

    Attributes:
        wait_s: how long to wait for another process.
        break_lock: remove a file by which a process that cannot be asked holds it; an flock stays.
    """

    wait_s: float = 0.0
    break_lock: bool = False


AT_ONCE = LockRequest()


@dataclass(frozen=True)
class LockOwner:
    """The process that holds a lock, as it is named in the lock's file.

    Attributes:
        boot: names its machine and when that was started; "-" where this is unknown.
        namespace: of its process number; 0 where there is none.
        start: when it started, as its machine counts; 0 where this is unknown.
    """

    pid: int
    host: str
    boot: str = "-"
    namespace: int = 0
    start: int = 0

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def note(self) -> str:
        """How the lock's file names it.

        Example:
            >>> LockOwner(7, "laptop", "4f1c", 4026531836, 912).note
            'process 7 on laptop; boot 4f1c, namespace 4026531836, start 912'
        """
        return f"{self}; boot {self.boot}, namespace {self.namespace}, start {self.start}"

    def has_ended(self) -> bool:
        """Whether it is known to have ended; False where that cannot be known from here."""
        if not self.is_of_this_machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass
        now = _start_of(self.pid)
        return 0 not in (now, self.start) and now != self.start

    def may_be_broken(self) -> bool:
        """Whether a person may take the lock from it: all but a process that is known to run here."""
        return self.has_ended() or not self.is_of_this_machine() or self.start == 0

    def is_of_this_machine(self) -> bool:
        """Whether its number means that process here: of this machine, since its last start."""
        return self.boot != "-" and (self.boot, self.namespace) == _boot_identity()


def read_holder(text: str) -> LockOwner | None:
    """The holder that a lock's file names; None for any other text.

    Example:
        >>> str(read_holder("process 7 on laptop; boot 4f1c, namespace 0, start 912"))
        'process 7 on laptop'
    """
    found = _NOTE.fullmatch(text.strip())
    if found is None:
        return None
    pid, host, boot, namespace, start = found.groups()
    return LockOwner(int(pid), host, boot, int(namespace), int(start))


@contextmanager
def held_lock(
    file: Path, what: str, *, where: str, asked: LockRequest = AT_ONCE, options: bool = False
) -> Iterator[None]:
    """Hold a lock while inside.

    Args:
        what, where: what its holder does, and with what, for the message: "another command
            holds this backup".
        options: `sync` has options for this lock, which the message names.

    Raises:
        Busy: another process holds it.
    """
    deadline, poll_s = time.monotonic() + asked.wait_s, _FIRST_POLL_S
    with ExitStack() as held:
        while (rival := _take(file, held, asked.break_lock)) is not None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise Busy(f"{what} ({rival.name})", where=where, hint=rival.next_step(options))
            time.sleep(min(poll_s, left_s))
            poll_s = min(2 * poll_s, _LONGEST_POLL_S)
        yield


class _Rival(NamedTuple):
    """Who else holds a lock; `file` is what only a person may remove, None for an flock."""

    name: str
    file: Path | None = None

    def next_step(self, options: bool) -> str:
        if self.file is None:
            waits = "; `sync --wait 20m` waits for it" if options else ""
            return f"wait until it ends, then run the command again{waits}"
        by_option = "; `sync --break-lock` does that" if options else ""
        return f"once that process has certainly ended, remove {self.file}{by_option}"


def _take(file: Path, held: ExitStack, break_lock: bool) -> _Rival | None:
    """Take the lock, to be freed with `held`; returns who holds it otherwise."""
    with ExitStack() as taken:
        lock = taken.enter_context(open(file, "a+b", buffering=0))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = read_holder(_read_note(file))
            return _Rival(str(found) if found is not None else _read_note(file) or "an unknown process")
        except OSError as e:
            if e.errno not in REFUSED:
                raise
            return _take_file(file, held, break_lock)
        taken.callback(_write_note, lock.fileno(), "")
        _write_note(lock.fileno(), _this_process().note)
        # On this disk another machine, or this one at another time, may get no flock.
        rival = _find_file_holder(file, break_lock)
        if rival is None:
            held.push(taken.pop_all())
        return rival


def _take_file(file: Path, held: ExitStack, break_lock: bool) -> _Rival | None:
    claim, note = _claim_of(file), _this_process().note
    with ExitStack() as taken, _takers_of_this_machine(claim):
        if (rival := _find_file_holder(file, break_lock)) is not None:
            return rival
        try:
            descriptor = os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            return _describe(claim)
        taken.callback(_remove_own, claim, note)
        with open(descriptor, "wb", buffering=0) as writer:
            writer.write(note.encode())
        found = read_holder(_read_note(file))  # by an flock that the disk gave it earlier
        if found is not None and not _is_stale(found, break_lock):
            return _Rival(str(found), file)
        held.push(taken.pop_all())
    return None


def _find_file_holder(file: Path, break_lock: bool) -> _Rival | None:
    """Who holds the lock by a file; a stale one is removed."""
    claim = _claim_of(file)
    if not os.path.lexists(claim):
        return None
    if not _is_stale(read_holder(_read_note(claim)), break_lock):
        return _describe(claim)
    claim.unlink(missing_ok=True)
    return None


def _is_stale(found: LockOwner | None, break_lock: bool) -> bool:
    if break_lock:
        return found is None or found.may_be_broken()
    return found is not None and found.has_ended()


def _claim_of(file: Path) -> Path:
    """The file by which the lock is held on a disk without flock."""
    return file.with_name(f"{file.name}.held")


def _describe(claim: Path) -> _Rival:
    found = read_holder(_read_note(claim))
    if found is None:
        return _Rival("an unknown process", claim)
    if not found.is_of_this_machine():
        return _Rival(f"{found}, which cannot be asked from here", claim)
    return _Rival(str(found))


def _read_note(file: Path) -> str:
    try:
        with open(file, "rb") as note:
            return note.read(_MAX_NOTE_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _write_note(descriptor: int, note: str) -> None:
    with suppress(OSError):  # it is for the message, and for disks without flock; the disk may be full
        os.ftruncate(descriptor, 0)
        os.write(descriptor, note.encode())


def _remove_own(claim: Path, note: str) -> None:
    """Free the lock, unless a person has broken it and another process holds it."""
    if _read_note(claim) in (note, ""):
        claim.unlink(missing_ok=True)


@contextmanager
def _takers_of_this_machine(claim: Path) -> Iterator[None]:
    """One at a time: else two could find a stale file, and the second remove the first one's new file."""
    name = hashlib.sha256(os.fsencode(claim.resolve())).hexdigest()[:16]
    guard = Path(tempfile.gettempdir()) / f"being-remote-{os.geteuid()}-{name}.lock"
    with open(os.open(guard, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _this_process() -> LockOwner:
    boot, namespace = _boot_identity()
    pid = os.getpid()
    return LockOwner(pid, socket.gethostname() or "localhost", boot, namespace, _start_of(pid))


@functools.cache
def _boot_identity() -> tuple[str, int]:
    """(this machine's current start, the namespace of its process numbers); "-" and 0 where unknown."""
    boot, namespace = "-", 0
    with suppress(OSError, subprocess.SubprocessError):
        if sys.platform == "darwin":
            words = ["sysctl", "-n", "kern.bootsessionuuid"]
            boot = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() or "-"
        else:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or "-"
            namespace = os.stat("/proc/self/ns/pid").st_ino
    return boot, namespace


def _start_of(pid: int) -> int:
    """When a process started, in the machine's clock ticks; 0 where it has ended or that is unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        # The command's name may hold blanks and brackets; the fields after its last ")" do not.
        return int(stat.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
