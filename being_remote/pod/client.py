"""Runs on the pod: ends a read-only program, and all that it started, when its client disconnects.

sshd sends no signal then: it closes the command's pipes. A program that waits for a disk or a driver writes
nothing, so would not notice for hours.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import threading
from typing import Dict, List

from being_remote.pod import processes

_ROUNDS = 10


def end_with_client() -> None:
    """From now on, end as soon as stdout is closed; what we started ends with us in any case."""
    atexit.register(end_below, os.getpid())
    threading.Thread(target=_watch, daemon=True).start()


def end_below(pid: int) -> None:
    """Kill all processes below this one. Does nothing where there is no /proc."""
    for _ in range(_ROUNDS):  # one may have started another meanwhile
        living = _below(pid)
        if not living:
            return
        for one in living:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(one, signal.SIGKILL)


def _watch() -> None:
    poll = select.poll()
    poll.register(1, 0)  # only the event that the other end was closed
    poll.poll()
    end_below(os.getpid())
    os._exit(1)


def _below(pid: int) -> List[int]:
    """Return the living processes below this one."""
    children: Dict[int, List[int]] = {}
    for child in processes.list_pids():
        stat = processes.read_stat(child)
        if stat is not None:
            children.setdefault(stat.parent, []).append(child)
    found, left = [], [pid]
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found
