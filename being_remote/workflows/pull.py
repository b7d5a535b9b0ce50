"""`pull`: download a job's results, verified, into a folder of their own; a second pull moves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from being_remote.errors import (
    BeingRemoteError,
    Busy,
    DataError,
    HostError,
    InconsistentData,
    NotFoundError,
    UsageError,
)
from being_remote.inventory import Inventory
from being_remote.jobs.attempt_files import AttemptFolder
from being_remote.jobs.context import JobContext
from being_remote.jobs.forget import is_forgotten, require_not_forgotten
from being_remote.jobs.job_status import JobStatus, unknown_error
from being_remote.jobs.ledger import LAST, LedgerJob
from being_remote.jobs.logs import attempt_folder
from being_remote.jobs.recipe import Recipe
from being_remote.jobs.result_download import ResultChecks, ResultDownload, download_results
from being_remote.jobs.result_folder import is_of, note_of, read_record
from being_remote.jobs.status_poll import look_at_job, look_at_jobs
from being_remote.jobs.take_over import find_job
from being_remote.pod.job_paths import WORK
from being_remote.pod.job_states import JobState
from being_remote.recipes.registry import find_recipe, recipes_with_results
from being_remote.recipes.result_judge import RESULT_JUDGE
from being_remote.session import OnProgress, Session, no_progress
from being_remote.transfer.quarantine import QuarantineRow, quarantine_row
from being_remote.workflows.job_context import job_context

EXAMPLES = 20
_NOTHING = ResultDownload({}, 0, 0, (), changed=False)


@dataclass(frozen=True)
class PullReport:
    """What lies in `folder` after the pull, and what of it this pull moved."""

    job: str
    host: str
    actor: str | None
    attempt: int
    state: JobState
    reason: str
    folder: Path
    files: int
    bytes: int
    transferred_files: int
    transferred_bytes: int
    verified: int
    changed: bool
    quarantined: tuple[QuarantineRow, ...]
    outputs: tuple[Path, ...]
    round_trips: int
    dry_run: bool

    @property
    def exit_code(self) -> int:
        """5 for a job that did not succeed, 6 where a file was not taken."""
        if self.quarantined:
            return 6
        return 5 if self.state.ended_badly else 0


@dataclass(frozen=True)
class NotPulled:
    """A job of which nothing was downloaded. `is_local`: an earlier pull has its results: no fault."""

    job: str
    host: str
    state: JobState
    reason: str
    is_local: bool
    exit_code: int


@dataclass(frozen=True)
class PullAllReport:
    """What was downloaded of each job that has results, the newest first."""

    jobs: tuple[PullReport | NotPulled, ...]
    dry_run: bool

    @property
    def exit_code(self) -> int:
        """4 where a host gave no answer, 6 where a file was not taken, 3 where results are missing."""
        codes = {job.exit_code for job in self.jobs} - {5}  # how a job ended was said before
        return next((code for code in (4, 6, 3, 2) if code in codes), 0)


def pull(
    inventory: Inventory,
    job: str,
    *,
    all_files: bool = False,
    take_over: bool = False,
    dry_run: bool = False,
    on_progress: OnProgress = no_progress,
) -> PullReport:
    """Download the results of the attempt that the ledger names.

    Args:
        job: an id, a unique beginning, or `last`: the last one of a kind that leaves results, also with
            `all_files`.
        all_files: checkpoints and all else, too; of a job that did not succeed, what is whole.
        take_over: the job may be in another laptop's ledger; it is written down here first.

    Raises:
        NotFoundError: the job is unknown, or has no results yet.
        HostError: no answer, or the link failed; the next pull goes on with what arrived.
        DataError: a file is torn, unsafe or not the host's; nothing here was changed.
    """
    context = job_context(inventory, dry_run=dry_run)
    # Only `last` needs to know all recipes: a broken plug-in stops no pull of a job that is named.
    recipes = recipes_with_results() if job == LAST else ()
    found = find_job(context, job, "pull", take_over=take_over, recipes=recipes, dry_run=dry_run)
    require_not_forgotten(context, found)
    host = context.host_of(found)
    with _local_results_named(context, found), context.open_session(host.name) as session:
        status = look_at_job(context.ledger, session, host, found, remember=not dry_run)
        return _pull_job(context, session, found, status, all_files, dry_run, on_progress)


@contextmanager
def _local_results_named(context: JobContext, job: LedgerJob) -> Iterator[None]:
    """Where the host gives no answer: name the folder of what was downloaded before."""
    try:
        yield
    except HostError as e:
        folder = context.result_folder(job)
        if is_of(read_record(folder), note_of(job)):
            e.hint = f"{e.hint}; what was downloaded before is in {folder}".lstrip("; ")
        raise


def pull_all_jobs(
    inventory: Inventory,
    *,
    all_files: bool = False,
    dry_run: bool = False,
    on_progress: OnProgress = no_progress,
) -> PullAllReport:
    """Download the results of every job of the ledger that has them, one host after another.

    Args:
        all_files: as for one; then also of jobs that did not succeed.
    """
    context = job_context(inventory, dry_run=dry_run)
    wanted: dict[str, list[LedgerJob]] = {}
    for job in context.ledger.jobs():
        if (all_files or not job.state.ended_badly) and not is_forgotten(context.ledger, job):
            wanted.setdefault(job.host, []).append(job)
    done: dict[str, PullReport | NotPulled] = {}
    for name, jobs in wanted.items():
        try:
            host = inventory.host(name)
            with context.open_session(name) as session:
                looks = look_at_jobs(context.ledger, session, host, jobs, remember=not dry_run)
                for job, status in zip(jobs, looks, strict=True):
                    pulled = _pull_if_ended(context, session, job, status, all_files, dry_run, on_progress)
                    if pulled is not None:
                        done[job.job] = pulled
        except (HostError, Busy, UsageError) as e:  # or the inventory names it no more
            done.update({job.job: _not_pulled(context, job, e) for job in jobs if job.job not in done})
    return PullAllReport(tuple(done[j.job] for j in context.ledger.jobs() if j.job in done), dry_run)


def _pull_if_ended(
    context: JobContext,
    session: Session,
    job: LedgerJob,
    status: JobStatus,
    all_files: bool,
    dry_run: bool,
    on_progress: OnProgress,
) -> PullReport | NotPulled | None:
    """Pull one of many jobs; None for one that has no results, or has not ended."""
    if not status.state.ended and status.state is not JobState.UNKNOWN:
        return None
    try:
        if not _patterns(find_recipe(job.recipe), all_files=all_files):
            return None
        pulled = _pull_job(context, session, job, status, all_files, dry_run, on_progress)
    except HostError as e:
        if status.state is not JobState.UNKNOWN:
            raise
        return _not_pulled(context, job, e)
    except NotFoundError as e:
        return None if status.state.ended_badly else _not_pulled(context, job, e)  # it left nothing
    except BeingRemoteError as e:
        return _not_pulled(context, job, e)
    return pulled if pulled.files else None


def _not_pulled(context: JobContext, job: LedgerJob, error: BeingRemoteError) -> NotPulled:
    """Why a job was not pulled; what was pulled and judged before is local, whatever its host says."""
    record = read_record(context.result_folder(job))
    is_local = is_of(record, note_of(job)) and bool((record or {}).get("judged"))
    reason = (
        f"local since an earlier pull; not compared with the host: {error.what}" if is_local else error.what
    )
    return NotPulled(job.job, job.host, job.state, reason, is_local, 0 if is_local else error.exit_code)


def _pull_job(
    context: JobContext,
    session: Session,
    found: LedgerJob,
    status: JobStatus,
    all_files: bool,
    dry_run: bool,
    on_progress: OnProgress,
) -> PullReport:
    host = context.inventory.host(found.host)
    recipe, folder = find_recipe(found.recipe), context.result_folder(found)
    remote = attempt_folder(host.workdir, found.job, found.attempt) / WORK
    patterns = _patterns(recipe, all_files=all_files)
    partial = _allows_partial_results(status, all_files=all_files)
    if not partial and status.state.ended_badly:
        return _report(status, folder, _NOTHING, dry_run=dry_run, round_trips=session.round_trips)
    attempt = AttemptFolder(session, host.python, remote, patterns)
    files, skipped = attempt.list_files(folder)
    if not files:
        raise NotFoundError(
            "has none of the results that its recipe names" if patterns else "its recipe names no results",
            where=found.job,
            hint=f"pull {found.job} --all" if not all_files else f"logs {found.job}",
        )

    def verify_all(stage: Path) -> None:
        try:
            if not partial:
                recipe.verify_results(stage)
        except (DataError, NotFoundError) as e:
            where = f"{found.host}:{remote}"
            raise InconsistentData(str(e), file=where, hint="do not use this job's results") from e

    if dry_run:
        done = ResultDownload({f.path: f.bytes for f in files}, 0, 0, skipped, changed=False)
    else:
        checks = ResultChecks(RESULT_JUDGE, verify_all, partial)
        done = download_results(attempt, folder, (files, skipped), note_of(found), checks, on_progress)
    return _report(status, folder, done, dry_run=dry_run, round_trips=session.round_trips)


def _patterns(recipe: Recipe, *, all_files: bool) -> tuple[str, ...]:
    return (*recipe.results, *(recipe.more_results if all_files else ()))


def _allows_partial_results(status: JobStatus, *, all_files: bool) -> bool:
    """Whether the job ended without success, so that only its whole files can be had.

    Raises:
        NotFoundError: it has not ended.
        HostError: its status is unknown.
    """
    if status.state is JobState.UNKNOWN:
        raise unknown_error(status, hint=f"jobs --why {status.job}")
    if not status.state.ended:
        raise NotFoundError(
            f"has no results yet: it is {status.state}",
            where=status.job,
            hint=f"logs {status.job} --follow" if status.state.started else f"jobs --why {status.job}",
        )
    return all_files and status.state.ended_badly


def _report(
    status: JobStatus, folder: Path, done: ResultDownload, *, dry_run: bool, round_trips: int
) -> PullReport:
    return PullReport(
        job=status.job,
        host=status.host,
        actor=status.actor,
        attempt=status.attempt,
        state=status.state,
        reason=status.reason,
        folder=folder,
        files=len(done.files),
        bytes=sum(done.files.values()),
        transferred_files=done.transferred_files,
        transferred_bytes=done.transferred_bytes,
        verified=0 if dry_run else len(done.files),
        changed=done.changed,
        quarantined=tuple(map(quarantine_row, done.set_aside)),
        outputs=tuple(folder / name for name in sorted(done.files) if "/" not in name)[:EXAMPLES],
        round_trips=round_trips,
        dry_run=dry_run,
    )
