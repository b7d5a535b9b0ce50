"""`retrack`: one job for each actor, written down here, put on the host once, whoever asks again."""

from __future__ import annotations

import dataclasses
import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from being_remote.errors import UsageError
from being_remote.inventory import Actor, Inventory, LocalHost, SshHost
from being_remote.jobs.facts import Gpu
from being_remote.jobs.ledger import Ledger
from being_remote.recipes import Plan, Request, recipe
from being_remote.session import Session
from being_remote.tracker.config import Change
from being_remote.workflows.tending.earlier_runs import last_job, own_box, own_settings
from being_remote.workflows.tending.following import Say, follow
from being_remote.workflows.tending.rows import JobRow, exit_code_of
from being_remote.workflows.tending.sending import intent_of, send
from being_remote.workflows.tending.watch import ledger_of, look

DEFAULT_RECIPE = "metrical-tracker"
MAX_JOBS = 64


@dataclass(frozen=True)
class Planned:
    """What a job is, or would be. `commands` hold the placeholders that are filled in on the host.

    `links` go from the attempt's own folder to what lies on the host; `files` are bytes by name;
    `swept` are the settings of its place in a sweep.
    """

    actor: str | None
    recipe: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    files: Mapping[str, int]
    links: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]
    gpus: int
    wall_s: float | None
    stall_s: float | None
    swept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dispatched:
    """One job. In a dry run `job` is the one that would be joined, or None for a new one."""

    job: str | None
    host: str
    state: str | None
    gpu: tuple[str, ...]
    spec_sha256: str | None
    adopted: bool
    attempt: int
    reason: str
    plan: Planned


@dataclass(frozen=True)
class RetrackReport:
    """What was dispatched. The fields of a single job stand at the top, too."""

    job: str | None
    host: str
    state: str | None
    gpu: tuple[str, ...]
    spec_sha256: str | None
    adopted: bool
    dry_run: bool
    followed: bool
    jobs: tuple[Dispatched, ...]
    gpus: tuple[Gpu, ...] = field(default=())
    gpu_problem: str | None = None

    @property
    def exit_code(self) -> int:
        """How the jobs stand: 5 for an end that is none to be glad of, 4 where it is unknown."""
        if self.dry_run:
            return 0
        codes = [exit_code_of(d.state or "") for d in self.jobs]
        return 4 if 4 in codes else max(codes, default=0)


def retrack(
    inventory: Inventory,
    *,
    host: str | None = None,
    actors: Sequence[str] = (),
    preset: str | None = None,
    sets: Sequence[str] = (),
    sweeps: Sequence[str] = (),
    recipe_name: str = DEFAULT_RECIPE,
    command: str | None = None,
    gpus: int | None = None,
    wall_s: float | None = None,
    again: bool = False,
    follow_it: bool = False,
    dry_run: bool = False,
    say: Say = lambda _: None,
) -> RetrackReport:
    """Dispatch a job for each actor, or join the one of the same intent that is at it already.

    Args:
        inventory: who is who.
        host: its name; default: the only one.
        actors: their names; default: the only one.
        preset: named settings (`tracker.presets`).
        sets: "KEY=VALUE" each, the value in YAML.
        sweeps: "KEY=[VALUE, ...]" each: a job for each value, of several sweeps for each combination.
        recipe_name: which kind of job.
        command: the command line of the recipe `command`, as a shell would read it; no shell sees it.
        gpus: how many it needs; default: what the recipe takes.
        wall_s: seconds after which it is ended.
        again: make another job even if one of the same intent is not known to be ended.
        follow_it: follow the one job to its end; `say` is told its lines and states.
        dry_run: only look; nothing is written, here or there.

    Raises:
        UsageError: unknown names, settings that cannot be meant.
        NotFoundError: what the job needs is not on the host.
        HostError: no answer; whether a job started is then unknown, and asking again does no harm.
    """
    from being_remote.transport import open_session

    where = inventory.the_host(host)
    combinations = _combinations(sweeps)
    requests = [
        (request, swept)
        for swept in combinations
        for request in _requests(
            inventory, where, actors, preset, (*sets, *swept), recipe_name, command, gpus, wall_s
        )
    ]
    if follow_it and len(requests) > 1:
        raise UsageError("--follow follows one job", hint="logs JOB --follow, for each of them")
    kind, ledger = recipe(recipe_name), ledger_of(inventory)
    with open_session(where, inventory, remember=not dry_run) as session:
        # All are planned before the first is sent: a wrong setting dispatches nothing.
        plans = [(kind.plan(request, kind.look(session, request)), swept) for request, swept in requests]
        if dry_run:
            done = tuple(_would(ledger, plan, swept, again=again) for plan, swept in plans)
            seen = look(session, where, [])
            planned = _report(where, done, dry_run=True, followed=False, gpus=seen.gpus)
            needs_one = any(plan.gpus for plan, _ in plans)
            return dataclasses.replace(planned, gpu_problem=seen.gpu_problem if needs_one else None)
        done = tuple(_dispatch(ledger, session, where, plan, swept, again=again) for plan, swept in plans)
        if follow_it:
            row = follow(ledger, session, where, ledger.find(done[0].job or ""), say)
            done = (_with(done[0], row),)
    return _report(where, done, dry_run=False, followed=follow_it)


