"""The built-in checks of rsync, Python, GPUs, locks and the disk, and the list of all built-in ones."""

from __future__ import annotations

import re

from being_remote.host_checks.host_check import CheckResult, HostCheck, JobNeeds, OpenHost
from being_remote.host_checks.tracker_check import FfmpegCheck, TrackerCheck
from being_remote.pod.gpus import NO_NVIDIA_SMI, find_obstacle
from being_remote.pod_client.host_facts import HostFacts

OLDEST_PYTHON = (3, 8)
LOW_DISK_BYTES = 5 << 30
FULL_DISK_BYTES = 256 << 20  # a tracking writes more than that
_REPAIR = "restart the pod, or use another one"


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
    """As many GPUs as the inventory names, none of them broken, and a driver that answers."""

    def run(self, host: OpenHost) -> CheckResult:
        gpus, problem, expected = host.facts.gpus, host.facts.gpu_problem, host.host.gpus
        none = problem == NO_NVIDIA_SMI
        problems = [f"GPU {gpu.index} is broken: {gpu.broken}; {_REPAIR}" for gpu in gpus if gpu.broken]
        if problem is not None and not none:
            problems.append(f"{problem}; {_REPAIR}" if not gpus else problem)
        if expected is not None and expected > len(gpus):
            problems.append(f"the inventory names {expected} GPUs, the host has {len(gpus)}: correct `gpus`")
        return CheckResult(tuple(problems), ("no nvidia-smi, so no GPU",) if none else ())

    def find_obstacles(self, host: OpenHost, needs: JobNeeds) -> tuple[str, ...]:
        gpus = [gpu.model_dump() for gpu in host.facts.gpus]
        obstacle, repairable = find_obstacle(gpus, host.facts.gpu_problem, needs.gpus)
        if obstacle is None:
            return ()
        return (f"{obstacle}; {_REPAIR}" if repairable else obstacle,)


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
        problems = self._find_faults(host)
        if not problems and disk.free_bytes is not None and disk.free_bytes < LOW_DISK_BYTES:
            problems = (f"only {disk.free_bytes / 2**30:.1f} GiB free at {workdir!r}: make room",)
        missing = f"{workdir!r} does not exist yet; it is made when first needed"
        return CheckResult(problems, () if disk.exists else (missing,))

    def find_obstacles(self, host: OpenHost, needs: JobNeeds) -> tuple[str, ...]:
        return self._find_faults(host)

    def _find_faults(self, host: OpenHost) -> tuple[str, ...]:
        disk, workdir = host.facts.disk, str(host.host.workdir)
        faults = []
        if not disk.writable:
            faults.append(f"cannot write to {workdir!r}: choose another `workdir`")
        if disk.free_bytes is not None and disk.free_bytes < FULL_DISK_BYTES:
            faults.append(f"disk full at {workdir!r}: {disk.free_bytes >> 20} MiB free; make room")
        elif disk.free_files == 0:
            faults.append(f"disk full at {workdir!r}: no file can be made on it; remove some")
        return tuple(faults)


# In the order in which `doctor` shows them.
BUILT_IN: tuple[HostCheck, ...] = (
    RsyncCheck(),
    PythonCheck(),
    GpuCheck(),
    LockCheck(),
    DiskCheck(),
    TrackerCheck(),
    FfmpegCheck(),
)


def rsync_version(facts: HostFacts) -> str | None:
    """Return the version of the host's rsync; None if it has none that we know."""
    found = re.match(r"rsync\s+version v?([0-9.]{1,20})", facts.rsync.out or "")
    return found[1] if found else None
