"""The processes that inherited a lock from a process that has ended.

A payload's daemon that cleared its environment has no mark, and no parent of ours once its supervisor was
killed; but as long as it holds the job's lock it keeps the job from its end, and is found by that. So is one
that holds only the lease of a GPU.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import List, Optional, Set, Tuple

from being_remote.pod import locks, processes
from being_remote.pod.gpu_lease import find_leases

# As in "lock:  1: FLOCK  ADVISORY  WRITE 4711 00:2f:1234 0 EOF"; where 4711 took it, in a container 0 once
# that has ended. A probe's says READ.
_TAKEN = re.compile(rb"^lock:.* FLOCK +ADVISORY +WRITE +(-?\d+) ", re.MULTILINE)


def find_heirs(job: str) -> List[int]:
    """The processes that hold a lock of the job or of its GPUs, and did not get it from one that still lives.

    So a supervisor, whoever else takes the lock itself, and a payload whose supervisor lives are none of
    them. Empty where the kernel does not show who holds a lock.
    """
    heirs = _find_holders(locks.job_locks(job, make=False))
    # The name of the job in a lease may be that of the one before.
    others = (pid for pid in _find_holders(find_leases(job)) if pid not in heirs)
    return [*heirs, *(pid for pid in others if (processes.read_mark(pid) or job).split("/")[0] == job)]


def _find_holders(paths: List[str]) -> List[int]:
    files: Set[Tuple[int, int]] = set()
    for path in paths:
        with contextlib.suppress(OSError):
            info = os.stat(path)
            files.add((info.st_dev, info.st_ino))
    return [pid for pid in processes.list_pids() if _is_heir(pid, files)] if files else []


def _is_heir(pid: int, files: Set[Tuple[int, int]]) -> bool:
    with contextlib.suppress(OSError):  # it ended, or is another user's
        for fd in os.listdir(f"/proc/{pid}/fdinfo"):
            taker = _find_taker(pid, fd)
            # The file is looked at last: one on a network disk that hangs would hang us, too.
            if taker is not None and not _lives_since(taker, pid) and _file_of(pid, fd) in files:
                return True
    return False


def _find_taker(pid: int, fd: str) -> Optional[int]:
    """The process that took the exclusive lock of this descriptor; None if it has none."""
    try:
        with open(f"/proc/{pid}/fdinfo/{fd}", "rb") as file:
            taken = _TAKEN.search(file.read(65536))
    except OSError:  # it was closed
        return None
    return int(taken.group(1)) if taken else None


def _lives_since(taker: int, pid: int) -> bool:
    """Whether the taker lives; a younger process than the heir only got its number."""
    first, heir = processes.read_stat(taker), processes.read_stat(pid)
    return first is not None and heir is not None and first.start <= heir.start


def _file_of(pid: int, fd: str) -> Optional[Tuple[int, int]]:
    try:
        info = os.stat(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return None
    return info.st_dev, info.st_ino
