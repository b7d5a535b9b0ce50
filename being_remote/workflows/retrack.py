"""`retrack`: dispatch one job for each actor and each combination of a sweep, once however often asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from being_remote.errors import BeingRemoteError, HostNotReady, UsageError
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.jobs.context import JobContext
from being_remote.jobs.dispatch import DispatchedJob, JobPreview, intent_of, preview, send_all
from being_remote.jobs.job_status import JobStatus, ended_status, exit_code_of, worst_exit_code
from being_remote.jobs.ledger import Ledger
from being_remote.jobs.recipe import JobPlan, JobRequest, Recipe, plan_job
from being_remote.jobs.same_intent import find_duplicates
from being_remote.jobs.spec import JobSpec, new_job_id
from being_remote.jobs.status_poll import look_at_host
from being_remote.pod.job_states import JobState
from being_remote.pod_client.asked_once import AskedOnce
from being_remote.pod_client.job_answers import LeasedGpu
from being_remote.recipes.registry import find_recipe
from being_remote.recipes.retrack_request import RetrackRequest as RetrackRequest
from being_remote.recipes.retrack_request import gpus_on, job_requests
from being_remote.session import Session, no_progress
from being_remote.workflows.job_context import job_context

if TYPE_CHECKING:  # a submit that is not followed imports nothing of these
    from being_remote.jobs.follow import DispatchedLine, Say
    from being_remote.jobs.live_download import DownloadSummary
    from being_remote.jobs.move import Move

AFTER_S = 1200.0


@dataclass(frozen=True)
class RetrackReport:
    """What was dispatched. The fields of a single job stand at the top, too; `home` where it was followed,
    `moved` where it continued on another host. `obstacles`: in a dry run, why the host would refuse it.
    `has_results`: `pull JOB` brings something without --all."""

    job: str | None
    host: str
    state: JobState | None
    gpu: tuple[str, ...]
    spec_sha256: str | None
    adopted: bool
    dry_run: bool
    followed: bool
    jobs: tuple[DispatchedJob, ...]
    gpus: tuple[LeasedGpu, ...] = ()
    gpu_problem: str | None = None
    obstacles: tuple[str, ...] = ()
    home: DownloadSummary | None = None
    moved: Move | None = None
    has_results: bool = True

    @property
    def exit_code(self) -> int:
        """5 where a job failed, 4 where its state is unknown or the host would refuse it."""
        if self.dry_run:
            return 4 if self.obstacles else 0
        return worst_exit_code(exit_code_of(d.state) for d in self.jobs)


def retrack(
    inventory: Inventory,
    wanted: RetrackRequest,
    *,
    follow_it: bool = False,
    failover: str | None = None,
    after_s: float = AFTER_S,
    dry_run: bool = False,
    say: Say = lambda _: None,
) -> RetrackReport:
    """Dispatch a job for each actor, or attach to the one of the same intent that runs or succeeded.

    Args:
        follow_it: follow the one job to its end; `say` gets its lines and states.
        failover: another host: the job that is followed continues there once its own host gave no answer
            for `after_s`, or it is lost, or never got a GPU. The user accepts that it may be paid for
            twice. Whether it could run there is checked first.
        after_s: seconds without an answer, by this laptop's running clock.
        dry_run: only look; nothing is written, here or there.

    Raises:
        UsageError: unknown names or invalid settings.
        NotFoundError: what the job needs is not on the host.
        HostNotReady: the host lacks what the job needs, and so nothing was sent.
        HostError: no answer; whether a job started is then unknown, and asking again does no harm.
    """
    context = job_context(inventory, dry_run=dry_run, force=wanted.force, again=wanted.again)
    host = inventory.the_host(wanted.host)
    other = inventory.host(failover) if failover is not None else None
    if other is not None and other.name == host.name:
        raise UsageError("names the host itself", where="--failover", hint="another one")
    recipe, ledger = context.find_recipe(wanted.recipe), context.ledger
    requests = job_requests(inventory, host, recipe, wanted)
    follow_it = follow_it or other is not None
    if follow_it and len(requests) > 1:
        option = "--follow" if other is None else "--failover"
        raise UsageError(f"{option} takes one job", hint="logs JOB --follow, for each of them")
    with context.open_session(host.name) as session:
        # All are planned before the first is sent: a wrong setting dispatches nothing.
        asked_once = AskedOnce(session)
        plans = [(plan_job(recipe, asked_once, request, inventory), swept) for request, swept in requests]
        unsent = [plan for plan, _ in plans if wanted.again or _is_unsent(ledger, host, plan)]
        if other is not None and unsent:
            # Checked before anything is paid for: at night it could not be corrected.
            [(request, swept)], [(plan, _)] = requests, plans
            request = dataclasses.replace(request, host=other, gpus=gpus_on(other, wanted))
            notes = _rehearsal_notes(context, other, recipe, request, plan)
            plans = [(dataclasses.replace(plan, notes=(*plan.notes, *notes)), swept)]
        refusal = _find_refusal(context, session, host, unsent)
        if refusal is not None and other is not None and not dry_run:
            return _dispatch_elsewhere(context, other, *plans[0], refusal, again=wanted.again, say=say)
        if refusal is not None and not dry_run:
            raise refusal
        if dry_run:
            jobs = tuple(preview(ledger, plan, swept, again=wanted.again) for plan, swept in plans)
            seen = look_at_host(session, host, [])
            report = _report(host.name, jobs, dry_run=True, followed=False)
            problem = seen.gpu_problem if any(plan.gpus for plan, _ in plans) else None
            obstacles = refusal.problems if refusal is not None else ()
            specs = [_spec_to_check(ledger, plan) for plan in unsent]
            duplicates = find_duplicates(context, session, host, specs)
            obstacles += tuple(f"{found.what}; {found.hint}" for found in duplicates)
            return dataclasses.replace(report, gpus=seen.gpus, gpu_problem=problem, obstacles=obstacles)
        was_done = not wanted.again and _is_done(ledger, plans[0][0])
        jobs = _dispatch(context, session, host, plans, again=wanted.again)
        lost_here = jobs[0].state is JobState.LOST and other is None
        if not follow_it or was_done or lost_here:
            return _report(host.name, jobs, dry_run=False, followed=False)
        from being_remote.jobs.failover import Failover, follow_or_move
        from being_remote.jobs.move_and_follow import session_with_job_host

        say(_describe(jobs[0].job or "", jobs[0].host, jobs[0].plan, adopted=jobs[0].adopted))
        job = ledger.find(jobs[0].job or "")
        spare = Failover(other, after_s) if other is not None and other.name != job.host else None
        with session_with_job_host(context, job, session, host) as (its_session, its_host):
            ended = follow_or_move(
                context, its_session, its_host, job, say, failover=spare, on_progress=no_progress
            )
    report = _report(ended.row.host, (jobs[0].at(ended.row),), dry_run=False, followed=True)
    return dataclasses.replace(report, home=ended.home, moved=ended.move)


def _describe(job: str, host: str, plan: JobPreview, *, adopted: bool) -> DispatchedLine:
    """What a person sees of a job before it is followed."""
    from being_remote.jobs.follow import DispatchedLine

    changes = (f"{c.key} {c.before} -> {c.after}" for c in plan.changes)
    notes = () if adopted else plan.notes
    return DispatchedLine(job, host, plan.recipe, plan.actor, (*plan.swept, *changes), notes)


def _rehearsal_notes(
    context: JobContext, host: SshHost | LocalHost, recipe: Recipe, request: JobRequest, plan: JobPlan
) -> list[str]:
    """See that the job could continue on `host`, and what to know of that host."""
    from being_remote.jobs.move import rehearse_move

    with context.open_session(host.name) as session, _force_offered([plan]):
        notes = rehearse_move(context, session, host, recipe, request, _spec_to_check(context.ledger, plan))
    return [f"on {host.name}: {note}" for note in notes]


def _is_unsent(ledger: Ledger, host: SshHost | LocalHost, plan: JobPlan) -> bool:
    """Whether the job that `plan` stands for was never sent to a host."""
    same = ledger.find_same_intent(intent_of(plan, "").key)
    return same is None or (same.state is JobState.CREATED and same.host == host.name)


def _is_done(ledger: Ledger, plan: JobPlan) -> bool:
    """Whether the ledger knows that the job that `plan` stands for succeeded."""
    same = ledger.find_same_intent(intent_of(plan, "").key)
    return same is not None and same.state is JobState.SUCCEEDED


def _find_refusal(
    context: JobContext, session: Session, host: SshHost | LocalHost, plans: Sequence[JobPlan]
) -> HostNotReady | None:
    """Why none of the jobs is sent to the host; None if it can run them all."""
    try:
        with _force_offered(plans):
            specs = [_spec_to_check(context.ledger, plan) for plan in plans]
            context.preflight.check(session, host, *specs)
    except HostNotReady as e:
        return e
    return None


@contextmanager
def _force_offered(plans: Sequence[JobPlan]) -> Iterator[None]:
    """Name the options of this command that go on all the same."""
    try:
        yield
    except HostNotReady as e:
        if any(plan.recipe == "command" and plan.gpus for plan in plans):
            e.hint += "; --gpus 0 if it needs none"
        e.hint += "; --force sends it all the same"
        raise


def _spec_to_check(ledger: Ledger, plan: JobPlan) -> JobSpec:
    """The spec that a plan would become: of the job made for it, or under a name that is never used."""
    same = ledger.find_same_intent(intent_of(plan, "").key)
    return plan.spec(same.job if same is not None else new_job_id(plan.recipe), ledger.find_uuid() or "")


def _dispatch_elsewhere(
    context: JobContext,
    other: SshHost | LocalHost,
    plan: JobPlan,
    swept: tuple[str, ...],
    refusal: HostNotReady,
    *,
    again: bool,
    say: Say,
) -> RetrackReport:
    """Move a job that its host cannot run to `other` before it was sent, and follow it there."""
    from being_remote.jobs.follow import MovedLine
    from being_remote.jobs.move_and_follow import move_and_follow
    from being_remote.jobs.move_permission import permit_move

    made = context.ledger.intend(intent_of(plan, context.ledger.uuid), again=again)
    job = made.job
    permission = permit_move(context, job, pod_is_gone=False, dry_run=False)
    say(_describe(job.job, job.host, JobPreview.of(plan, swept), adopted=made.adopted))
    say(MovedLine(job.job, job.attempt, job.host, other.name, permission.state, refusal.what))
    moved = move_and_follow(
        context,
        context.ledger.find(job.job),
        other,
        permission,
        say=say,
        dry_run=False,
        on_progress=no_progress,
    )
    assert moved.row is not None  # it was no dry run
    dispatched = DispatchedJob.of(plan, swept, moved.row, adopted=made.adopted)
    report = _report(other.name, (dispatched,), dry_run=False, followed=True)
    return dataclasses.replace(report, home=moved.home, moved=moved.move)


def _dispatch(
    context: JobContext,
    session: Session,
    host: SshHost | LocalHost,
    plans: Sequence[tuple[JobPlan, tuple[str, ...]]],
    *,
    again: bool,
) -> tuple[DispatchedJob, ...]:
    """Dispatch jobs: all of a host in one round trip.

    Raises:
        BeingRemoteError: what became of the first that was not dispatched; the others were.
    """
    ledger = context.ledger
    with ledger.together() as batch:
        made = [batch.intend(intent_of(plan, batch.uuid), again=again) for plan, _ in plans]
    sent = {
        intent.job.job: ended_status(intent.job, ledger.history(intent.job.job))
        for intent in made
        if intent.job.state is JobState.SUCCEEDED
    }
    problems: list[BeingRemoteError] = []
    to_send = [intent.job for intent in made if intent.job.job not in sent]  # one that was lost is judged
    for name in dict.fromkeys(job.host for job in to_send):
        jobs = {job.job: job for job in to_send if job.host == name}
        try:
            where = context.host_of(next(iter(jobs.values())))
            with nullcontext(session) if name == host.name else context.open_session(name) as its_session:
                results = send_all(ledger, its_session, where, tuple(jobs.values()))
        except BeingRemoteError as e:  # it keeps no other host from its jobs
            problems.append(e)
            continue
        for result in results:
            if isinstance(result, JobStatus):
                sent[result.job] = result
            else:
                problems.append(result)
    if problems:
        raise problems[0]
    return tuple(
        DispatchedJob.of(plan, swept, sent[intent.job.job], adopted=intent.adopted)
        for intent, (plan, swept) in zip(made, plans, strict=True)
    )


def _report(host: str, jobs: tuple[DispatchedJob, ...], *, dry_run: bool, followed: bool) -> RetrackReport:
    first = jobs[0]
    return RetrackReport(
        job=first.job,
        host=host,
        state=first.state,
        gpu=first.gpu,
        spec_sha256=first.spec_sha256,
        adopted=first.adopted,
        dry_run=dry_run,
        followed=followed,
        jobs=jobs,
        has_results=bool(find_recipe(first.plan.recipe).results),
    )
