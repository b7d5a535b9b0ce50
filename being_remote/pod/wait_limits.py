"""When a job stops waiting for its GPUs, by the pod's monotonic clock: the laptop may sleep."""

from __future__ import annotations

import time
from typing import Optional

# A driver that is reset, or that is slow for a moment, answers again within this time.
BROKEN_S = 120.0


class WaitLimits:
    """The limits of one wait.

    Args:
        wait_s: the job's own limit, `--wait-at-most`; None: none.
        since: when it began, by the monotonic clock of this boot; None: now.
    """

    def __init__(self, wait_s: Optional[float], since: Optional[float] = None) -> None:
        self._wait_s = wait_s
        self._started = time.monotonic() if since is None else since
        self._broken_since: Optional[float] = None

    def find_exceeded(self, broken: Optional[str], reason: str) -> Optional[str]:
        """Why the wait is over, or None.

        Args:
            broken: why too few GPUs can be used until somebody repairs them, or None.
            reason: what the job waits for.
        """
        now = time.monotonic()
        if broken is None:
            self._broken_since = None
        elif self._broken_since is None:
            self._broken_since = now
        if self._broken_since is not None and now - self._broken_since >= BROKEN_S:
            return f"{broken} (for {BROKEN_S:g} s); it was not started"
        if self._wait_s is not None and now - self._started >= self._wait_s:
            return f"not started: it waited {self._wait_s:g} s, its limit; {reason}"
        return None
