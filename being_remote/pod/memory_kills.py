"""How many processes of this container the kernel killed for want of memory.

Version 2 of cgroups counts them in `memory.events`, version 1 in `memory.oom_control`. Source: the kernel's
admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from __future__ import annotations

import re
from typing import List, Optional

TOP, OWN = "/sys/fs/cgroup", "/proc/self/cgroup"
_COUNT = re.compile(r"^oom_kill ([0-9]{1,18})$", re.MULTILINE)


def count_oom_kills() -> Optional[int]:
    """The count so far, in our own cgroup; None where it cannot be read."""
    for path in _counters():
        found = _COUNT.search(_read(path))
        if found:
            return int(found.group(1))
    return None


def explain_end(code: int, kills_before: Optional[int]) -> str:
    """How a process ended, in words: its exit code, negative for a signal, and whether memory was short.

    Args:
        kills_before: what `count_oom_kills` said before it started.
    """
    how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
    now = count_oom_kills()
    if kills_before is None or now is None:
        return how + (", possibly out of memory" if code == -9 else "")
    kills = now - kills_before
    what = "a process" if kills == 1 else f"{kills} processes"
    return f"{how}; out of memory: the kernel killed {what} of this pod" if kills > 0 else how


def _counters() -> List[str]:
    found = []
    for line in _read(OWN).splitlines():
        controllers, _, group = line.partition(":")[2].partition(":")
        group = group.rstrip("/")
        if controllers == "":
            folder, name = TOP, "memory.events"
        elif "memory" in controllers.split(","):
            folder, name = f"{TOP}/memory", "memory.oom_control"
        else:
            continue
        # In a container the group's path may be the machine's; its own files are then at the top.
        found += [f"{folder}{group}/{name}", f"{folder}/{name}"]
    return found


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""
