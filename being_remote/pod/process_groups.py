"""Ending a payload: its whole process group, and whatever of it left the group.

Every process of an attempt carries MARK in its environment, so that it is found again by whoever
comes after a supervisor that was killed, and is never mistaken for another one with its number.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Callable, List, Optional

MARK = "BEING_REMOTE_ATTEMPT"
_KILLED_S = 10.0  # a process that the kernel cannot end (its disk hangs) is not waited for longer


def mark_of(job: str, attempt: int) -> str:
    return f"{job}/{attempt}"


def marked(mark: str, group: Optional[int] = None) -> List[int]:
    """The living processes, ourselves aside, that carry the mark or are in the process group.

    Not `killpg(group, 0)`: where process 1 reaps nothing, as in many containers, the dead stay in
    their group for ever. Empty where there is no /proc.
    """
    wanted, found = (f"{MARK}={mark}").encode(), []
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in names:
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                state, _, its_group = file.read(4096).rpartition(b")")[2].split()[:3]
            if state in (b"Z", b"X"):
                continue
            if int(its_group) != group:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if wanted not in file.read().split(b"\0"):
                        continue
            found.append(int(name))
        except (OSError, ValueError):
            continue  # it ended, or is another user's
    return found


def end(living: Callable[[], List[int]], send: Callable[[int], None], grace_s: float) -> bool:
    """TERM, up to `grace_s` of patience, then KILL until nobody lives. False if somebody still does."""
    if living():
        send(signal.SIGTERM)
        _wait(living, grace_s)
    deadline = time.monotonic() + _KILLED_S
    while living():
        if time.monotonic() > deadline:
            return False
        send(signal.SIGKILL)
        _wait(living, 0.2)
    return True


def end_marked(mark: str, grace_s: float) -> bool:
    """End every process that carries the mark; for attempts whose supervisor is gone."""

    def send(number: int) -> None:
        for pid in marked(mark):
            _kill(pid, number)

    return end(lambda: marked(mark), send, grace_s)


def end_group(group: int, mark: str, reap: Callable[[], object], grace_s: float) -> bool:
    """End our own payload: its group and the marked ones that left it. `reap` collects our dead child."""

    def living() -> List[int]:
        reap()
        return marked(mark, group) if os.path.exists("/proc/self/stat") else _answers(group)

    def send(number: int) -> None:
        # Nobody is in it any more; on some systems that is said of a dead one, too.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
        for pid in marked(mark):
            _kill(pid, number)

    return end(living, send, grace_s)


def _answers(group: int) -> List[int]:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return []
    return [group]


def _wait(living: Callable[[], List[int]], seconds: float) -> None:
    deadline, pause = time.monotonic() + seconds, 0.005
    while living() and time.monotonic() < deadline:
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(pause * 1.5, 0.1)


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
        os.kill(pid, number)
