"""The memory and the CPUs that this process's cgroup allows; a container shows the machine's otherwise.

Version 2 has `memory.max` and `cpu.max`, version 1 `memory.limit_in_bytes` and `cpu.cfs_quota_us`. A limit of
a group above counts as well.
"""

from __future__ import annotations

from typing import Any, Dict, List

from being_remote.pod import cgroups

# Version 1 writes "no limit" as the largest multiple of a page.
_NO_LIMIT = 1 << 60


def find_limits() -> Dict[str, Any]:
    """{"memory_bytes": int or null, "cpus": float or null}; null: no limit, or none that can be read."""
    memory: List[int] = []
    cpus: List[float] = []
    for version, folder in cgroups.find_folders("memory"):
        name = "memory.max" if version == 2 else "memory.limit_in_bytes"
        memory += _numbers(cgroups.read(f"{folder}/{name}"))[:1]
    for version, folder in cgroups.find_folders("cpu"):
        names = ("cpu.max",) if version == 2 else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        cpus += _share([number for name in names for number in _numbers(cgroups.read(f"{folder}/{name}"))])
    memory = [limit for limit in memory if limit < _NO_LIMIT]
    return {"memory_bytes": min(memory, default=None), "cpus": min(cpus, default=None)}


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
