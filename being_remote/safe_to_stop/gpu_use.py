"""The GPUs of a host: does anybody use one without a job that explains it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from being_remote.pod_client.job_answers import LeasedGpu
from being_remote.safe_to_stop.reasons import Reason

# What nvidia-smi and `pod/lease.py` say where there is none.
_NONE = ("there is no nvidia-smi", "No devices were found")


def has_none(problem: str | None) -> bool:
    """Whether what is said of the GPUs is that there are none.

    Example:
        >>> has_none("nvidia-smi ended with 6: No devices were found"), has_none(None)
        (True, False)
    """
    return problem is not None and any(text in problem for text in _NONE)


def gpu_reasons(
    gpus: Sequence[LeasedGpu], problem: str | None, at_work: Collection[str], workdir: str
) -> list[Reason]:
    """Why the GPUs speak against a stop.

    Args:
        gpus, problem: what the host said of them.
        at_work: its jobs that have not ended; they are reasons of their own.
        workdir: where these jobs lie.
    """
    reasons = []
    if problem is not None and not has_none(problem):
        next_step = "look at nvidia-smi on the host; a driver in trouble needs the pod made anew"
        reasons.append(
            Reason("gpu", "unknown", f"whether its GPUs are in use is unknown: {problem}", next_step)
        )
    for gpu in gpus:
        if gpu.job in at_work:
            continue
        if gpu.job is not None:
            whose = repr(gpu.job) if gpu.job else "a job"
            what = f"GPU {gpu.index} is leased by {whose}, which does not lie below {workdir!r}"
            reasons.append(
                Reason("gpu", "no", what, "look for it with another `workdir`, or wait for its end")
            )
        elif gpu.busy:
            what = (
                f"GPU {gpu.index} is busy ({_use(gpu)}) and no job of ours uses it: somebody else's process?"
            )
            reasons.append(Reason("gpu", "no", what, "look at nvidia-smi on the host"))
        elif gpu.memory_used_mib is None and gpu.utilization_percent is None:
            what = f"whether GPU {gpu.index} is in use is unknown: nvidia-smi gives neither memory nor use"
            reasons.append(Reason("gpu", "unknown", what, "look at nvidia-smi on the host"))
    return reasons


def _use(gpu: LeasedGpu) -> str:
    memory = "?" if gpu.memory_used_mib is None else f"{gpu.memory_used_mib:,}"
    percent = "?" if gpu.utilization_percent is None else str(gpu.utilization_percent)
    return f"{memory} MiB, {percent} %"
