"""What `pod/host_facts.py` answered: checked field by field, then put into sentences.

Nothing a pod says is believed beyond its type and size. Each problem says what to do about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from being_remote.foreign_text import one_line
from being_remote.inventory import LocalHost, SshHost
from being_remote.strict_model import StrictModel
from being_remote.tracker.layout import CHECKOUT_FILES, CHECKOUT_MODULES

LOW_DISK_BYTES = 5 << 30
# isdigit() is true of more than int() reads, and int() refuses long ones.
_COUNT = re.compile("[0-9]{1,12}")


@dataclass(frozen=True)
class GpuFacts:
    """One GPU as nvidia-smi sees it; None is what it would not say."""

    index: int
    uuid: str
    name: str
    memory_total_mib: int | None
    memory_used_mib: int | None
    utilization_percent: int | None


@dataclass(frozen=True)
class TrackerCheck:
    """The tracker's checkout: which files are missing, and what its interpreter has."""

    root: str
    exists: bool
    missing_files: tuple[str, ...]
    python: str | None
    modules: dict[str, str | None]
    cuda: bool | None
    ffmpeg: bool


# What the host said went wrong: shown in a row that names the host.
_Problem = Annotated[str, Field(max_length=2_000), AfterValidator(one_line)]
_Version = Annotated[str, Field(max_length=100), AfterValidator(one_line)]


class _ToolOutput(StrictModel):
    out: str | None = Field(max_length=20_000)
    error: _Problem | None


class _Disk(StrictModel):
    exists: bool
    free_bytes: int | None = Field(ge=0, le=1 << 62)
    writable: bool


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
    gpus: _ToolOutput
    locks: str | None = Field(max_length=1_000)
    disk: _Disk
    tracker: _TrackerAnswer | None


def parse_gpus(text: str) -> tuple[tuple[GpuFacts, ...], tuple[str, ...]]:
    """(GPUs, lines that make no sense) of nvidia-smi's CSV.

    Example:
        >>> gpus, odd = parse_gpus("0, GPU-1f, NVIDIA A100-SXM4-80GB, 81920, 4, [N/A]\\nNo devices")
        >>> gpus[0].memory_total_mib, gpus[0].utilization_percent, odd
        (81920, None, ('No devices',))
    """
    gpus, odd = [], []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 6 or not _COUNT.fullmatch(fields[0]) or not fields[1].startswith(("GPU-", "MIG-")):
            odd.append(line[:200])
            continue
        numbers = [int(value) if _COUNT.fullmatch(value) else None for value in fields[3:]]
        gpus.append(GpuFacts(int(fields[0]), fields[1][:100], fields[2][:100], *numbers))
    return tuple(gpus), tuple(odd)


def rsync_version(answer: HostFacts) -> str | None:
    """The version of the host's rsync; None if there is none that we know."""
    found = re.match(r"rsync\s+version v?([0-9.]{1,20})", answer.rsync.out or "")
    return found[1] if found else None


def problems_of(host: SshHost | LocalHost, answer: HostFacts) -> list[str]:
    """What is missing or wrong on the host, one sentence each."""
    found = []
    gpus, odd = parse_gpus(answer.gpus.out or "")
    if rsync_version(answer) is None:
        found.append(
            f"no rsync ({answer.rsync.error or 'of a kind we know'}): apt-get install rsync"
            " (till then: one stream)"
        )
    if tuple(int(part) for part in re.findall(r"\d+", answer.python)[:2]) < (3, 8):
        found.append(f"{host.python!r} is Python {answer.python}; set `python` to a 3.8 or newer")
    if answer.numpy is None:
        found.append(
            f"the inventory's python {host.python!r} has no numpy: only jobs that compute there need it"
        )
    if answer.gpus.error not in (None, "not there"):
        found.append(f"nvidia-smi: {answer.gpus.error}: no GPU can be used")
    found += [f"nvidia-smi says {line!r}" for line in odd]
    if answer.locks is not None:
        found.append(f"{answer.locks}: remove it if you may; the jobs' locks are in the home folder instead")
    if not answer.disk.writable:
        found.append(f"{str(host.workdir)!r} cannot be written: choose another `workdir`")
    if answer.disk.free_bytes is not None and answer.disk.free_bytes < LOW_DISK_BYTES:
        found.append(
            f"only {answer.disk.free_bytes / 2**30:.1f} GiB free at {str(host.workdir)!r}: make room"
        )
    if host.gpus is not None and host.gpus > len(gpus):
        found.append(f"the inventory counts on {host.gpus} GPUs, there are {len(gpus)}: correct `gpus`")
    tracker = tracker_of(host, answer)
    if tracker is not None and answer.tracker is not None:
        found += _tracker_problems(host, answer.tracker, tracker)
    return found


def notes_of(host: SshHost | LocalHost, answer: HostFacts) -> list[str]:
    """What is worth knowing and needs nothing done."""
    notes = []
    if not answer.disk.exists:
        notes.append(f"{str(host.workdir)!r} is not there yet; it is made when first needed")
    if answer.gpus.error == "not there":
        notes.append("no nvidia-smi, so no GPU")
    return notes


def tracker_of(host: SshHost | LocalHost, answer: HostFacts) -> TrackerCheck | None:
    """The checkout as a row carries it; None where there is none to look at."""
    found = answer.tracker
    if found is None or host.tracker is None:
        return None
    python = found.python
    return TrackerCheck(
        root=str(host.tracker.root),
        exists=found.exists,
        missing_files=tuple(name for name in found.missing if name in CHECKOUT_FILES),
        python=python.version if python else None,
        modules={name: python.modules.get(name) if python else None for name in CHECKOUT_MODULES},
        cuda=python.cuda if python else None,
        ffmpeg=answer.ffmpeg is None,
    )


def _tracker_problems(host: SshHost | LocalHost, answer: _TrackerAnswer, found: TrackerCheck) -> list[str]:
    assert host.tracker is not None
    interpreter = host.tracker.python
    if not found.exists:
        return [
            f"no folder {found.root!r}: correct `tracker.root`, or {CHECKOUT_FILES['tracker.py']}, or bring a"
            f" checkout from this laptop: push --host {host.name} --tracker DIR"
        ]
    problems = [f"{found.root}/{name} is missing: {CHECKOUT_FILES[name]}" for name in found.missing_files]
    if answer.python is None:
        why = answer.error or "no answer"
        return [*problems, f"the tracker's {interpreter!r} does not run ({why}): correct `tracker.python`"]
    problems += [
        f"{interpreter!r} has no {name}: install it into the tracker's environment"
        for name, version in found.modules.items()
        if version is None
    ]
    if answer.python.error:
        problems.append(f"{interpreter!r} cannot import torch: mend it: {answer.python.error[:200]}")
    elif found.cuda is False:
        problems.append(f"torch of {interpreter!r} sees no CUDA: install a CUDA build, check the driver")
    if not found.ffmpeg:
        problems.append("no ffmpeg: apt-get install ffmpeg; the tracker cuts the video into frames with it")
    return problems
