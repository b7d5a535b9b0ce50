"""Processes by their numbers and start times, and how a payload is ended with all its processes.

Every process of an attempt carries MARK in its environment. Whoever takes over from a killed supervisor
finds them by it, and never mistakes another process of the same number for one of them. A process that
cleared its environment is found by its parents: a supervisor becomes the parent of what its payload
leaves behind (`adopt_orphans`), where the kernel can do that.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from typing import Any, Callable, Collection, Dict, List, NamedTuple, Optional, Set

MARK = "BEING_REMOTE_ATTEMPT"
_KILL_TIMEOUT_S = 10.0  # the kernel cannot end a process whose disk hangs
_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37  # linux/prctl.h


class ProcessStat(NamedTuple):
    """What /proc says of a process; `start` in ticks since boot."""

    parent: int
    group: int
    session: int
    start: int


def read_stat(pid: int) -> Optional[ProcessStat]:
    """The process of that number; None if it has ended, or there is no /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name may hold blanks and brackets; the fields after its last ")" do not.
            fields = file.read(4096).rpartition(b")")[2].split()
        if fields[0] in (b"Z", b"X"):
            return None
        return ProcessStat(int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))
    except (OSError, IndexError, ValueError):
        return None


def list_pids() -> List[int]:
    """The numbers of all processes; empty where there is no /proc."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def identify(pid: int) -> Dict[str, Any]:
    """A process as records name it."""
    stat = read_stat(pid)
    return {"pid": pid, "start": stat and stat.start}


def is_alive(identity: Any) -> Optional[bool]:
    """Whether the process that a record names still runs; None if that cannot be seen."""
    if not isinstance(identity, dict) or type(identity.get("pid")) is not int:
        return None
    start = identity.get("start")
    if type(start) is not int or not os.path.exists("/proc/self/stat"):
        return None
    stat = read_stat(identity["pid"])
    return stat is not None and stat.start == start


def mark_of(job: str, attempt: int) -> str:
    return f"{job}/{attempt}"


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends; nothing where the kernel cannot do it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(ours: Collection[Optional[int]]) -> None:
    """Collect the dead among adopted processes; those in `ours` are collected by whoever started them."""
    while _adopts_orphans():
        try:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if dead is None or dead.si_pid in ours:
            return
        os.waitpid(dead.si_pid, os.WNOHANG)


def find_marked(
    mark: str, group: Optional[int] = None, not_adopted: Optional[Collection[Optional[int]]] = None
) -> List[int]:
    """The living processes, except this one, that carry the mark or are in the process group; and all that
    descend from them, or from an adopted process.

    Not `killpg(group, 0)`: where process 1 reaps no children, as in many containers, dead processes stay
    in their group for ever.

    Args:
        not_adopted: our children that are no part of the payload; None: look for no adopted processes.
    """
    ours = os.getpid()
    parent = ours if not_adopted is not None and _adopts_orphans() else None
    found: Set[int] = set()
    children: Dict[int, List[int]] = {}
    for pid in list_pids():
        stat = read_stat(pid) if pid != ours else None
        if stat is None:
            continue
        children.setdefault(stat.parent, []).append(pid)
        adopted = stat.parent == parent and pid not in (not_adopted or ())
        if adopted or stat.group == group or read_mark(pid) == mark:
            found.add(pid)
    further = list(found)
    while further:
        below = [pid for pid in children.get(further.pop(), ()) if pid not in found]
        found.update(below)
        further += below
    return sorted(found)


def find_session(leader: Any, mark: str) -> List[int]:
    """The living processes of a payload's session, but for those that carry the mark of another attempt.

    While one of them lives, no other session gets its number. Once all have ended, another one may: it is
    told by a mark of its own, or while its leader lives. One whose leader has ended, too, and in which
    nothing carries a mark, is mistaken for the payload's.

    Args:
        leader: the payload, as a record of this boot has it.
    """
    if is_alive(leader) is None:
        return []
    pid, first = leader["pid"], read_stat(leader["pid"])
    if first is not None and first.start != leader["start"]:
        return []  # another process got its number: none of its session is left
    stats = ((each, read_stat(each)) for each in list_pids())
    marks = {each: read_mark(each) for each, stat in stats if stat is not None and stat.session == pid}
    if mark not in marks.values() and any(marks.values()):
        return []  # it is another attempt's as a whole
    return [each for each, found in marks.items() if found in (None, mark)]


def read_mark(pid: int) -> Optional[str]:
    """The mark that a process carries; None without one, or where that cannot be seen."""
    prefix = f"{MARK}=".encode()
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:  # it ended, or is another user's
        return None
    return next((os.fsdecode(w[len(prefix) :]) for w in words if w.startswith(prefix)), None)


def end_marked(mark: str, grace_s: float, find_others: Callable[[], List[int]] = list) -> bool:
    """End every process that carries the mark, and all that descend from one; False if one still lives.

    Args:
        find_others: finds processes that end with them.
    """
    seen: Dict[int, Optional[int]] = {}

    def living() -> List[int]:
        # A child that cleared its environment has another parent once its own was killed.
        for pid in [*find_marked(mark), *find_others()]:
            stat = read_stat(pid)
            seen[pid] = stat and stat.start
        return [pid for pid, start in seen.items() if is_alive({"pid": pid, "start": start})]

    def send(number: int) -> None:
        for pid in living():
            _kill(pid, number)

    return _end(living, send, grace_s)


def end_group(
    group: int,
    mark: str,
    reap: Callable[[], object],
    grace_s: float,
    not_adopted: Collection[Optional[int]] = (),
) -> bool:
    """End our own payload: its group, and the processes that left it; False if one still lives.

    Args:
        reap: collects our dead children.
        not_adopted: our children that are no part of the payload.
    """

    def living() -> List[int]:
        reap()
        if os.path.exists("/proc/self/stat"):
            return find_marked(mark, group, not_adopted)
        return _answering(group)

    def send(number: int) -> None:
        # The group is empty; some systems say so by PermissionError.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
        for pid in find_marked(mark, None, not_adopted):
            _kill(pid, number)

    return _end(living, send, grace_s)


def _end(living: Callable[[], List[int]], send: Callable[[int], None], grace_s: float) -> bool:
    """Send TERM, wait up to `grace_s`, then send KILL until none lives."""
    if living():
        send(signal.SIGTERM)
        _wait(living, grace_s)
    deadline = time.monotonic() + _KILL_TIMEOUT_S
    while living():
        if time.monotonic() > deadline:
            return False
        send(signal.SIGKILL)
        _wait(living, 0.2)
    return True


def _adopts_orphans() -> bool:
    answer = ctypes.c_int(0)
    try:
        asked = ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    except (OSError, AttributeError):
        return False
    return bool(asked == 0 and answer.value)


def _answering(group: int) -> List[int]:
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
