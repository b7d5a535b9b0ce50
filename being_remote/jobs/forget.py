"""Remove what a finished job left on its host, once its results are verified locally."""

from __future__ import annotations

from dataclasses import dataclass, replace

from being_remote.errors import NotFoundError, UsageError
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.attempt_files import AttemptFolder
from being_remote.jobs.context import JobContext
from being_remote.jobs.job_status import JobStatus, unknown_error
from being_remote.jobs.ledger import Ledger, LedgerJob, volume_of
from being_remote.jobs.logs import attempt_folder
from being_remote.jobs.result_folder import is_of, note_of, read_record
from being_remote.jobs.status_poll import look_at_host, look_at_job
from being_remote.pod.job_paths import WORK
from being_remote.pod.job_states import JobState
from being_remote.pod_client.forget import forget_on_host
from being_remote.session import Session
from being_remote.transfer.checked_files import has_hash

EXAMPLES = 3
_KEPT = {
    "busy": "a process of it still runs on the host",
    "newer": "another laptop made a newer attempt of it",
    "elsewhere": "the host has another disk than the one on which the job lies",
}


@dataclass(frozen=True)
class ForgottenJob:
    """What became of one job. `forgotten`: its folder is removed and its id will never start again; in a
    dry run, it would be. `not_local`: its results of which no equal file is local.
    `freed_bytes`: what its files took on the host."""

    job: str
    host: str
    attempt: int
    state: JobState
    forgotten: bool
    reason: str
    not_local: int = 0
    freed_bytes: int = 0

    @property
    def exit_code(self) -> int:
        """6 where results are not local, 4 where it is unknown or busy."""
        return 0 if self.forgotten else 6 if self.not_local else 4


def forget_job(
    context: JobContext,
    session: Session,
    host: SshHost | LocalHost,
    job: LedgerJob,
    *,
    discard_results: bool,
    dry_run: bool,
) -> ForgottenJob:
    """Forget one job on its host.

    Args:
        discard_results: also where results of it are not local.

    Raises:
        UsageError: it has not ended.
        HostError: no answer, or its state is unknown.
    """
    status = look_at_job(context.ledger, session, host, job, remember=not dry_run)
    _require_end(status)
    here = look_at_host(session, host, [job.job])
    shown = here.job(job.job)
    if shown is not None:  # the ledger may only say that it was abandoned
        _require_end(shown)
    said = ForgottenJob(job.job, host.name, job.attempt, status.state, False, "")
    if not discard_results:
        not_local = _find_not_local(context, session, host, job)
        if not_local:
            examples = ", ".join(not_local[:EXAMPLES]) + (", ..." if len(not_local) > EXAMPLES else "")
            reason = (
                f"{len(not_local)} of its files are not local: {examples}; pull {job.job} --all downloads"
                f" them, forget {job.job} --discard-results gives them up"
            )
            return replace(said, reason=reason, not_local=len(not_local))
    answer = forget_on_host(
        session,
        host.python,
        host.workdir,
        job.job,
        attempt=job.attempt,
        volume=volume_of(context.ledger.history(job.job), job.attempt) or here.incarnation.volume,
        dry_run=dry_run,
    )
    if answer.forget in _KEPT:
        return replace(said, reason=f"{_KEPT[answer.forget]}; nothing was removed")
    reason = f"its folder {'would be' if dry_run else 'is'} removed, with its log"
    if answer.forget == "absent":
        reason = "nothing of it is on the host"
    if not dry_run:
        context.ledger.note(job.job, job.attempt, {**status.evidence, "forgotten": host.name})
    return replace(said, forgotten=True, reason=reason, freed_bytes=answer.bytes)


def is_forgotten(ledger: Ledger, job: LedgerJob) -> bool:
    """Whether the attempt that counts was forgotten; nothing of it is on its host any more."""
    steps = ledger.history(job.job)
    return any(step.attempt == job.attempt and "forgotten" in step.evidence for step in steps)


def require_not_forgotten(context: JobContext, job: LedgerJob) -> None:
    """Raise NotFoundError where the attempt that counts was forgotten; nothing is written down."""
    if is_forgotten(context.ledger, job):
        folder = context.result_folder(job)
        again = "the same settings with --again make a new job"
        raise NotFoundError(
            f"it was forgotten; its folder on {job.host} is removed",
            where=job.job,
            hint=f"its files are in {folder}; {again}" if folder.is_dir() else again,
        )


def _require_end(status: JobStatus) -> None:
    if status.state is JobState.UNKNOWN:
        raise unknown_error(status, hint=f"nothing was removed; jobs --why {status.job}")
    if not status.state.ended:
        raise UsageError(
            f"it is {status.state}; only a job that has ended is forgotten",
            where=status.job,
            hint=f"cancel {status.job}",
        )


def _find_not_local(
    context: JobContext, session: Session, host: SshHost | LocalHost, job: LedgerJob
) -> list[str]:
    """The attempt's files on the host that its recipe names, and that are not local with the same hash.

    Raises:
        UsageError: its recipe is unknown here, and with it which files count.
        HostError: no answer.
    """
    recipe, folder = context.find_recipe(job.recipe), context.result_folder(job)
    remote = attempt_folder(host.workdir, job.job, job.attempt) / WORK
    attempt = AttemptFolder(session, host.python, remote, (*recipe.results, *recipe.more_results))
    try:
        files, skipped = attempt.list_files(folder)
    except NotFoundError:  # it never began
        return []
    ours = is_of(read_record(folder), note_of(job))
    on_host = attempt.hash_files(files).files if files and ours else {}
    missing = [
        file.path
        for file in files
        if file.path not in on_host or not has_hash(folder / file.path, on_host[file.path].sha256 or "")
    ]
    return [*missing, *(file.path for file in skipped)]
