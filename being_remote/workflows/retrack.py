"""`retrack`: one job for each actor, written down here, put on the host once, whoever asks again."""

from __future__ import annotations

import dataclasses
import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from being_remote.errors import UsageError
from being_remote.inventory import Actor, Inventory, LocalHost, SshHost
from being_remote.jobs.background_download import DownloadSummary
from being_remote.jobs.context import JobContext
from being_remote.jobs.dispatch import intent_of, send
from being_remote.jobs.failover import Failover, follow_or_move
from being_remote.jobs.follow import Say
from being_remote.jobs.job_status import JobStatus, exit_code_of
from being_remote.jobs.ledger import Ledger
from being_remote.jobs.move import Move, rehearse_move
from being_remote.jobs.move_and_follow import session_with_job_host
from being_remote.jobs.status_poll import ledger_of, look
from being_remote.pod_client.job_answers import LeasedGpu
from being_remote.recipes import JobPlan, Recipe, Request
from being_remote.recipes.earlier_runs import last_job, own_box, own_settings
from being_remote.recipes.registry import recipe
from being_remote.session import OnProgress, Session, no_progress
from being_remote.tracker.presets import preset as find_preset
from being_remote.tracker.settings import SettingChange
from being_remote.workflows.job_context import job_context

AFTER_S = 1200.0
DEFAULT_RECIPE = "metrical-tracker"
MAX_JOBS = 64


@dataclass(frozen=True)
class JobPreview:
    """What a job is, or would be. `commands` hold the placeholders that are filled in on the host.

    `links` go from the attempt's own folder to what lies on the host; `files` are bytes by name;
    `swept` are the settings of its place in a sweep.
    """

    actor: str | None
    recipe: str
    changes: tuple[SettingChange, ...]
    notes: tuple[str, ...]
    files: Mapping[str, int]
    links: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]
    gpus: int
    wall_s: float | None
    stall_s: float | None
    swept: tuple[str, ...] = ()


@dataclass(frozen=True)
class DispatchedJob:
    """One job. In a dry run `job` is the one that would be joined, or None for a new one."""

    job: str | None
    host: str
    state: str | None
    gpu: tuple[str, ...]
    spec_sha256: str | None
    adopted: bool
    attempt: int
    reason: str
    plan: JobPreview


