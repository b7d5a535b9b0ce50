"""`resume JOB`: the next attempt of a job that is known to be ended, on the same host or on another.

Nothing here guesses: a job that may still run is never started again, unless the user confirms that its
pod is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from being_remote.errors import NotFoundError
from being_remote.inventory import Inventory
from being_remote.jobs.context import JobContext
from being_remote.jobs.follow import Say
from being_remote.jobs.follow import follow as follow_job
from being_remote.jobs.forget import require_not_forgotten
from being_remote.jobs.job_status import JobStatus, exit_code_of
from being_remote.jobs.ledger import LedgerJob
from being_remote.jobs.live_download import DownloadSummary
from being_remote.jobs.move import Move
from being_remote.jobs.move_and_follow import move_and_follow, moved_here
from being_remote.jobs.move_permission import permit_move
from being_remote.jobs.resume import ResumeChoice, ResumedJob, open_or_abandon, resume_on_host
from being_remote.jobs.take_over import find_job
from being_remote.pod.job_states import JobState
from being_remote.session import no_progress
from being_remote.workflows.job_context import job_context


@dataclass(frozen=True)
class ResumeReport:
    """The attempt that was made. `took_over`: the job came from another laptop's ledger; `home`: what was
    downloaded, where it was followed; `moved`: what it took along to another host; `has_results`: as in
    `RetrackReport`."""

    job: str
    host: str
    attempt: int
    previous_state: JobState
    state: JobState
    gpu: tuple[str, ...]
    spec_sha256: str
    reason: str
    took_over: bool
    followed: bool
    dry_run: bool
    home: DownloadSummary | None = None
    moved: Move | None = None
    has_results: bool = True

    @property
    def exit_code(self) -> int:
        """How the new attempt stands."""
        return 0 if self.dry_run else exit_code_of(self.state)


def resume(
    inventory: Inventory,
    job: str,
    *,
    host: str | None = None,
    pod_is_gone: bool = False,
    take_over: bool = False,
    again: bool = False,
    dry_run: bool = False,
    follow: Say | None = None,
) -> ResumeReport:
    """Make the next attempt of a job.

    Args:
        job: an id, a unique beginning, or `last`; with `take_over` the id as `jobs` shows it.
        host: where it is to continue; with `take_over` where a job of another laptop lies. Default: its own.
        pod_is_gone: the user confirms that the attempt whose state is unknown does not run any more, or
            accepts that it may be paid for twice.
        take_over: the job is in another laptop's ledger; one that runs is only written down here.
        again: start it also beside another laptop's job of the same settings.
        follow: gets the lines and states of the new attempt, which is followed to its end; None: it is not.

    Raises:
        UsageError: it still runs, or succeeded; or another terminal was faster.
        NotFoundError, DataError: it cannot continue on `host`; see `jobs.move`.
        HostError: whether it runs is unknown, and so nothing was done; or, with `pod_is_gone`, its own
            host does not answer: then the attempt is abandoned, and nothing was started.
    """
    context = job_context(inventory, dry_run=dry_run, again=again)
    found = _find(context, job, take_over=take_over)
    if found is not None and not take_over and host is not None and host != found.host:
        return _resume_elsewhere(context, found, host, pod_is_gone=pod_is_gone, say=follow, dry_run=dry_run)
    if found is not None:
        require_not_forgotten(context, found)
    if found is None:
        where = inventory.the_host(host)
    else:
        where = inventory.host(host) if host is not None else context.host_of(found)
    # The command that moved it, given again: what the user confirmed was about the host that it left.
    repeated = host is not None and found is not None and moved_here(context.ledger, found)
    choice = ResumeChoice(pod_is_gone and not repeated, take_over, repeated, dry_run)
    with open_or_abandon(context, where.name, found, choice) as session:
        resumed = resume_on_host(context, session, where, job, found, choice)
        if dry_run or resumed.only_recorded or follow is None:
            return _report(context, resumed, resumed.after, take_over=take_over, dry_run=dry_run)
        followed = follow_job(context, session, where, resumed.job, follow)
    report = _report(context, resumed, followed.row, take_over=take_over, dry_run=False)
    return replace(report, followed=True, home=followed.home)


def _find(context: JobContext, job: str, *, take_over: bool) -> LedgerJob | None:
    """The job in the ledger; None for one that is to be taken over."""
    if not take_over:
        return find_job(context, job, "resume", take_over=False)
    try:
        return context.ledger.find(job)
    except NotFoundError:
        return None


def _report(
    context: JobContext, resumed: ResumedJob, status: JobStatus, *, take_over: bool, dry_run: bool
) -> ResumeReport:
    job = resumed.job
    would_start = dry_run and not resumed.only_recorded
    return ResumeReport(
        job=job.job,
        host=job.host,
        attempt=job.attempt + 1 if would_start and not resumed.starts_again else status.attempt,
        previous_state=resumed.before.state,
        state=status.state,
        gpu=status.gpu,
        spec_sha256=job.spec_sha256,
        reason=status.reason,
        took_over=take_over,
        followed=False,
        dry_run=would_start,
        has_results=context.has_results(job.recipe),
    )


def _resume_elsewhere(
    context: JobContext,
    job: LedgerJob,
    host: str,
    *,
    pod_is_gone: bool,
    say: Say | None,
    dry_run: bool,
) -> ResumeReport:
    to = context.inventory.host(host)
    permission = permit_move(context, job, pod_is_gone=pod_is_gone, dry_run=dry_run)
    moved = move_and_follow(context, job, to, permission, say=say, dry_run=dry_run, on_progress=no_progress)
    status = moved.row
    return ResumeReport(
        job=job.job,
        host=to.name,
        attempt=job.attempt + 1,
        previous_state=permission.state,
        state=status.state if status is not None else permission.state,
        gpu=status.gpu if status is not None else (),
        spec_sha256=status.spec_sha256 or "" if status is not None else job.spec_sha256,
        reason=status.reason if status is not None else permission.reason,
        took_over=False,
        followed=say is not None,
        dry_run=dry_run,
        home=moved.home,
        moved=moved.move,
        has_results=context.has_results(job.recipe),
    )
