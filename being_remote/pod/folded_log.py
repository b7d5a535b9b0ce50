"""The log of a payload's output: it only grows, has a bound, and folds progress bars.

What a carriage return overwrites on a terminal is overwritten here, too: of a bar's thousand states
the last one is kept, and one now and then so that a follower sees it move. Beyond the bound the newest
part is kept beside it, by `newest_log`.
The log is written by a process of its own, so that a payload outlives its supervisor and never meets a
dead pipe.
"""

from __future__ import annotations

import os
import select
import signal
import time
from typing import Any, Callable, Dict, List, Optional, Union

from being_remote.pod import os_problem
from being_remote.pod.newest_log import LogTimes, NewestLog, drop_oldest

MAX_LINE_BYTES = 16 << 10
SHOWN_EVERY_S = 5.0
FINISH_S = 5.0
RETRY_S = 0.2
LINGER_S = 600.0


class FoldedLog:
    """Bytes in by `feed`, whole lines out to the log, at most `limit` bytes and the newest part after them.

    What a full disk refuses waits in memory, up to `newest_log.MAX_WAITING_BYTES`, for `retry`.
    """

    def __init__(self, log: str, limit: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = fd = os.open(log, flags, 0o600)
        self._newest, self._times = NewestLog(log, limit), LogTimes(log)
        self._left = max(0, limit - os.fstat(fd).st_size)
        self._line = bytearray()  # the line so far, as a terminal would show it
        self._returned = False  # the next byte overwrites the line
        self._shown_at = time.monotonic()
        self._waiting, self._refused = bytearray(), 0

    @property
    def is_waiting(self) -> bool:
        """Whether the disk refused what was last written."""
        return bool(self._waiting) or self._newest.is_waiting

    def feed(self, data: bytes) -> None:
        """Add output of the payload."""
        done = bytearray()
        for piece in data.splitlines(keepends=True):
            text = piece.rstrip(b"\r\n")
            ending = piece[len(text) :]
            if text:
                if self._returned:
                    self._show_now_and_then(done)
                    self._line.clear()
                    self._returned = False
                self._line += text
            # "\r\n" is a line's end, also when it comes in two pieces.
            if b"\n" in ending:
                done += self._line + b"\n"
                self._line.clear()
                self._returned = False
            elif ending:
                self._returned = True
            if len(self._line) > MAX_LINE_BYTES:
                done += self._line + b"\n"
                self._line.clear()
        self._write(bytes(done))

    def finish(self) -> None:
        """Write what is left at the end of the output."""
        if self._line:
            self._write(bytes(self._line) + b"\n")
            self._line.clear()
        self.retry()

    def retry(self) -> None:
        """Write what waits, as far as the disk takes it."""
        if self._refused:
            note = b"\n[... %d bytes are left out here, the disk was full ...]\n" % self._refused
            written = _append(self._fd, note)
            if not written:
                return
            self._waiting[:0], self._refused = note[written:], 0
        del self._waiting[: _append(self._fd, self._waiting)]
        if not self._waiting:  # the log up to its bound is complete
            self._newest.write()

    def _show_now_and_then(self, done: bytearray) -> None:
        now = time.monotonic()
        if now - self._shown_at >= SHOWN_EVERY_S:
            self._shown_at = now
            done += self._line + b"\n"

    def _write(self, data: bytes) -> None:
        self._times.note()
        now, later = data[: self._left], data[self._left :]
        self._newest.add(later)
        self._waiting += now
        self._left -= len(now)
        self.retry()
        self._refused += drop_oldest(self._waiting)


class LogPump:
    """Carries what is written to `sink` to a log, in a process that is replaced if it is killed.

    `problem`: why that process does not run at the moment.
    """

    def __init__(self, path: str, limit: int, locks: List[int]) -> None:
        self._path, self._limit, self._locks = path, limit, locks
        self._source, self.sink = os.pipe()
        self.pid: Optional[int] = None  # of the process, while it runs
        self.problem: Optional[Dict[str, Any]] = None

    def keep_running(self) -> None:
        """Start the process unless it runs."""
        if self.pid is not None and os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            return
        try:
            self.pid = os.fork()
        except OSError as e:  # the pipe holds the payload's lines until the next try
            self.problem, self.pid = os_problem.record_of(e), None
            return
        self.problem = None
        if self.pid:
            return
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            for fd in self._locks:
                os.close(fd)  # the log must not keep a dead payload's locks
            # Above all our own end of the pipe, or its end would never come.
            os.closerange(3, self._source)
            os.closerange(self._source + 1, 256)
            _copy(self._source, self._path, self._limit)
        finally:
            os._exit(0)

    def finish(self, wait: Callable[[float], None]) -> None:
        """Wait until all is written, within reason."""
        os.close(self.sink)
        deadline = time.monotonic() + FINISH_S
        while self.pid is not None and time.monotonic() < deadline:
            if os.waitpid(self.pid, os.WNOHANG) != (0, 0):
                break
            wait(0.02)
        os.close(self._source)


def _copy(source: int, path: str, limit: int) -> None:
    """Read `source` to its end into the log at `path`."""
    log = FoldedLog(path, limit)
    while True:
        if log.is_waiting and not select.select([source], [], [], RETRY_S)[0]:
            log.retry()
            continue
        data = os.read(source, 1 << 16)
        if not data:
            break
        log.feed(data)
    log.finish()
    deadline = time.monotonic() + LINGER_S
    while log.is_waiting and time.monotonic() < deadline:
        time.sleep(RETRY_S)
        log.retry()


def _append(fd: int, data: Union[bytes, bytearray]) -> int:
    """Returns how much could be written: a full disk must not stop the payload."""
    done, total = 0, len(data)
    while done < total:
        written: Optional[int] = None
        try:
            written = os.write(fd, data[done:])
        except OSError:
            break
        done += written
    return done
