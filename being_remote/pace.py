"""The slowest rate of a transfer: a peer that sends a byte now and then must not hold a lock for ever.

A leaf. A time-out ends silence only. A followed log does not count: it may be silent for hours, and its own
heartbeat, every few seconds, tells a frozen link.
"""

from __future__ import annotations

import time

from being_remote.errors import AnswerTimeout

# At least so many bytes in so many seconds: 1 KiB/s on average is slower than any link that is of use.
LEAST_BYTES, WINDOW_S = 300 << 10, 300.0
# Slower disks are rare.
READ_BYTES_PER_S = 20e6


class Pace:
    """Watches one transfer, which reports its bytes."""

    def __init__(self, host: str, *, reads_bytes: int = 0) -> None:
        """`reads_bytes`: bytes that may have to be read from a disk before the first one is sent."""
        self._host = host
        self._window_s = WINDOW_S + reads_bytes / READ_BYTES_PER_S
        self._bytes, self._at = 0, time.monotonic()

    def report(self, total_bytes: int) -> None:
        """Check the rate, given all bytes so far. Raises AnswerTimeout if it is too slow."""
        now = time.monotonic()
        if total_bytes - self._bytes >= LEAST_BYTES:
            self._bytes, self._at = total_bytes, now
        elif now - self._at > self._window_s:
            raise AnswerTimeout(
                f"only {total_bytes - self._bytes} bytes came within {now - self._at:.0f} s",
                host=self._host,
                hint="check the link and the host, then run the command again: it resumes",
            )

    def pause(self, seconds: float) -> None:
        """Do not count a time in which nothing was asked for."""
        self._at += seconds
