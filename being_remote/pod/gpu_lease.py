"""GPU leases by UUID: one lock file each, taken by the supervisor and inherited by its payload.

A job takes all the GPUs it needs or none, under one mutex, so none holds one GPU while it waits for another.
A GPU in use without a lease is busy: inside containers the driver reports no process ids that mean anything,
so memory and utilization decide. `gpus` reads them, `gpu_queue` says whose turn it is.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from being_remote.pod import locks
from being_remote.pod.gpus import Gpu, find_obstacle, gpus_text

# (UUIDs, descriptors of their locks)
Lease = Tuple[List[str], List[int]]


class NeverAvailable(Exception):
    """The job will not get the GPUs that it needs."""


class GpuOutlook(NamedTuple):
    """What a job finds: the UUIDs that it may take, why it waits if they are too few.

    `broken`: why too few can be used until somebody repairs them; None where only waiting is needed.
    """

    free: List[str]
    reason: str
    broken: Optional[str]


def with_leases(gpus: List[Gpu]) -> List[Gpu]:
    """The GPUs with `job`: the one that leases it, None without a lease, "" if unknown."""
    found = []
    for gpu in gpus:
        state, _, note = locks.probe_all(locks.gpu_locks(gpu["uuid"], make=False))
        job = note.get("job") if isinstance(note, dict) else None
        name = job if isinstance(job, str) and len(job) <= 80 else ""
        found.append(dict(gpu, job=name if state == "held" else None))
    return found


def find_leases(job: str) -> List[str]:
    """The lock files of the GPUs that are leased by a job at the moment."""
    found = []
    for path in locks.list_gpu_locks():
        state, _, note = locks.probe(path)
        if state == "held" and isinstance(note, dict) and note.get("job") == job:
            found.append(path)
    return found


def look_for(count: int, gpus: List[Gpu], problem: Optional[str]) -> GpuOutlook:
    """What a job that needs `count` GPUs finds in an answer of `GpuQuery`.

    Raises:
        NeverAvailable: there are fewer GPUs than needed, or no nvidia-smi.
    """
    obstacle, repairable = find_obstacle(gpus, problem, count)
    if obstacle is not None and not repairable:
        raise NeverAvailable(obstacle)
    if obstacle is not None:
        return GpuOutlook([], obstacle, obstacle)
    whole = [gpu for gpu in with_leases(gpus) if gpu["broken"] is None]
    idle = [gpu for gpu in whole if not gpu["busy"]]
    free = [gpu["uuid"] for gpu in idle if gpu["job"] is None]
    in_use = f"{len(idle) - len(free)} leased by other jobs, {len(whole) - len(idle)} busy"
    if len(gpus) > len(whole):
        in_use += f", {len(gpus) - len(whole)} broken"
    return GpuOutlook(free, f"waits for {count} of {gpus_text(len(gpus))}: {in_use}", None)


def lease(job: str, count: int, uuids: List[str]) -> Optional[Lease]:
    """Lease the first `count` of these GPUs that no job leases; None if they are too few."""
    gpus: List[str] = []
    taken: List[int] = []
    with locks.held(locks.queue_mutex()):
        for uuid in uuids:
            lock = locks.take_all(locks.gpu_locks(uuid))
            if lock is None:
                continue
            gpus.append(uuid)
            taken += lock
            if len(gpus) == count:
                for fd in taken:
                    locks.write_note(fd, {"job": job})
                return gpus, taken
        locks.release(taken)
    return None