@dataclass(frozen=True)
class RetrackReport:
    """What was dispatched. The fields of a single job stand at the top, too; `home` where it was followed,
    `moved` where it went on on another host."""

    job: str | None
    host: str
    state: str | None
    gpu: tuple[str, ...]
    spec_sha256: str | None
    adopted: bool
    dry_run: bool
    followed: bool
    jobs: tuple[DispatchedJob, ...]
    gpus: tuple[LeasedGpu, ...] = field(default=())
    gpu_problem: str | None = None
    home: DownloadSummary | None = None
    moved: Move | None = None

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
    failover: str | None = None,
    after_s: float = AFTER_S,
    dry_run: bool = False,
    say: Say = lambda _: None,
    on_progress: OnProgress = no_progress,
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
        failover: another host: while the job is followed, it goes on there once its own gave no answer
            for `after_s`, or it is lost. That is the user's word that it may be paid for twice. Whether
            it could run there is looked at first.
        after_s: seconds of silence, by this laptop's running clock.
        dry_run: only look; nothing is written, here or there.
        on_progress: told how far it is with what a job takes along.

    Raises:
        UsageError: unknown names, settings that cannot be meant.
        NotFoundError: what the job needs is not on the host.
        HostError: no answer; whether a job started is then unknown, and asking again does no harm.
    """
    context = job_context(inventory, dry_run=dry_run)
    where = inventory.the_host(host)
    other = inventory.host(failover) if failover is not None else None
    if other is not None and other.name == where.name:
        raise UsageError("names the host itself", where="--failover", hint="another one")
    if preset is not None:
        find_preset(preset)  # before a host is asked
    combinations = _combinations(sweeps)
    requests = [
        (request, swept)
        for swept in combinations
        for request in _requests(
            inventory, where, actors, preset, (*sets, *swept), recipe_name, command, gpus, wall_s
        )
    ]
    follow_it = follow_it or other is not None
    if follow_it and len(requests) > 1:
        what = "--follow follows" if other is None else "--failover looks after"
        raise UsageError(f"{what} one job", hint="logs JOB --follow, for each of them")
    kind, ledger = recipe(recipe_name), context.ledger
    with context.open_session(where.name) as session:
        # All are planned before the first is sent: a wrong setting dispatches nothing.
        plans = [(kind.plan(request, kind.look(session, request)), swept) for request, swept in requests]
        if other is not None and (again or ledger.like(intent_of(plans[0][0], "").key) is None):
            # Before anything is paid for: at night nobody is there to mend it.
            (plan, swept), *_ = plans
            sets = (*sets, *swept)
            wish, *_ = _requests(inventory, other, actors, preset, sets, recipe_name, command, gpus, wall_s)
            plans = [(_rehearsed(context, other, kind, wish, plan), swept)]
        if dry_run:
            done = tuple(_would(ledger, plan, swept, again=again) for plan, swept in plans)
            seen = look(session, where, [])
            planned = _report(where, done, dry_run=True, followed=False, gpus=seen.gpus)
            needs_one = any(plan.gpus for plan, _ in plans)
            return dataclasses.replace(planned, gpu_problem=seen.gpu_problem if needs_one else None)
        done = tuple(_dispatch(context, session, where, plan, swept, again=again) for plan, swept in plans)
        if follow_it:
            known = ledger.find(done[0].job or "")
            spare = Failover(other, after_s) if other is not None and other.name != known.host else None
            with session_with_job_host(context, known, session, where) as (there, its_host):
                survived = follow_or_move(
                    context, there, its_host, known, say, failover=spare, on_progress=on_progress
                )
            row = survived.row
            first = dataclasses.replace(
                _with(done[0], row), host=row.host, attempt=row.attempt, spec_sha256=row.spec_sha256
            )
            report = _report(inventory.host(row.host), (first,), dry_run=False, followed=True)
            return dataclasses.replace(report, home=survived.home, moved=survived.move)
    return _report(where, done, dry_run=False, followed=False)


def _combinations(sweeps: Sequence[str]) -> list[tuple[str, ...]]:
    """The overrides of each job of a sweep; without one, of the only job."""
    from being_remote.tracker.settings import parse_sweep

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


def _rehearsed(
    context: JobContext, host: SshHost | LocalHost, kind: Recipe, request: Request, plan: JobPlan
) -> JobPlan:
    """The plan, with what to know of the host that the job would go on on."""
    with context.open_session(host.name) as session:
        notes = rehearse_move(context, session, host, kind, request)
    return dataclasses.replace(plan, notes=(*plan.notes, *(f"on {host.name}: {note}" for note in notes)))


def _dispatch(
    context: JobContext,
    session: Session,
    host: SshHost | LocalHost,
    plan: JobPlan,
    swept: tuple[str, ...],
    *,
    again: bool,
) -> DispatchedJob:
    made = context.ledger.intend(intent_of(plan, context.ledger.uuid), again=again)
    with session_with_job_host(context, made.job, session, host) as (there, its_host):
        row = send(context.ledger, there, its_host, made.job)
    first = DispatchedJob(
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


def _would(ledger: Ledger, plan: JobPlan, swept: tuple[str, ...], *, again: bool) -> DispatchedJob:
    same = None if again else ledger.like(intent_of(plan, "").key)
    return DispatchedJob(
        job=same.job if same else None,
        host=same.host if same else plan.host,
        state=same.state if same else None,
        gpu=(),
        spec_sha256=same.spec_sha256 if same else None,
        adopted=same is not None,
        attempt=same.attempt if same else 1,
        reason="it would be joined" if same else "a new job would be made",
        plan=_planned(plan, swept),
    )


def _planned(plan: JobPlan, swept: tuple[str, ...]) -> JobPreview:
    return JobPreview(
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


def _with(done: DispatchedJob, row: JobStatus) -> DispatchedJob:
    return dataclasses.replace(done, state=row.state, gpu=row.gpu or done.gpu, reason=row.reason)


def _report(
    host: SshHost | LocalHost,
    done: tuple[DispatchedJob, ...],
    *,
    dry_run: bool,
    followed: bool,
    gpus: tuple[LeasedGpu, ...] = (),
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
