"""Reasons against stopping a host, and what else the report shows. Values only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from being_remote.pod.job_states import JobState
from being_remote.safe_to_stop.host_files import HostFile
from being_remote.wording import describe_files, examples_of


@dataclass(frozen=True)
class Reason:
    """One reason: `verdict` is "no" for a known loss or a job at work, else "unknown"."""

    about: Literal["files", "jobs", "gpu", "host"]
    verdict: Literal["no", "unknown"]
    what: str
    next: str


@dataclass(frozen=True)
class NotLocal:
    """Files of a host whose bytes are not local; the first few by name."""

    count: int = 0
    bytes: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class ActorRow:
    """What the host holds of one actor, and how much of it is not local."""

    actor: str
    files: int
    bytes: int
    not_home: NotLocal


@dataclass(frozen=True)
class JobResults:
    """A job on the host, and how many of the files that count are not local."""

    job: str
    attempt: int
    state: JobState
    ours: bool
    files: int = 0
    bytes: int = 0
    not_home: NotLocal = field(default_factory=NotLocal)


@dataclass(frozen=True)
class Findings:
    """Reasons, remarks and rows of one part of a check."""

    reasons: Sequence[Reason] = ()
    notes: Sequence[str] = ()
    actors: Sequence[ActorRow] = ()
    jobs: Sequence[JobResults] = ()


def join_findings(parts: Iterable[Findings]) -> Findings:
    """All parts as one; a reason that several give is kept once."""
    parts = list(parts)
    return Findings(
        tuple(dict.fromkeys(reason for part in parts for reason in part.reasons)),
        tuple(note for part in parts for note in part.notes),
        tuple(row for part in parts for row in part.actors),
        tuple(row for part in parts for row in part.jobs),
    )


def count_files(files: Sequence[HostFile]) -> NotLocal:
    """How many, their bytes, and the first few by name."""
    examples = examples_of([file.path for file in files])
    return NotLocal(examples.count, sum(file.bytes for file in files), examples.examples)


def describe(files: Sequence[HostFile]) -> str:
    """How many, and the first few by name."""
    return describe_files([file.path for file in files])


def unread_reason(
    about: Literal["files", "jobs"], files: Sequence[HostFile], whose: str, host: str
) -> list[Reason]:
    """Files that the host could not hash."""
    if not files:
        return []
    what = f"{describe(files)} {whose} could not be read, or changed during the check"
    return [Reason(about, "unknown", what, f"check them on {host}, then try again")]
