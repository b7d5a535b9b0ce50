"""The request to `retrack`, as a person types it, and the jobs that it asks for."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from being_remote.errors import UsageError
from being_remote.inventory import Actor, Inventory, LocalHost, SshHost
from being_remote.jobs.recipe import JobRequest, Recipe, TypedOptions
from being_remote.tracker.settings import parse_sweep

DEFAULT_RECIPE = "metrical-tracker"
MAX_JOBS = 64


@dataclass(frozen=True)
class RetrackRequest:
    """What to dispatch, as a person types it.

    Attributes:
        host: its name; None: the only one.
        actors: their names; none: the only one.
        recipe: which kind of job.
        preset: a set of options that has a name.
        sets: "KEY=VALUE" each, the value in YAML.
        sweeps: "KEY=[VALUE, ...]" each: a job for each value, of several sweeps for each combination.
        command: the command line of the recipe `command`, as a shell would split it; no shell sees it.
        folder: the folder on the host in which that command runs; None: the job's own.
        env: "NAME=VALUE" each, for that command.
        inputs: local files and folders that it gets.
        gpus: how many a job needs; None: what the recipe takes.
        wall_s: seconds after which a job is ended.
        wait_s: seconds after which a job that still waits for free GPUs ends; it was not started then.
        again: make another job even if one of the same intent succeeded, or is not known to be ended.
        force: dispatch it also to a host that lacks what the job needs.
    """

    host: str | None = None
    actors: Sequence[str] = ()
    recipe: str = DEFAULT_RECIPE
    preset: str | None = None
    sets: Sequence[str] = ()
    sweeps: Sequence[str] = ()
    command: str | None = None
    folder: str | None = None
    env: Sequence[str] = ()
    inputs: Sequence[Path] = ()
    gpus: int | None = None
    wall_s: float | None = None
    wait_s: float | None = None
    again: bool = False
    force: bool = False


def job_requests(
    inventory: Inventory, host: SshHost | LocalHost, recipe: Recipe, wanted: RetrackRequest
) -> list[tuple[JobRequest, tuple[str, ...]]]:
    """The jobs that are wanted, each with the settings of its place in the sweep.

    Raises:
        UsageError: unknown names, invalid settings, or too many jobs.
    """
    combinations = list(itertools.product(*map(parse_sweep, wanted.sweeps)))
    if len(combinations) > MAX_JOBS:
        raise UsageError(
            f"that would be {len(combinations)} jobs an actor", where="--sweep", hint=f"at most {MAX_JOBS}"
        )
    try:
        words = tuple(shlex.split(wanted.command or ""))
    except ValueError as e:
        raise UsageError(f"cannot be split into words: {e}", where="--command") from e
    actors: list[Actor | None] = [inventory.the_actor(name) for name in dict.fromkeys(wanted.actors)]
    if not actors:
        actors = [inventory.the_actor(None) if wanted.recipe == DEFAULT_RECIPE else None]
    requests = []
    for swept in combinations:
        options = recipe.parse_options(
            TypedOptions(
                wanted.preset,
                (*wanted.sets, *swept),
                words,
                wanted.folder,
                tuple(wanted.env),
                tuple(wanted.inputs),
            )
        )
        for actor in actors:
            request = JobRequest(
                host, options, actor, gpus_on(host, wanted), wanted.wall_s, wait_s=wanted.wait_s
            )
            requests.append((request, swept))
    return requests


def gpus_on(host: SshHost | LocalHost, wanted: RetrackRequest) -> int | None:
    """How many GPUs a job asks of this host: 0 where its inventory entry says that none may be used."""
    return 0 if wanted.gpus is None and host.gpus == 0 else wanted.gpus
