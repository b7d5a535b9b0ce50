"""What nvidia-smi says of this host's GPUs: which are idle, busy, broken, or split by MIG.

`broken` is the reason why a GPU must not be used, or null. What the driver cannot read is not free: a GPU
whose memory is unreadable counts as broken. A GPU with MIG on is replaced by its instances, which have
UUIDs of their own; nvidia-smi shows no figures of a single instance, so a load that is not ours is not seen
there.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from typing import Any, Dict, List, Optional, Tuple

from being_remote.pod import client

FIELDS = "index,uuid,name,memory.total,memory.used,utilization.gpu"
QUERY = ["nvidia-smi", "--query-gpu=" + FIELDS, "--format=csv,noheader,nounits"]
MIG_MODE = ["nvidia-smi", "--query-gpu=uuid,mig.mode.current", "--format=csv,noheader"]
LIST = ["nvidia-smi", "-L"]
NO_NVIDIA_SMI = "no nvidia-smi found"
NO_DEVICES = "No devices were found"
UNREADABLE = "nvidia-smi shows neither its memory nor its use"
SMI_S = 15.0
BUSY_MIB = 1024  # an idle driver holds up to about 600 MiB for itself
BUSY_PERCENT = 20
_UUID = re.compile(r"(?:GPU|MIG)-[A-Za-z0-9-]{1,70}")
_COUNT = re.compile(r"[0-9]{1,9}")
# The driver does not measure it: no fault. All other words are one: [GPU is lost], [Unknown Error], ERR!
_UNMEASURED = ("[N/A]", "N/A", "[Not Supported]", "[Insufficient Permissions]")
_LISTED_GPU = re.compile(r"GPU [0-9]+: .*\(UUID: (GPU-[A-Za-z0-9-]{1,70})\)")
_LISTED_INSTANCE = re.compile(r"\s+MIG (\S{1,40})\s+Device\s+[0-9]+: \(UUID: (MIG-[^)]{1,100})\)")

Gpu = Dict[str, Any]


class GpuQuery:
    """nvidia-smi, started now and read later."""

    def __init__(self, argv: Optional[List[str]] = None) -> None:
        self._process: Optional[subprocess.Popen[bytes]] = None
        if shutil.which(QUERY[0]) is not None:
            self._process = subprocess.Popen(
                argv or QUERY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )

    def hangs(self) -> bool:
        """Whether it was killed and still does not end: the driver hangs."""
        return self._process is not None and self._process.poll() is None

    def answer(self) -> Tuple[List[Gpu], Optional[str]]:
        """(the GPUs and MIG instances it lists, why there may be more)."""
        out, problem = self.read()
        gpus, odd = parse(out)
        if any(gpu["utilization_percent"] is None and gpu["uuid"].startswith("GPU-") for gpu in gpus):
            # As with MIG on; not asked for otherwise, as it takes time.
            gpus = split_by_mig(gpus, GpuQuery(MIG_MODE).read()[0], GpuQuery(LIST).read()[0])
        return gpus, problem or (("nvidia-smi says: " + odd[0][:200]) if odd else None)

    def read(self) -> Tuple[str, Optional[str]]:
        """(what it printed, why that may not be all)."""
        if self._process is None:
            return "", NO_NVIDIA_SMI
        try:
            said, complaint = self._process.communicate(timeout=SMI_S)
        except subprocess.TimeoutExpired:
            client.end_below(self._process.pid)
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # a hung driver keeps it from dying
                self._process.communicate(timeout=1)
            return "", f"nvidia-smi gave no answer within {SMI_S:g} s"
        out, problem = said.decode("utf-8", "replace"), None
        if self._process.returncode != 0:
            last = (complaint or said).decode("utf-8", "replace").strip()[-200:]
            problem = f"nvidia-smi ended with {self._process.returncode}: {last}"
        return out, problem


def parse(text: str) -> Tuple[List[Gpu], List[str]]:
    """(GPUs, other lines) of nvidia-smi's CSV. What is not measured becomes None.

    Example:
        >>> gpus, _ = parse("0, GPU-1f, A100, 81920, 4, [N/A]\\n1, GPU-2e, A100, 81920, [GPU is lost], 0")
        >>> [(gpu["busy"], gpu["broken"]) for gpu in gpus]
        [(False, None), (False, 'nvidia-smi shows [GPU is lost]')]
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
                "broken": _fault(fields[2:], total, used, percent),
            }
        )
    return sorted(gpus, key=lambda g: g["index"]), odd


