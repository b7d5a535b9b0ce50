"""Which GPUs does the host have, and does nvidia-smi work?"""

from __future__ import annotations

import re
from dataclasses import dataclass

from being_remote.host_checks.host_check import CheckResult, OpenHost

# isdigit() is true of more than int() reads, and int() refuses long ones.
_COUNT = re.compile("[0-9]{1,12}")
_NO_PROGRAM = "not there"  # as pod/host_facts.py says


@dataclass(frozen=True)
class GpuFacts:
    """One GPU by nvidia-smi; None is a value that it does not report."""

    index: int
    uuid: str
    name: str
    memory_total_mib: int | None
    memory_used_mib: int | None
    utilization_percent: int | None


class GpuCheck:
    """As many GPUs as the inventory names, and a driver that answers."""

    def run(self, host: OpenHost) -> CheckResult:
        said, expected = host.facts.gpus, host.host.gpus
        gpus, unreadable = parse_gpus(said.out or "")
        problems: list[str] = []
        notes: tuple[str, ...] = ()
        if said.error == _NO_PROGRAM:
            notes = ("no nvidia-smi, so no GPU",)
        elif said.error is not None:
            problems.append(f"nvidia-smi: {said.error}: no GPU can be used")
        problems += [f"nvidia-smi says {line!r}" for line in unreadable]
        if expected is not None and expected > len(gpus):
            problems.append(f"the inventory names {expected} GPUs, the host has {len(gpus)}: correct `gpus`")
        return CheckResult(tuple(problems), notes)


def parse_gpus(text: str) -> tuple[tuple[GpuFacts, ...], tuple[str, ...]]:
    """Return the GPUs of nvidia-smi's CSV, and the lines that are none.

    Example:
        >>> gpus, unreadable = parse_gpus("0, GPU-1f, NVIDIA A100-SXM4-80GB, 81920, 4, [N/A]\\nNo devices")
        >>> gpus[0].memory_total_mib, gpus[0].utilization_percent, unreadable
        (81920, None, ('No devices',))
    """
    gpus, unreadable = [], []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 6 or not _COUNT.fullmatch(fields[0]) or not fields[1].startswith(("GPU-", "MIG-")):
            unreadable.append(line[:200])
            continue
        numbers = [int(value) if _COUNT.fullmatch(value) else None for value in fields[3:]]
        gpus.append(GpuFacts(int(fields[0]), fields[1][:100], fields[2][:100], *numbers))
    return tuple(gpus), tuple(unreadable)