def _combinations(sweeps: Sequence[str]) -> list[tuple[str, ...]]:
    """The overrides of each job of a sweep; without one, of the only job."""
    from being_remote.tracker.config import parse_sweep

    made = list(itertools.product(*map(parse_sweep, sweeps)))
    if len(made) > MAX_JOBS:
        raise UsageError(
            f"that would be {len(made)} jobs an actor", where="--sweep", hint=f"at most {MAX_JOBS}"
        )
    return made


def _requests(
    inventory: Inventory,
    host: SshHost | LocalHost,
    actors: Sequence[str],
    preset: str | None,
    sets: Sequence[str],
    recipe_name: str,
    command: str | None,
    gpus: int | None,
    wall_s: float | None,
) -> list[Request]:
    try:
        words = tuple(shlex.split(command)) if command is not None else ()
    except ValueError as e:
        raise UsageError(f"cannot be split into words: {e}", where="--command") from e
    chosen: list[Actor | None] = [inventory.the_actor(name) for name in dict.fromkeys(actors)]
    if not chosen:
        chosen = [inventory.the_actor(None) if recipe_name == DEFAULT_RECIPE else None]
    ledger = ledger_of(inventory)
    if gpus is None and host.gpus == 0:
        gpus = 0  # the inventory's word: none of its GPUs may be used, or it has none
    return [
        Request(
            host=host,
            actor=actor,
            preset=preset,
            overrides=tuple(sets),
            words=words,
            gpus=gpus,
            wall_s=wall_s,
            own_settings=own_settings(inventory, actor) if actor else None,
            own_box=own_box(inventory, actor) if actor else None,
            last_job=last_job(ledger, actor, recipe_name) if actor else None,
        )
        for actor in chosen
    ]


def _dispatch(
    ledger: Ledger,
    session: Session,
    host: SshHost | LocalHost,
    plan: Plan,
    swept: tuple[str, ...],
    *,
    again: bool,
) -> Dispatched:
    made = ledger.intend(intent_of(plan, ledger.uuid), again=again)
    row = send(ledger, session, host, made.job)
    first = Dispatched(
        job=row.job,
        host=row.host,
        state=row.state,
        gpu=row.gpu,
        spec_sha256=made.job.spec_sha256,
        adopted=made.adopted,
        attempt=row.attempt,
        reason=row.reason,
        plan=_planned(plan, swept),
    )
    return _with(first, row)


def _would(ledger: Ledger, plan: Plan, swept: tuple[str, ...], *, again: bool) -> Dispatched:
    same = None if again else ledger.like(intent_of(plan, "").key)
    return Dispatched(
        job=same.job if same else None,
        host=plan.host,
        state=same.state if same else None,
        gpu=(),
        spec_sha256=same.spec_sha256 if same else None,
        adopted=same is not None,
        attempt=same.attempt if same else 1,
        reason="it would be joined" if same else "a new job would be made",
        plan=_planned(plan, swept),
    )


def _planned(plan: Plan, swept: tuple[str, ...]) -> Planned:
    return Planned(
        actor=plan.actor,
        recipe=plan.recipe,
        changes=plan.changes,
        notes=plan.notes,
        files={name: len(data) for name, data in sorted(plan.files.items())},
        links=plan.prepare.links,
        commands=tuple(shlex.join(step.argv) for step in plan.steps),
        gpus=plan.gpus,
        wall_s=plan.wall_s,
        stall_s=plan.stall_s,
        swept=swept,
    )


def _with(done: Dispatched, row: JobRow) -> Dispatched:
    return dataclasses.replace(done, state=row.state, gpu=row.gpu or done.gpu, reason=row.reason)


def _report(
    host: SshHost | LocalHost,
    done: tuple[Dispatched, ...],
    *,
    dry_run: bool,
    followed: bool,
    gpus: tuple[Gpu, ...] = (),
) -> RetrackReport:
    first = done[0]
    return RetrackReport(
        job=first.job,
        host=host.name,
        state=first.state,
        gpu=first.gpu,
        spec_sha256=first.spec_sha256,
        adopted=first.adopted,
        dry_run=dry_run,
        followed=followed,
        jobs=done,
        gpus=gpus,
    )
