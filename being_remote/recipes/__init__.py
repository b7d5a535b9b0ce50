"""Recipes: how one kind of job is prepared, started, measured, judged and finished.

The one place where jobs and the tracker meet. A recipe turns what a person asked for and what one
look at the host told (`Request`, facts) into a `JobPlan`: the parts of the job's spec, the files that
travel with it, and what a person should know beforehand. Planning is pure: nothing is written,
here or there, and the same request and facts give the same plan, byte by byte.

The words of its steps may hold the placeholders of `jobs.spec.Step`, filled in on the pod.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from being_remote.inventory import Actor, LocalHost, SshHost
from being_remote.jobs.spec import CommandStep, FileProgress, JobSpec, WorkFolder
from being_remote.session import Session
from being_remote.tracker.settings import SettingChange

__all__ = [
    "CarriedFiles",
    "CommandStep",
    "FileProgress",
    "JobPlan",
    "LastJob",
    "Recipe",
    "Request",
    "RunVerdict",
    "WorkFolder",
]

GRACE_S = 20.0


@dataclass(frozen=True)
class LastJob:
    """An earlier job of the actor and all its settings."""

    job: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """What a person asked for.

    Attributes:
        host: where it is to run.
        actor: whom it is about; a command needs none.
        preset: a name of `tracker.presets.PRESETS`.
        overrides: "KEY=VALUE" each, the value in YAML, as typed after `--set`.
        words: the command line, for the recipe `command`.
        gpus: how many it needs; None: as many as the recipe usually takes.
        wall_s, stall_s: seconds after which it is ended: in all, and without a new frame.
        own_settings: the bytes of the actor's settings file as it came home, if it did; the host's counts.
        own_box: the actor's bbox.pt, x_min, x_max, y_min, y_max, if known here; only for the notes,
            and only where the host has none.
        last_job: the actor's newest job of this recipe that succeeded.
        settings: all of them, of a job that moves to another host; nothing else decides about them then.
        frames: how many that job was to track, if that was known.
    """

    host: SshHost | LocalHost
    actor: Actor | None = None
    preset: str | None = None
    overrides: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    gpus: int | None = None
    wall_s: float | None = None
    stall_s: float | None = None
    own_settings: bytes | None = None
    own_box: tuple[int, int, int, int] | None = None
    last_job: LastJob | None = None
    settings: Mapping[str, Any] | None = None
    frames: int | None = None


@dataclass(frozen=True)
class JobPlan:
    """One job, before it has an id.

    Attributes:
        intent: what was meant, in plain JSON values: two equal ones are the same wish.
        files: name below `{files}` -> bytes; they travel with the job.
        changes: how its settings differ from those of the actor's last run.
        notes: what a person should know before it starts.
    """

    recipe: str
    actor: str | None
    host: str
    intent: Mapping[str, Any]
    steps: tuple[CommandStep, ...]
    gpus: int
    prepare: WorkFolder = field(default_factory=WorkFolder)
    progress: FileProgress | None = None
    wall_s: float | None = None
    stall_s: float | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    changes: tuple[SettingChange, ...] = ()
    notes: tuple[str, ...] = ()

    def spec(self, job: str, ledger: str) -> JobSpec:
        """The job under its id, for the ledger and the pod."""
        return JobSpec(
            job=job,
            ledger=ledger,
            recipe=self.recipe,
            actor=self.actor,
            host=self.host,
            intent=self.intent,
            steps=self.steps,
            prepare=self.prepare,
            progress=self.progress,
            gpus=self.gpus,
            wall_s=self.wall_s,
            stall_s=self.stall_s,
            grace_s=GRACE_S,
        )


@dataclass(frozen=True)
class CarriedFiles:
    """What of an attempt lies here that one on another host goes on from.

    Attributes:
        folder: its work folder, as it came home.
        names: paths below it, all of them whole and read safely.
        total_bytes: of all of them.
        frames: how many frames the new attempt need not make again.
        note: what is put beside them, for the step that takes them up.
        why: why there are no more.
    """

    folder: Path
    names: tuple[str, ...]
    total_bytes: int
    frames: int
    note: bytes
    why: str


@dataclass(frozen=True)
class RunVerdict:
    """What the files of one attempt are worth. `problems` is empty when `ok`."""

    ok: bool
    problems: tuple[str, ...] = ()


class Recipe(Protocol):
    """One kind of job.

    Attributes:
        name: as in spec.json.
        results: what `pull` brings, as globs below `{work}`.
        more_results: what it brings besides with `--all`.
        checkpoints: what comes home while a job is followed, as globs, the most precious first: what
            another attempt goes on from.
    """

    @property
    def name(self) -> str: ...

    @property
    def results(self) -> tuple[str, ...]: ...

    @property
    def more_results(self) -> tuple[str, ...]: ...

    @property
    def checkpoints(self) -> tuple[str, ...]: ...

    def look(self, session: Session, request: Request) -> Any:
        """The facts that `plan` needs of the host: at most one round trip, which changes nothing."""

    def plan(self, request: Request, facts: Any) -> JobPlan:
        """The job. Pure. Raises UsageError or NotFoundError where it could not run."""

    def again(
        self, spec: JobSpec, files: Mapping[str, bytes], host: SshHost | LocalHost, actor: Actor | None
    ) -> Request:
        """The very same as a job that was `spec` with `files`, on another host."""

    def takes_input(self, facts: Any) -> bool | None:
        """Whether the actor's video and identity must be put there first; None: it needs neither."""

    def carried(self, files: Mapping[str, bytes], homes: Sequence[Path]) -> CarriedFiles | None:
        """The most that the attempts in `homes` (as below `{work}`) left for another; None: nothing.

        `files` are the job's. Of equals the first counts.
        """

    def judge(self, folder: Path) -> RunVerdict:
        """Judge the results of one attempt that were pulled into `folder` (as below `{work}`)."""
