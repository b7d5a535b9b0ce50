"""How many processes of this container the kernel killed for want of memory.

Version 2 of cgroups counts them in `memory.events`, version 1 in `memory.oom_control`.
"""

from __future__ import annotations

import re
from typing import Optional

from being_remote.pod import cgroups

_COUNT = re.compile(r"^oom_kill ([0-9]{1,18})$", re.MULTILINE)


def count_oom_kills() -> Optional[int]:
    """The count so far, in our own cgroup; None where it cannot be read."""
    for version, folder in cgroups.find_folders("memory"):
        name = "memory.events" if version == 2 else "memory.oom_control"
        found = _COUNT.search(cgroups.read(f"{folder}/{name}"))
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