def split_by_mig(gpus: List[Gpu], modes: str, listed: str) -> List[Gpu]:
    """The GPUs, each one with MIG on replaced by its instances; one without a usable instance is broken.

    Args:
        modes: what `MIG_MODE` printed. listed: what `LIST` printed.
    """
    pairs = [[word.strip() for word in line.split(",")] for line in modes.splitlines()]
    enabled = {pair[0] for pair in pairs if len(pair) == 2 and pair[1] == "Enabled"}
    instances: Dict[str, List[Tuple[str, str]]] = {}
    parent = ""
    for line in listed.splitlines():
        gpu_line, instance = _LISTED_GPU.match(line), _LISTED_INSTANCE.match(line)
        if gpu_line:
            parent = gpu_line[1]
        elif instance:
            instances.setdefault(parent, []).append((instance[1], instance[2]))
    found: List[Gpu] = []
    for gpu in gpus:
        of_gpu = instances.get(gpu["uuid"], [])
        usable = [(profile, uuid) for profile, uuid in of_gpu if _UUID.fullmatch(uuid)]
        fault = gpu["broken"] if gpu["broken"] != UNREADABLE else None
        if not of_gpu and gpu["uuid"] not in enabled:
            found.append(gpu)
        elif fault or not usable:
            why = "its MIG instances have no UUIDs: needs driver 470" if of_gpu else "MIG is on, no instance"
            found.append(dict(gpu, busy=False, broken=fault or why))
        else:
            # What all of them use together bounds each one: little means that every one is idle.
            used = gpu["memory_used_mib"]
            idle = used if used is not None and used <= BUSY_MIB else None
            unmeasured = dict(gpu, memory_total_mib=None, memory_used_mib=idle, busy=False, broken=None)
            found += [
                dict(unmeasured, uuid=uuid, name=f"{gpu['name'][:150]} MIG {profile}")
                for profile, uuid in usable
            ]
    return found


def find_obstacle(gpus: List[Gpu], problem: Optional[str], count: int) -> Tuple[Optional[str], bool]:
    """(why a job cannot have `count` GPUs however long it waits, or None; whether a repair would help).

    Example:
        >>> find_obstacle(parse("0, GPU-1f, A100, 81920, 4, 0")[0], None, 2)
        ('it needs 2 GPUs, the pod has 1', False)
    """
    if count == 0:
        return None, False
    if problem == NO_NVIDIA_SMI:
        return f"it needs {gpus_text(count)}, but {NO_NVIDIA_SMI}", False
    whole = [gpu for gpu in gpus if gpu["broken"] is None]
    if len(whole) >= count:
        return None, False
    faults = [f"GPU {gpu['index']} is broken: {gpu['broken']}" for gpu in gpus if gpu["broken"] is not None]
    if problem is not None and NO_DEVICES not in problem:
        faults.append(problem)
    if faults:
        return f"it needs {gpus_text(count)}, {len(whole)} can be used: {'; '.join(faults)[:400]}", True
    return f"it needs {gpus_text(count)}, the pod has {len(gpus)}", False


def gpus_text(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"


def _fault(
    fields: List[str], total: Optional[int], used: Optional[int], percent: Optional[int]
) -> Optional[str]:
    """Why a GPU must not be used, by its name and its three figures."""
    words = [field for field in fields[1:] if not _COUNT.fullmatch(field) and field not in _UNMEASURED]
    if fields[0].startswith("[") and fields[0] not in _UNMEASURED:
        words.insert(0, fields[0])
    if words:
        return f"nvidia-smi shows {words[0][:60]}"
    # A GPU that shares the host's memory shows neither total nor used; then its use decides.
    return UNREADABLE if used is None and (percent is None or total is not None) else None
