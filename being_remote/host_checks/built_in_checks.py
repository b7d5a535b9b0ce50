"""The built-in checks of rsync, Python, GPUs, locks and the disk, and the list of all built-in ones."""

from __future__ import annotations

import re
from dataclasses import dataclass

from being_remote.host_checks.host_check import CheckResult, HostCheck, OpenHost
from being_remote.host_checks.tracker_check import TrackerCheck
from being_remote.pod_client.host_facts import HostFacts

OLDEST_PYTHON = (3, 8)
LOW_DISK_BYTES = 5 << 30
# isdigit() is true of more than int() reads, and int() refuses long ones.
_COUNT = re.compile("[0-9]{1,12}")


@dataclass(frozen=True)
class GpuFacts:
    """One GPU by nvidia-smi; None is a value that it does not report."""

    index: int
    uuid: str
    name: str
    memory_total_mib: int | None
    memory_used_mib: int | None
    utilization_percent: int | None


class RsyncCheck:
    """Without rsync on the host, files travel in one stream."""

    def run(self, host: OpenHost) -> CheckResult:
        if rsync_version(host.facts) is not None:
            return CheckResult()
        why = host.facts.rsync.error or "unknown program"
        return CheckResult((f"no rsync ({why}): apt-get install rsync (until then: one stream)",))


class PythonCheck:
    """The Python that the inventory names runs our programs."""

    def run(self, host: OpenHost) -> CheckResult:
        python, facts, problems = host.host.python, host.facts, []
        if tuple(int(part) for part in re.findall(r"\d+", facts.python)[:2]) < OLDEST_PYTHON:
            problems.append(f"{python!r} is Python {facts.python}: set `python` to 3.8 or newer")
        if facts.numpy is None:
            problems.append(f"the inventory's python {python!r} has no numpy: only jobs that compute need it")
        return CheckResult(tuple(problems))


class GpuCheck:
    """As many GPUs as the inventory names, and a driver that answers."""

    def run(self, host: OpenHost) -> CheckResult:
        said, expected = host.facts.gpus, host.host.gpus
        gpus, unreadable = parse_gpus(said.out or "")
        problems = [f"nvidia-smi says {line!r}" for line in unreadable]
        if said.error is not None and not said.missing:
            problems.append(f"nvidia-smi: {said.error}: no GPU can be used")
        if expected is not None and expected > len(gpus):
            problems.append(f"the inventory names {expected} GPUs, the host has {len(gpus)}: correct `gpus`")
        return CheckResult(tuple(problems), ("no nvidia-smi, so no GPU",) if said.missing else ())


class LockCheck:
    """The folder of the jobs' locks is ours."""

    def run(self, host: OpenHost) -> CheckResult:
        if host.facts.locks is None:
            return CheckResult()
        return CheckResult(
            (f"{host.facts.locks}: remove it if you may; until then the jobs' locks lie in the home folder",)
        )


class DiskCheck:
    """The workdir, or the folder that it will be made in, can be written and has room."""

    def run(self, host: OpenHost) -> CheckResult:
        disk, workdir = host.facts.disk, str(host.host.workdir)
        problems = []
        if not disk.writable:
            problems.append(f"cannot write to {workdir!r}: choose another `workdir`")
        if disk.free_bytes is not None and disk.free_bytes < LOW_DISK_BYTES:
            problems.append(f"only {disk.free_bytes / 2**30:.1f} GiB free at {workdir!r}: make room")
        missing = f"{workdir!r} does not exist yet; it is made when first needed"
        return CheckResult(tuple(problems), () if disk.exists else (missing,))


# In the order in which `doctor` shows them.
BUILT_IN: tuple[HostCheck, ...] = (
    RsyncCheck(),
    PythonCheck(),
    GpuCheck(),
    LockCheck(),
    DiskCheck(),
    TrackerCheck(),
)


def rsync_version(facts: HostFacts) -> str | None:
    """Return the version of the host's rsync; None if it has none that we know."""
    found = re.match(r"rsync\s+version v?([0-9.]{1,20})", facts.rsync.out or "")
    return found[1] if found else None


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
