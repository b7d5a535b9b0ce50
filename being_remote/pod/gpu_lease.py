"""GPU leases by UUID: one lock file each, one mutex for choosing, tickets for the order.

A ticket is a numbered file that its owner holds locked while it waits. Only the lowest living ticket may
choose, and it takes all the GPUs it needs or none, so no job overtakes another or holds one GPU while it
waits for another. A GPU in use without a lease is busy: inside containers the driver reports no process ids
that mean anything, so memory and utilization decide.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from typing import Any, Dict, List, Optional, Tuple

from being_remote.pod import client, locks

FIELDS = "index,uuid,name,memory.total,memory.used,utilization.gpu"
QUERY = ["nvidia-smi", "--query-gpu=" + FIELDS, "--format=csv,noheader,nounits"]
NO_NVIDIA_SMI = "no nvidia-smi found"
SMI_S = 15.0
BUSY_MIB = 1024  # an idle driver holds up to about 600 MiB for itself
BUSY_PERCENT = 20
_UUID = re.compile(r"GPU-[A-Za-z0-9-]{1,70}")
_COUNT = re.compile(r"[0-9]{1,9}")
_TICKET = re.compile(r"[0-9]{12}")

Gpu = Dict[str, Any]


class GpuQuery:
    """nvidia-smi, started now and read later."""

    def __init__(self) -> None:
        self._process: Optional[subprocess.Popen[bytes]] = None
        if shutil.which(QUERY[0]) is not None:
            self._process = subprocess.Popen(
                QUERY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )

    def hangs(self) -> bool:
        """Whether it was killed and still does not end: the driver hangs."""
        return self._process is not None and self._process.poll() is None

    def answer(self) -> Tuple[List[Gpu], Optional[str]]:
        """(the GPUs it lists, why there may be more)."""
        if self._process is None:
            return [], NO_NVIDIA_SMI
        try:
            out, err = self._process.communicate(timeout=SMI_S)
        except subprocess.TimeoutExpired:
            client.end_below(self._process.pid)
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # a hung driver keeps it from dying
                self._process.communicate(timeout=1)
            return [], f"nvidia-smi gave no answer within {SMI_S:g} s"
        gpus, odd = parse(out.decode("utf-8", "replace"))
        if self._process.returncode != 0:
            last = (err or out).decode("utf-8", "replace").strip()[-200:]
            return gpus, f"nvidia-smi ended with {self._process.returncode}: {last}"
        return gpus, ("nvidia-smi says: " + odd[0][:200]) if odd else None


def parse(text: str) -> Tuple[List[Gpu], List[str]]:
    """(GPUs, other lines) of nvidia-smi's CSV. "[N/A]" and the like become None.

    Example:
        >>> parse("0, GPU-1f, NVIDIA A100, 81920, 4, [N/A]")[0][0]["busy"]
        False
    """
    gpus, odd = [], []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 6 or not _COUNT.fullmatch(fields[0]) or not _UUID.fullmatch(fields[1]):
            odd.append(line)
            continue
        total, used, percent = (int(f) if _COUNT.fullmatch(f) else None for f in fields[3:])
        gpus.append(
            {
                "index": int(fields[0]),
                "uuid": fields[1],
                "name": fields[2][:200],
                "memory_total_mib": total,
                "memory_used_mib": used,
                "utilization_percent": percent,
                "busy": (used or 0) > BUSY_MIB or (percent or 0) > BUSY_PERCENT,
            }
        )
    return sorted(gpus, key=lambda g: g["index"]), odd


def with_leases(gpus: List[Gpu]) -> List[Gpu]:
    """The GPUs with `job`: the one that leases it, None without a lease, "" if unknown."""
    found = []
    for gpu in gpus:
        state, _, note = locks.probe(locks.gpu_lock(gpu["uuid"], make=False))
        job = note.get("job") if isinstance(note, dict) else None
        name = job if isinstance(job, str) and len(job) <= 80 else ""
        found.append(dict(gpu, job=name if state == "held" else None))
    return found


def _gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"


class NeverAvailable(Exception):
    """This pod will never have the GPUs that the job needs."""


class GpuQueue:
    """A place in the queue for `count` GPUs; held by a ticket that dies with its process."""

    def __init__(self, job: str, count: int) -> None:
        self._job, self._count = job, count
        self._folder = os.path.join(locks.folder(), "tickets")
        self._mutex = os.path.join(locks.folder(), "gpu.mutex")
        self.reason = "waits for a GPU"
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
            return None
        if self._query is not None and self._query.hangs():
            return None  # a second one would hang, too
        # Not under the mutex: the driver may take long, and no other ticket may choose now anyway.
        self._query = GpuQuery()
        gpus, problem = self._query.answer()
        if problem is None and len(gpus) < self._count:
            raise NeverAvailable(f"it needs {_gpus(self._count)}, the pod has {len(gpus)}")
        if problem == NO_NVIDIA_SMI:
            raise NeverAvailable(f"it needs {_gpus(self._count)}, but {NO_NVIDIA_SMI}")
        with locks.held(self._mutex):
            taken, leased = self._take([gpu["uuid"] for gpu in gpus if not gpu["busy"]])
            if taken is not None:
                self._remove_ticket()
                return taken
        busy = sum(1 for gpu in gpus if gpu["busy"])
        in_use = f"{leased} leased by other jobs, {busy} busy"
        self.reason = problem or f"waits for {self._count} of {_gpus(len(gpus))}: {in_use}"
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
