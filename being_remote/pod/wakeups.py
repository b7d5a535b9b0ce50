"""Waits that end early when a child ends or somebody sends TERM to wake us."""

from __future__ import annotations

import os
import select
import signal


class Wakeups:
    """Ends a wait on SIGCHLD and SIGTERM. TERM only wakes: the job's folder says what is asked."""

    def __init__(self) -> None:
        self._wake, to = os.pipe()
        for fd in (self._wake, to):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(to, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or as soon as something happened since the last call."""
        if select.select([self._wake], [], [], max(0.0, seconds))[0]:
            os.read(self._wake, 4096)
