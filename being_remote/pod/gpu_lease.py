"""GPU leases by UUID: one lock file each, one mutex for choosing, tickets for the order.

A ticket is a numbered file that its owner holds locked while it waits. Only the lowest living ticket may
choose, and it takes all the GPUs it needs or none, so no job overtakes another or holds one GPU while it
waits for another. A GPU in use without a lease is busy: inside containers the driver reports no process ids
that mean anything, so memory and utilization decide. `gpus` reads them.
"""

from __future__ import annotations

import os
import re
from typing import List, Optional, Tuple

from being_remote.pod import locks
from being_remote.pod.gpus import Gpu, GpuQuery, find_obstacle, gpus_text

_TICKET = re.compile(r"[0-9]{12}")


def with_leases(gpus: List[Gpu]) -> List[Gpu]:
    """The GPUs with `job`: the one that leases it, None without a lease, "" if unknown."""
    found = []
    for gpu in gpus:
        state, _, note = locks.probe(locks.gpu_lock(gpu["uuid"], make=False))
        job = note.get("job") if isinstance(note, dict) else None
        name = job if isinstance(job, str) and len(job) <= 80 else ""
        found.append(dict(gpu, job=name if state == "held" else None))
    return found


class NeverAvailable(Exception):
    """This pod will never have the GPUs that the job needs."""


class GpuQueue:
    """A place in the queue for `count` GPUs; held by a ticket that dies with its process."""

    def __init__(self, job: str, count: int) -> None:
        self._job, self._count = job, count
        self._folder = os.path.join(locks.folder(), "tickets")
        self._mutex = os.path.join(locks.folder(), "gpu.mutex")
        self.reason = "waits for a GPU"
        # Why too few GPUs can be used until somebody repairs them; None: unknown, or only waiting is needed.
        self.broken: Optional[str] = None
        self._query: Optional[GpuQuery] = None
        with locks.held(self._mutex):
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            self._number = max(self._living(), default=0) + 1
            self._path = self._ticket(self._number)
            fd = locks.take(self._path)
            assert fd is not None  # tickets are made and removed under the mutex only
            self._fd = fd

    def try_once(self) -> Optional[Tuple[List[str], List[int]]]:
        """(UUIDs, lock descriptors) of the GPUs, or None with `reason` set.

        Raises:
            NeverAvailable: there are fewer GPUs than needed, or no nvidia-smi.
        """
        if not self._is_next():
            self.broken = None
            return None
        if self._query is not None and self._query.hangs():
            return None  # a second one would hang, too
        # Not under the mutex: the driver may take long, and no other ticket may choose now anyway.
        self._query = GpuQuery()
        gpus, problem = self._query.answer()
        obstacle, repairable = find_obstacle(gpus, problem, self._count)
        if obstacle is not None and not repairable:
            raise NeverAvailable(obstacle)
        self.broken = obstacle
        if obstacle is not None:
            self.reason = obstacle
            return None
        whole = [gpu for gpu in gpus if gpu["broken"] is None]
        with locks.held(self._mutex):
            taken, leased = self._take([gpu["uuid"] for gpu in whole if not gpu["busy"]])
            if taken is not None:
                self._remove_ticket()
                return taken
        busy = sum(1 for gpu in whole if gpu["busy"])
        in_use = f"{leased} leased by other jobs, {busy} busy"
        if len(gpus) > len(whole):
            in_use += f", {len(gpus) - len(whole)} broken"
        self.reason = f"waits for {self._count} of {gpus_text(len(gpus))}: {in_use}"
        return None

    def leave(self) -> None:
        """Leave the queue."""
        with locks.held(self._mutex):
            self._remove_ticket()

    def _is_next(self) -> bool:
        with locks.held(self._mutex):
            before = [number for number in self._living() if number < self._number]
        if before:
            self.reason = f"waits for a GPU; {len(before)} before it"
        return not before

    def _take(self, uuids: List[str]) -> Tuple[Optional[Tuple[List[str], List[int]]], int]:
        """(the first free ones, or None if they are too few; how many others have leased)."""
        taken: List[Tuple[str, int]] = []
        leased = 0
        for uuid in uuids:
            fd = locks.take(locks.gpu_lock(uuid))
            if fd is None:
                leased += 1
                continue
            taken.append((uuid, fd))
            if len(taken) == self._count:
                for _, fd in taken:
                    locks.write_note(fd, {"job": self._job})
                return ([u for u, _ in taken], [f for _, f in taken]), leased
        for _, fd in taken:
            os.close(fd)
        return None, leased

    def _living(self) -> List[int]:
        """The numbers of the tickets in use; removes dead ones. Under the mutex."""
        living = []
        for name in os.listdir(self._folder):
            if not _TICKET.fullmatch(name):
                continue
            if locks.probe(os.path.join(self._folder, name))[0] == "held":
                living.append(int(name))
            else:
                os.unlink(os.path.join(self._folder, name))
        return living

    def _remove_ticket(self) -> None:
        os.unlink(self._path)
        os.close(self._fd)

    def _ticket(self, number: int) -> str:
        return os.path.join(self._folder, f"{number:012d}")
