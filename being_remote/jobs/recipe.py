"""What a kind of job has to offer: the protocol `Recipe`, and the values that go into and out of it.

A recipe turns a request and what it learnt of the host and of this laptop (its facts) into a
`JobPlan`: the parts of the job's spec, the files that travel with it, and notes for the person who
asked. `jobs/` is handed recipes and knows nothing of what their jobs compute. The words of a plan's
steps may hold the placeholders of `jobs.spec.CommandStep`, which are filled in on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ValidationError

from being_remote import bounded_yaml
from being_remote.errors import UsageError
from being_remote.inventory import Actor, Inventory, LocalHost, SshHost
from being_remote.jobs.spec import CommandStep, FileProgress, JobSpec, WorkFolder
from being_remote.session import Session

GRACE_S = 20.0

Options = TypeVar("Options", bound=BaseModel)


@dataclass(frozen=True)
class TypedOptions:
    """What a person typed for a job, in the words of the command line.

    Attributes:
        preset: the name of a set of options.
        sets: "KEY=VALUE" each, the value in YAML.
        words: a command line.
        folder: the folder in which it runs; None: the job's own.
        env: "NAME=VALUE" each.
        inputs: local files and folders that it gets.
    """

    preset: str | None = None
    sets: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    folder: str | None = None
    env: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()


@dataclass(frozen=True)
class JobRequest:
    """One job that is to be planned.

    Attributes:
        options: the recipe's own, as its `parse_options` or `repeat` made them.
        actor: whose it is; some recipes need none.
        gpus: how many it needs; None: as many as the recipe usually takes.
        wall_s, stall_s: seconds after which it is ended: in all, and without progress.
        wait_s: seconds after which it no longer waits for free GPUs; see `plan_job`.
    """

    host: SshHost | LocalHost
    options: Any
    actor: Actor | None = None
    gpus: int | None = None
    wall_s: float | None = None
    stall_s: float | None = None
    wait_s: float | None = None


@dataclass(frozen=True)
class OptionChange:
    """One option that differs from the last run. A value of None: the option is unknown in that run."""

    key: str
    before: Any
    after: Any
    meaning: str


@dataclass(frozen=True)
class JobPlan:
    """One job, before it has an id.

    Attributes:
        intent: what the user asked for, in plain JSON values: equal intents are the same job.
        files: name below `{files}` -> bytes; they travel with the job.
        changes: how its options differ from those of the actor's last run.
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
    wait_s: float | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    changes: tuple[OptionChange, ...] = ()
    notes: tuple[str, ...] = ()

    def spec(self, job: str, ledger: str) -> JobSpec:
        """The job under its id, for the ledger and the host."""
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
            wait_s=self.wait_s,
            grace_s=GRACE_S,
        )


@dataclass(frozen=True)
class CarriedFiles:
    """Local files of an earlier attempt from which one on another host continues.

    Attributes:
        folder: the earlier attempt's work folder, as far as it was downloaded.
        names: paths below it; each file is whole and was read safely.
        total_bytes: of all of them.
        done: how much of the progress they hold, in the recipe's `unit`.
        note: a file that is put beside them, for the step that takes them up.
        why: why there are no more.
    """

    folder: Path
    names: tuple[str, ...]
    total_bytes: int
    done: int
    note: bytes
    why: str


@runtime_checkable
class Recipe(Protocol):
    """One kind of job.

    Attributes:
        name: as in spec.json.
        unit: what its progress counts, as "frames".
        results: what `pull` downloads, as globs below `{work}`.
        more_results: what `pull --all` downloads besides.
        checkpoints: what is downloaded while a job is followed, as globs, the most precious first: from
            these another attempt continues.
    """

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def results(self) -> tuple[str, ...]: ...
    @property
    def more_results(self) -> tuple[str, ...]: ...
    @property
    def checkpoints(self) -> tuple[str, ...]: ...

    def parse_options(self, typed: TypedOptions) -> BaseModel:
        """The recipe's own options. Raises UsageError for what it does not take."""

    def look(self, session: Session, request: JobRequest, inventory: Inventory) -> Any:
        """The facts for `plan`: one round trip to the host at most, and what is local; changes nothing."""

    def plan(self, request: JobRequest, facts: Any) -> JobPlan:
        """Plan the job: pure, the same bytes each time.

        Raises UsageError or NotFoundError where the job could not run.
        """

    def repeat(
        self, spec: JobSpec, files: Mapping[str, bytes], host: SshHost | LocalHost, actor: Actor | None
    ) -> JobRequest:
        """Request on `host` exactly what a job with this spec and these files was."""

    def tools(self, spec: JobSpec) -> tuple[str, ...]:
        """What a job needs of its host besides GPUs, by names that host checks know: "tracker", "ffmpeg"."""

    def needs_input(self, facts: Any) -> bool | None:
        """Whether the actor's input is missing on the host; None: the recipe uses none."""

    def find_resumable(self, files: Mapping[str, bytes], folders: Sequence[Path]) -> CarriedFiles | None:
        """The most from which a new attempt can continue; None: nothing.

        Args:
            files: the job's own.
            folders: local work folders of earlier attempts; of equals the first counts.
        """

    def verify_results(self, folder: Path) -> None:
        """Verify the results of one attempt in `folder`, laid out as below `{work}`.

        Raises DataError or NotFoundError where they must not be used.
        """


FindRecipe = Callable[[str], Recipe]


def plan_job(recipe: Recipe, session: Session, request: JobRequest, inventory: Inventory) -> JobPlan:
    """Look at the host and plan the job, with the limit on its wait, which no recipe need know.

    Raises UsageError, NotFoundError or HostError where the job could not run.
    """
    plan = recipe.plan(request, recipe.look(session, request, inventory))
    return replace(plan, wait_s=request.wait_s)


def options_of(model: type[Options], typed: TypedOptions) -> Options:
    """Read `--set KEY=VALUE` into a recipe's own options, for a recipe that takes nothing else.

    Raises:
        UsageError: a preset or a command line was typed, or the values do not fit the model.
    """
    if typed.preset is not None or typed.words:
        raise UsageError("this recipe takes no preset and no command line", hint="use --set KEY=VALUE")
    values = {}
    for text in typed.sets:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{text!r} is not KEY=VALUE", where="--set")
        try:
            values[key.strip()] = bounded_yaml.load(value)
        except ValueError as e:
            raise UsageError(f"{key}: {value!r} is not a YAML value", where="--set") from e
    try:
        return model.model_validate(values)
    except ValidationError as e:
        first = e.errors(include_url=False, include_context=False, include_input=False)[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", where="--set") from e
