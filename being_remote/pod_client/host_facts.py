"""The answer of `pod/host_facts.py`: bounded, and made safe to show."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from being_remote.foreign_text import one_line
from being_remote.pod_client.job_answers import GpuFacts
from being_remote.strict_model import StrictModel

_Problem = Annotated[str, Field(max_length=2_000), AfterValidator(one_line)]
_Version = Annotated[str, Field(max_length=100), AfterValidator(one_line)]


class _ToolOutput(StrictModel):
    out: str | None = Field(max_length=20_000)
    error: _Problem | None


class _Disk(StrictModel):
    exists: bool
    free_bytes: int | None = Field(ge=0, le=1 << 62)
    free_files: int | None = Field(ge=0, le=1 << 62)
    writable: bool


class ContainerLimits(StrictModel):
    """What the host's cgroup allows; None: no limit, or none that can be read."""

    memory_bytes: int | None = Field(ge=0, le=1 << 62)
    cpus: float | None = Field(ge=0, le=1e6, allow_inf_nan=False)


class _TrackerPython(StrictModel):
    version: _Version
    modules: dict[str, str | None] = Field(max_length=20)
    cuda: bool | None
    error: _Problem | None


class _TrackerAnswer(StrictModel):
    exists: bool
    missing: list[str] = Field(max_length=100)
    python: _TrackerPython | None
    error: _Problem | None


class HostFacts(StrictModel):
    """What `pod/host_facts.py` prints."""

    python: _Version
    numpy: _Version | None
    rsync: _ToolOutput
    ffmpeg: str | None = Field(max_length=1_000)
    gpus: tuple[GpuFacts, ...] = Field(max_length=64, strict=False)
    gpu_problem: _Problem | None
    limits: ContainerLimits
    locks: str | None = Field(max_length=1_000)
    disk: _Disk
    tracker: _TrackerAnswer | None
