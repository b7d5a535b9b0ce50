"""`submit()` and `Job`: jobs that run exactly once, from a notebook that may be closed meanwhile."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict, Unpack

from being_remote.api.arguments import (
    InventoryLike,
    Names,
    PathLike,
    checked,
    read_inventory,
    read_names,
    read_path,
)
from being_remote.errors import UsageError
from being_remote.inventory import Inventory
from being_remote.jobs.cancel import CancelReport
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import LAST, ledger_of
from being_remote.jobs.logs import WHOLE, LogStart
from being_remote.recipes.retrack_request import DEFAULT_RECIPE, RetrackRequest
from being_remote.session import OnProgress, no_progress
from being_remote.workflows.cancel import cancel
from being_remote.workflows.jobs import job_status
from being_remote.workflows.logs import logs
from being_remote.workflows.pull import PullReport, pull
from being_remote.workflows.retrack import retrack

EVERY_S = 5.0


@with_config(ConfigDict(extra="forbid"))
class SubmitOptions(TypedDict, total=False):
    """What else a job may be given.

    Attributes:
        recipe: which kind of job; default: metrical-tracker, or `command` where one is given.
        inputs: local files and folders that a command gets.
        folder: the folder on the host in which a command runs; default: the job's own.
        env: environment variables of a command.
        gpus: how many the job needs; default: what its recipe takes.
        wall_s: seconds after which it is ended.
        wait_s: seconds after which a job that still waits for free GPUs ends; it was not started then.
        again: make another job even if one of the same intent succeeded, or is not known to be ended.
        force: submit it also to a host that lacks what it needs.

    Example:
        >>> limits: SubmitOptions = {"gpus": 0, "wall_s": 60.0}
        >>> submit(command="echo hello", host="a100", **limits).wait().exit_code
        0
    """

    recipe: str
    inputs: PathLike | Sequence[PathLike]
    folder: PathLike
    env: Mapping[str, str]
    gpus: int
    wall_s: float
    wait_s: float
    again: bool
    force: bool


@dataclass(frozen=True)
class Job:
    """A job of this laptop's ledger; a notebook that was closed finds it again by `find_job`.

    Attributes:
        id: as `jobs` lists it.
        inventory: the one it was found in.

    Example:
        >>> job = submit(command=["echo", "hello"], host="a100", gpus=0)
        >>> job.wait().state
        <JobState.SUCCEEDED: 'succeeded'>
        >>> job.logs()
        'hello'
    """

    id: str
    inventory: Inventory = field(repr=False)

    def status(self) -> JobStatus:
        """How it stands now; unknown, with `last_known`, where its host gives no answer."""
        return job_status(self.inventory, self.id)

    @checked
    def wait(self, timeout_s: float | None = None, *, every_s: float = EVERY_S) -> JobStatus:
        """Wait until it ends; an answer that does not come is waited for, too.

        A job that nothing on its host will start is not waited for: `reason` says what to do.

        Args:
            timeout_s: seconds after which its status is returned as it is then; default: never.
            every_s: seconds from one look to the next.
        """
        began, unattended = time.monotonic(), False
        while True:
            status = self.status()
            left_s = every_s if timeout_s is None else timeout_s - (time.monotonic() - began)
            # Seen twice: between its claim and its supervisor every job looks so.
            if status.state.ended or left_s <= 0 or (unattended and status.is_unattended):
                return status
            unattended = status.is_unattended
            time.sleep(min(every_s, left_s))

    @checked
    def logs(self, *, tail: int | None = None) -> str:
        """What its current attempt wrote so far.

        Args:
            tail: only so many last lines.

        Raises:
            HostError: no answer.
        """
        start = WHOLE if tail is None else LogStart(tail=tail)
        return "\n".join(line.line for line in logs(self.inventory, self.id, start=start).lines)

    @checked
    def pull(self, *, all_files: bool = False, on_progress: OnProgress = no_progress) -> PullReport:
        """Download its results, verified; `folder` says where they lie.

        Args:
            all_files: checkpoints and all else, too; of a job that did not succeed, what is whole.

        Raises:
            NotFoundError: there are no results yet.
            HostError: no answer, or the link failed; the next pull continues.
            DataError: a file is torn, unsafe or not the host's; nothing here was changed.
        """
        return pull(self.inventory, self.id, all_files=all_files, on_progress=on_progress)

    @checked
    def cancel(self, *, pod_is_gone: bool = False) -> CancelReport:
        """Cancel it and wait for its end.

        Args:
            pod_is_gone: confirm that the pod is gone: its attempt is abandoned if the host gives no answer.

        Raises:
            HostError: no answer; whether it was cancelled is unknown.
        """
        return cancel(self.inventory, self.id, pod_is_gone=pod_is_gone)


@checked
def find_job(job: str = LAST, *, inventory: InventoryLike = None) -> Job:
    """A job that was submitted before, also by the command line.

    Args:
        job: its id, a unique beginning of it, or "last".
        inventory: itself, or its file; default: that of this folder.

    Raises:
        NotFoundError: the ledger has no such job.

    Example:
        >>> job = submit(command="echo hello", host="a100", gpus=0)
        >>> find_job("last") == job
        True
    """
    source = read_inventory(inventory)
    return Job(ledger_of(source).find(job).job, source)


@overload
def submit(
    actor: str | None = None,
    *,
    host: str | None = None,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    sweep: None = None,
    command: str | Sequence[str] | None = None,
    inventory: InventoryLike = None,
    **options: Unpack[SubmitOptions],
) -> Job: ...
@overload
def submit(
    actor: Names = None,
    *,
    host: str | None = None,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    sweep: Mapping[str, Sequence[Any]] | None = None,
    command: str | Sequence[str] | None = None,
    inventory: InventoryLike = None,
    **options: Unpack[SubmitOptions],
) -> list[Job]: ...
@checked
def submit(
    actor: Names = None,
    *,
    host: str | None = None,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    sweep: Mapping[str, Sequence[Any]] | None = None,
    command: str | Sequence[str] | None = None,
    inventory: InventoryLike = None,
    **options: Unpack[SubmitOptions],
) -> Job | list[Job]:
    """Submit a job, or attach to the one of the same intent that runs or succeeded; returns at once.

    Args:
        actor: whom to track again; default: the only one. A list makes a job for each.
        host: its name; default: the only one.
        preset: a set of settings that has a name, as `presets` lists them.
        settings: the tracker's settings that differ, such as `{"image_size": [768, 768]}`.
        sweep: a list of values for each of some settings: a job for each combination.
        command: any command in place of the tracker: a list of words, or one line as a shell splits it.
        inventory: itself, or its file; default: that of this folder.
        options: see `SubmitOptions`.

    Returns:
        The job; a list where `actor` is a list, or with `sweep`.

    Raises:
        UsageError: unknown names or invalid settings.
        NotFoundError: what the job needs is not on the host.
        HostNotReady: the host lacks what the job needs, and so nothing was sent.
        HostError: no answer; whether a job started is then unknown, and submitting again does no harm.

    Example:
        >>> job = submit("roman", host="a100", preset="gaussiantalker-round2")
        >>> job.wait().state
        <JobState.SUCCEEDED: 'succeeded'>
        >>> recover(job.pull(all_files=True).job).crop.side
        454
    """
    source, inputs = read_inventory(inventory), options.get("inputs", ())
    named = (inputs,) if isinstance(inputs, PathLike) else inputs
    folder = options.get("folder")
    wanted = RetrackRequest(
        host=host,
        actors=read_names(actor),
        recipe=options.get("recipe", DEFAULT_RECIPE if command is None else "command"),
        preset=preset,
        sets=[f"{key}={_yaml(key, value)}" for key, value in (settings or {}).items()],
        sweeps=[f"{key}={_yaml(key, list(values))}" for key, values in (sweep or {}).items()],
        command=command if command is None or isinstance(command, str) else shlex.join(command),
        folder=None if folder is None else str(folder),
        env=[f"{name}={value}" for name, value in options.get("env", {}).items()],
        inputs=[path for path in map(read_path, named) if path is not None],
        gpus=options.get("gpus"),
        wall_s=options.get("wall_s"),
        wait_s=options.get("wait_s"),
        again=options.get("again", False),
        force=options.get("force", False),
    )
    jobs = [Job(d.job or "", source) for d in retrack(source, wanted).jobs]
    return jobs[0] if (actor is None or isinstance(actor, str)) and sweep is None else jobs


def _yaml(key: str, value: object) -> str:
    """A value as the command line takes it."""
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as e:
        what = f"{key} cannot be a setting: {e}"
        raise UsageError(what, where="submit()", hint="use numbers, text, booleans and lists of them") from e
