"""How slow a transfer may be: a peer that drips a byte now and then must not hold us, and a lock, for ever.

A time-out ends silence only. Here so many bytes have to come within each stretch of time, or the
transfer ends. Logs that are followed are no transfer: to say nothing for hours is normal for them,
and their own sign of life, every few seconds, tells a frozen link. A leaf.
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


# 1 KiB/s on average over 5 min: no link that a sync can be meant for is slower.
SLOWEST = Rate(300 << 10, 300.0)
# Slower disks are rare.
READ_BYTES_PER_S = 20e6


class Pace:
    """Watches one transfer: tell it how much came in all, as often as you like."""

    def __init__(self, host: str, rate: Rate = SLOWEST, *, reads_bytes: int = 0) -> None:
        """`reads_bytes`: what may have to be read from a disk before anything can come."""
        self._host, self._least = host, rate.least_bytes
        self._window_s = rate.window_s + reads_bytes / READ_BYTES_PER_S
        self._bytes, self._at = 0, time.monotonic()

    def came(self, total_bytes: int) -> None:
        """See that it is not too slow.

        Raises:
            AnswerTimeout: less than the least came within the window.
        """
        now = time.monotonic()
        if total_bytes - self._bytes >= self._least:
            self._bytes, self._at = total_bytes, now
        elif now - self._at > self._window_s:
            raise AnswerTimeout(
                f"only {total_bytes - self._bytes} bytes came within {now - self._at:.0f} s",
                host=self._host,
                hint="what arrived stays; look at the link and the host, then call it again: it goes on",
            )

    def rest(self, seconds: float) -> None:
        """So long nobody asked for more."""
        self._at += seconds
