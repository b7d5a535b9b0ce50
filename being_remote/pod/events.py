"""Sleeping until something happens: a child ended, somebody sent TERM to wake us, or time passed."""

from __future__ import annotations

import os
import select
import signal


class Events:
    """Wakes on SIGCHLD and SIGTERM. TERM is only a knock: what is asked stands in the job's folder."""

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
