"""The GPUs of a host: is one in use by something other than a known job?"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from being_remote.pod.gpus import NO_DEVICES, NO_NVIDIA_SMI
from being_remote.pod_client.job_answers import LeasedGpu
from being_remote.safe_to_stop.reasons import Reason

# What nvidia-smi and `pod/gpus.py` say of a host without GPUs.
_NO_GPUS = (NO_NVIDIA_SMI, NO_DEVICES)


def has_no_gpus(problem: str | None) -> bool:
    """Whether the problem with the GPUs is that there are none.

    Example:
        >>> has_no_gpus("nvidia-smi ended with 6: No devices were found"), has_no_gpus(None)
        (True, False)
    """
    return problem is not None and any(text in problem for text in _NO_GPUS)


def gpu_reasons(
    gpus: Sequence[LeasedGpu], problem: str | None, at_work: Collection[str], workdir: str
) -> list[Reason]:
    """Why the GPUs speak against a stop.

    Args:
        gpus, problem: the host's answer.
        at_work: jobs that have not ended; they are reasons of their own.
        workdir: the folder of these jobs.
    """
    reasons = []
    if problem is not None and not has_no_gpus(problem):
        what = f"whether its GPUs are in use is unknown: {problem}"
        next_step = "run nvidia-smi on the host; if the driver is broken, the pod needs a restart"
        reasons.append(Reason("gpu", "unknown", what, next_step))
    for gpu in gpus:
        if gpu.job in at_work:
            continue
        if gpu.job is not None:
            whose = repr(gpu.job) if gpu.job else "a job"
            what = f"GPU {gpu.index} is leased by {whose}, which is not below {workdir!r}"
            next_step = "look for it with another `workdir`, or wait until it ends"
            reasons.append(Reason("gpu", "no", what, next_step))
        elif gpu.busy:
            memory = "?" if gpu.memory_used_mib is None else f"{gpu.memory_used_mib:,}"
            percent = "?" if gpu.utilization_percent is None else str(gpu.utilization_percent)
            what = (
                f"GPU {gpu.index} is busy ({memory} MiB, {percent} %) and no known job uses it:"
                " another person's process?"
            )
            reasons.append(Reason("gpu", "no", what, "run nvidia-smi on the host"))
        elif gpu.memory_used_mib is None and gpu.utilization_percent is None:
            what = f"whether GPU {gpu.index} is in use is unknown: nvidia-smi shows neither memory nor use"
            reasons.append(Reason("gpu", "unknown", what, "run nvidia-smi on the host"))
    return reasons
