"""The parts of a log: `log` up to its bound, then `log.<offset>`, of which the newest two stay.

Offsets count the bytes of the whole output as it was written, so they only grow: a follower that is at a
byte that is gone continues at the next part. `log.times` says when which byte was written.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import BinaryIO, Iterator, List, Optional, Tuple

MIN_PART_BYTES = 64 << 10
MAX_WAITING_BYTES = 1 << 20
KEPT_PARTS = 2
TIMES_EVERY_S = 10.0
MAX_TIMES_BYTES = 16 << 20
BLOCK_BYTES = 64 << 10
_PART = re.compile(r"log\.([1-9][0-9]{0,17})")
_TIME = re.compile(r"^([0-9]{1,12}) ([0-9]{1,18})$", re.MULTILINE)


def find_parts(log: str) -> List[Tuple[int, str]]:
    """(the offset of its first byte, its path) of each part, in order; the first is `log` itself."""
    folder = os.path.dirname(log)
    try:
        names = os.listdir(folder)
    except OSError:
        names = []
    found = [_PART.fullmatch(name) for name in names]
    return [(0, log), *sorted((int(m.group(1)), f"{folder}/{m.group(0)}") for m in found if m)]


def log_end(log: str) -> int:
    """The offset behind the log's last byte. Raises OSError without a log."""
    start, path = find_parts(log)[-1]
    return start + os.stat(path).st_size


def drop_oldest(waiting: bytearray) -> int:
    """Keep the newest lines of what waits where it is too much; returns how many bytes were dropped."""
    if len(waiting) <= MAX_WAITING_BYTES:
        return 0
    newest = len(waiting) - MAX_WAITING_BYTES // 2
    cut = waiting.find(b"\n", newest) + 1 or newest
    del waiting[:cut]
    return cut


class NewestLog:
    """Takes what comes after a log's bound. What a full disk refuses waits in memory, within a bound."""

    def __init__(self, log: str, limit: int) -> None:
        self._log, self._most = log, max(MIN_PART_BYTES, limit // 16)
        self._waiting = bytearray()
        self._next: Optional[int] = None  # the offset of the first byte that waits, once it is known
        self._dropped = 0  # before that
        self._fd: Optional[int] = None
        self._start, self._size = 0, 0

    @property
    def is_waiting(self) -> bool:
        return bool(self._waiting)

    def add(self, data: bytes) -> None:
        """Take what comes next; `write` writes it."""
        self._waiting += data
        self._dropped += drop_oldest(self._waiting)

    def write(self) -> None:
        """Write what waits, as far as the disk takes it; the log up to its bound must be complete by now."""
        if self._waiting and self._next is None:
            try:
                self._next = log_end(self._log)
            except OSError:
                return
        if self._next is not None:
            self._next, self._dropped = self._next + self._dropped, 0
        while self._waiting and self._next is not None:
            ended = self._size >= self._most or self._next != self._start + self._size
            if (self._fd is None or ended) and not self._open_part(self._next):
                break
            assert self._fd is not None
            piece = self._waiting[: self._most - self._size]
            try:
                written = os.write(self._fd, piece)
            except OSError:
                break
            self._size += written
            self._next += written
            del self._waiting[:written]

    def _open_part(self, start: int) -> bool:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(f"{self._log}.{start}", flags, 0o600)
        except OSError:
            return False
        if self._fd is not None:
            os.close(self._fd)
        self._fd, self._start, self._size = fd, start, 0
        for _, path in find_parts(self._log)[1:-KEPT_PARTS]:
            with contextlib.suppress(OSError):
                os.unlink(path)
        return True


class LogTimes:
    """Writes down, now and then, which byte of the log comes next and when that is, by the pod's clock."""

    def __init__(self, log: str) -> None:
        self._log, self._next_at = log, 0.0

    def note(self) -> None:
        """Call it before something is written."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + TIMES_EVERY_S
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError):  # a full disk: those bytes have no time
            line = b"%d %d\n" % (time.time(), log_end(self._log))
            fd = os.open(f"{self._log}.times", flags, 0o600)
            try:
                os.write(fd, line)
            finally:
                os.close(fd)


def offset_since(log: str, since_s: float) -> Optional[int]:
    """Where to begin to see all that was written in the last `since_s` seconds; None without times.

    It may show what was written up to `TIMES_EVERY_S` before that.
    """
    try:
        end = log_end(log)
        if not end:
            return 0  # nothing was written yet
        with open(f"{log}.times", "rb", opener=_open_without_waiting) as file:
            text = file.read(MAX_TIMES_BYTES).decode("ascii", "replace")
    except OSError:
        return None
    first = time.time() - since_s
    for at, offset in _TIME.findall(text):
        if int(at) + TIMES_EVERY_S + 1 > first:  # all older was written before
            return int(offset)
    return end


def offset_of_last_lines(log: str, lines: int) -> int:
    """Where the last lines of the log begin, as far as they are still there."""
    if lines == 0:
        with contextlib.suppress(OSError):  # as a log that is not there
            return log_end(log)
    ends, begins = -1 if _ends_with_newline(log) else 0, 0
    for start, path in reversed(find_parts(log)):
        try:
            with open(path, "rb", opener=_open_without_waiting) as file:
                for at, data in _blocks_backwards(file):
                    place = len(data)
                    while True:
                        place = data.rfind(b"\n", 0, place)
                        if place < 0:
                            break
                        ends += 1
                        if ends == lines:
                            return start + at + place + 1
        except OSError:  # removed meanwhile: what follows it is all there is
            return begins
        begins = start
    return 0


def _ends_with_newline(log: str) -> bool:
    """Whether the last line is complete: that newline begins no further line."""
    for _, path in reversed(find_parts(log)):
        with contextlib.suppress(OSError), open(path, "rb", opener=_open_without_waiting) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                return file.read(1) == b"\n"
    return False


def _blocks_backwards(file: BinaryIO) -> Iterator[Tuple[int, bytes]]:
    """(its offset, its bytes) of each block of a file, the last one first."""
    at = file.seek(0, os.SEEK_END)
    while at > 0:
        size = min(BLOCK_BYTES, at)
        at -= size
        file.seek(at)
        yield at, file.read(size)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
