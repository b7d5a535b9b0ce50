"""`pull JOB`: a job's results come home, checked, into a folder of their own; twice moves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from being_remote.errors import DataError, HostError, InconsistentData, NotFoundError
from being_remote.inventory import Inventory
from being_remote.jobs.attempt_files import AttemptFolder, SkippedFile
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import ledger_of
from being_remote.jobs.logs import attempt_folder
from being_remote.jobs.result_download import ResultChecks, download_results, folder_of
from being_remote.jobs.result_folder import note_of
from being_remote.jobs.status_poll import look_at_job
from being_remote.pod.job_paths import WORK
from being_remote.pod.job_states import JobState
from being_remote.recipes.registry import find_recipe, recipes_with_results
from being_remote.recipes.result_judge import RESULT_JUDGE
from being_remote.session import OnProgress, no_progress

EXAMPLES = 20


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
    quarantined: tuple[SkippedFile, ...]
    outputs: tuple[Path, ...]
    round_trips: int
    dry_run: bool

    @property
    def exit_code(self) -> int:
        """5 for a job that did not succeed, 6 where something was set aside."""
        if self.quarantined:
            return 6
        return 5 if self.state.ended_badly else 0


def pull(
    inventory: Inventory,
    job: str,
    *,
    all_files: bool = False,
    dry_run: bool = False,
    on_progress: OnProgress = no_progress,
) -> PullReport:
    """Fetch the results of the attempt that the ledger names.

    Args:
        inventory: who is who.
        job: an id, a unique beginning, or `last`: the last one of a kind that leaves results.
        all_files: checkpoints and all else, too; of a job that did not succeed, what is whole.
        dry_run: only look.
        on_progress: told how far it is.

    Raises:
        NotFoundError: no such job; or it has no results yet.
        HostError: the host could not be asked, or the link failed; what arrived stays aside.
        DataError: a file is torn, unsafe or not the host's; nothing here was changed.
    """
    from being_remote.transport import open_session

    ledger = ledger_of(inventory)
    known = ledger.find(job, recipes=recipes_with_results(all_files=all_files))
    host, kind = inventory.host(known.host), find_recipe(known.recipe)
    folder = folder_of(inventory, known)
    there = attempt_folder(host.workdir, known.job, known.attempt) / WORK
    patterns = (*kind.results, *(kind.more_results if all_files else ()))
    with open_session(host, inventory, remember=not dry_run) as session:
        row = look_at_job(ledger, session, host, known, remember=not dry_run)
        partial = _may_be_partial(row, all_files=all_files)
        if not partial and row.state.ended_badly:
            return _report(row, folder, {}, dry_run=dry_run, round_trips=session.round_trips)
        work = AttemptFolder(session, host.python, there, patterns)
        offers, aside = work.list_files(folder)
        if not offers:
            raise NotFoundError(
                "has no results of the kinds that were asked for"
                if patterns
                else "its recipe names no results",
                where=known.job,
                hint=f"pull {known.job} --all" if not all_files else f"logs {known.job}",
            )
        if dry_run:
            sizes = {o.path: o.bytes for o in offers}
            return _report(row, folder, sizes, aside=aside, dry_run=True, round_trips=session.round_trips)

        def judge_all(stage: Path) -> None:
            try:
                if not partial:
                    kind.verify_results(stage)
            except (DataError, NotFoundError) as e:
                raise InconsistentData(
                    str(e), file=f"{known.host}:{there}", hint="do not use this job's results"
                ) from e

        done = download_results(
            work,
            folder,
            (offers, aside),
            note_of(known),
            ResultChecks(RESULT_JUDGE, judge_all, partial),
            on_progress,
        )
        return _report(
            row,
            folder,
            done.files,
            moved=(done.transferred_files, done.transferred_bytes),
            aside=done.set_aside,
            changed=done.changed,
            dry_run=False,
            round_trips=session.round_trips,
        )


def _may_be_partial(row: JobStatus, *, all_files: bool) -> bool:
    """Whether the job ended without success, so that only what is whole can be had.

    Raises:
        NotFoundError: it has not ended.
        HostError: it is not known how it stands.
    """
    if row.state is JobState.UNKNOWN:
        raise HostError(
            f"{row.job}: how it stands is unknown: {row.reason}", host=row.host, hint=f"jobs --why {row.job}"
        )
    if not row.state.ended:
        raise NotFoundError(
            f"has no results yet: it is {row.state}", where=row.job, hint=f"logs {row.job} --follow"
        )
    return all_files and row.state.ended_badly


def _report(
    row: JobStatus,
    folder: Path,
    sizes: Mapping[str, int],
    *,
    moved: tuple[int, int] = (0, 0),
    aside: tuple[SkippedFile, ...] = (),
    changed: bool = False,
    dry_run: bool,
    round_trips: int,
) -> PullReport:
    outputs = tuple(folder / name for name in sorted(sizes) if "/" not in name)[:EXAMPLES]
    return PullReport(
        job=row.job,
        host=row.host,
        actor=row.actor,
        attempt=row.attempt,
        state=row.state,
        reason=row.reason,
        folder=folder,
        files=len(sizes),
        bytes=sum(sizes.values()),
        transferred_files=moved[0],
        transferred_bytes=moved[1],
        verified=0 if dry_run else len(sizes),
        changed=changed,
        quarantined=aside,
        outputs=outputs,
        round_trips=round_trips,
        dry_run=dry_run,
    )
