"""The slowest rate of a transfer: a peer that sends a byte now and then must not hold a lock for ever.

A leaf. A time-out ends silence only. A followed log does not count: it may be silent for hours, and its own
heartbeat, every few seconds, tells a frozen link.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from being_remote.errors import AnswerTimeout


@dataclass(frozen=True)
class Rate:
    """At least `least_bytes` in every `window_s` seconds."""

    least_bytes: int
    window_s: float


# 1 KiB/s on average over 5 min: slower than any link that is of use.
SLOWEST = Rate(300 << 10, 300.0)
# Slower disks are rare.
READ_BYTES_PER_S = 20e6


class Pace:
    """Watches one transfer, which reports its bytes."""

    def __init__(self, host: str, rate: Rate = SLOWEST, *, reads_bytes: int = 0) -> None:
        """`reads_bytes`: bytes that may have to be read from a disk before the first one is sent."""
        self._host, self._least = host, rate.least_bytes
        self._window_s = rate.window_s + reads_bytes / READ_BYTES_PER_S
        self._bytes, self._at = 0, time.monotonic()

    def report(self, total_bytes: int) -> None:
        """Check the rate, given all bytes so far. Raises AnswerTimeout if it is too slow."""
        now = time.monotonic()
        if total_bytes - self._bytes >= self._least:
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
