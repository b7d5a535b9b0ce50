"""The memory and the CPUs that this process's cgroup allows; a container shows the machine's otherwise.

Version 2 has `memory.max` and `cpu.max`, version 1 `memory.limit_in_bytes` and `cpu.cfs_quota_us`. A limit of
a group above counts as well. Source: the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Tuple

TOP = "/sys/fs/cgroup"
OWN = "/proc/self/cgroup"
# Version 1 writes "no limit" as the largest multiple of a page.
_NO_LIMIT = 1 << 60


def find_limits() -> Dict[str, Any]:
    """{"memory_bytes": int or null, "cpus": float or null}; null: no limit, or none that can be read."""
    memory: List[int] = []
    cpus: List[float] = []
    for controllers, path in _groups():
        if controllers == "":
            memory += _numbers(_read(path, "memory.max"))[:1]
            cpus += _share(_numbers(_read(path, "cpu.max")))
        elif "memory" in controllers.split(","):
            memory += _numbers(_read(path, "memory.limit_in_bytes"))[:1]
        elif "cpu" in controllers.split(","):
            quota, period = _read(path, "cpu.cfs_quota_us"), _read(path, "cpu.cfs_period_us")
            cpus += _share(_numbers(quota) + _numbers(period))
    memory = [limit for limit in memory if limit < _NO_LIMIT]
    return {"memory_bytes": min(memory, default=None), "cpus": min(cpus, default=None)}


def _groups() -> Iterator[Tuple[str, str]]:
    """(controllers, folder) of our groups and of those above; version 2 names no controllers."""
    for line in _read(OWN, "").splitlines():
        parts = line.split(":", 2)
        if len(parts) != 3:
            continue
        controllers, group = parts[1], parts[2]
        # In a container the group's path may be the machine's; its own files are then at the top.
        top = TOP
        if controllers and os.path.isdir(os.path.join(TOP, controllers)):
            top = os.path.join(TOP, controllers)
        elif controllers:
            top = os.path.join(TOP, controllers.split(",")[0])
        path = os.path.normpath(top + "/" + group)
        while path.startswith(top):
            yield controllers, path
            if path == top:
                break
            path = os.path.dirname(path)


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name) if name else folder, encoding="ascii", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""


def _numbers(text: str) -> List[int]:
    """The numbers at the start of a text; none of "max" or -1."""
    found = []
    for word in text.split():
        if not (word.isascii() and word.isdigit() and len(word) < 20):
            break
        found.append(int(word))
    return found


def _share(numbers: List[int]) -> List[float]:
    """The CPUs of a quota and its period, both in microseconds; none without a limit."""
    return [round(numbers[0] / numbers[1], 2)] if len(numbers) == 2 and numbers[1] else []
