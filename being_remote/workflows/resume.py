"""`resume JOB`: the next attempt of a job that is known to be ended, on the same host or on another.

Nothing here guesses: a job that may still run is never started again, unless the user gives their
word that its pod is gone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from being_remote.errors import HostError, NotFoundError, UsageError
from being_remote.inventory import Inventory
from being_remote.jobs.background_download import DownloadSummary
from being_remote.jobs.context import JobContext
from being_remote.jobs.dispatch import send
from being_remote.jobs.follow import Say, follow
from being_remote.jobs.job_status import BAD, JobStatus, exit_code_of
from being_remote.jobs.ledger import Ledger, LedgerJob
from being_remote.jobs.move import Move, upload_carried_again
from being_remote.jobs.move_and_follow import move_and_follow, moved_here
from being_remote.jobs.move_permission import abandonment, permit_move
from being_remote.jobs.status_poll import look, look_at
from being_remote.jobs.take_over import take_over as taken_over
from being_remote.session import OnProgress, Session, no_progress
from being_remote.workflows.job_context import job_context


@dataclass(frozen=True)
class ResumeReport:
    """The attempt that was made. `took_over`: the job came from another laptop's ledger; `home`: what
    came of it, where it was followed; `moved`: what it took along to another host."""

    job: str
    host: str
    attempt: int
    previous_state: str
    state: str
    gpu: tuple[str, ...]
    spec_sha256: str
    reason: str
    took_over: bool
    followed: bool
    dry_run: bool
    home: DownloadSummary | None = None
    moved: Move | None = None

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
    follow_it: bool = False,
    dry_run: bool = False,
    say: Say = lambda _: None,
    on_progress: OnProgress = no_progress,
) -> ResumeReport:
    """Make attempt n + 1.

    Args:
        inventory: who is who.
        job: an id, a unique beginning, or `last`; with `take_over` the id as `jobs` shows it.
        host: where it is to go on; with `take_over` where a job of another laptop lies. Default: its own.
        pod_is_gone: the user's word that the attempt whose state is unknown does not run any more, or
            that it may be paid for twice.
        take_over: the job is in another laptop's ledger; one that runs is only written down here.
        follow_it: follow the new attempt to its end.
        dry_run: only look.
        on_progress: told how far it is with what the job takes along.

    Raises:
        UsageError: it still runs, or succeeded; or another terminal was faster.
        NotFoundError, DataError: it cannot go on on `host`; see `jobs.move`.
        HostError: whether it runs is unknown, and so nothing was done; or, with `pod_is_gone`, its own
            host does not answer: then the attempt is abandoned, and nothing was started.
    """
    context = job_context(inventory, dry_run=dry_run)
    ledger = context.ledger
    known = _found(ledger, job, take_over=take_over)
    if known is not None and not take_over and host not in (None, known.host):
        return _elsewhere(
            context,
            known,
            str(host),
            pod_is_gone=pod_is_gone,
            follow_it=follow_it,
            dry_run=dry_run,
            say=say,
            on_progress=on_progress,
        )
    where = inventory.the_host(host) if known is None else inventory.host(host or known.host)
    # The command that moved it, given again: the user's word was of the host that it left.
    again = host is not None and known is not None and moved_here(ledger, known)
    pod_is_gone = pod_is_gone and not again
    with _opened_or_abandoned(
        lambda: context.open_session(where.name),
        ledger,
        known,
        abandon=pod_is_gone and not dry_run,
    ) as session:
        seen = look(session, where, [known.job]).job(known.job) if known is not None else None
        if known is None or (take_over and seen is not None and seen.attempt > known.attempt):
            name = job if known is None else known.job
            known = taken_over(inventory, ledger, session, where, name, dry_run=dry_run)
        elif seen is not None and seen.attempt > known.attempt:
            raise UsageError(
                f"another laptop made attempt {seen.attempt} of it, which is {seen.state}",
                where=known.job,
                hint="--take-over, if it is yours from now on",
            )
        row = look_at(ledger, session, where, known, remember=not dry_run)
        if take_over and row.state not in (*BAD, "unknown", "created"):
            return _report(row, row, known, took_over=True, followed=False, dry_run=False)
        at_work = again and row.state not in (*BAD, "unknown", "created", "succeeded")
        if not at_work:
            _may_go_on(row, pod_is_gone=pod_is_gone, again=again)
        if dry_run:
            return _report(row, row, known, took_over=take_over, followed=False, dry_run=True)
        if row.state not in BAD and row.state != "created" and not at_work:
            word = abandonment(row.state, row.reason, "its pod is gone")
            ledger.record(known.job, known.attempt, "abandoned", word)
        if row.state == "created":
            upload_carried_again(context, session, where, known, on_progress)
        elif not at_work:
            known = ledger.next_attempt(known.job, known.attempt, {"reason": f"resumed after {row.state}"})
        after = row if at_work else send(ledger, session, where, known)
        if follow_it:
            known = ledger.find(known.job)
            followed = follow(context, session, where, known, say)
            report = _report(row, followed.row, known, took_over=take_over, followed=True, dry_run=False)
            return dataclasses.replace(report, home=followed.home)
    return _report(row, after, known, took_over=take_over, followed=False, dry_run=False)


def _opened_or_abandoned(
    open_it: Callable[[], Session], ledger: Ledger, known: LedgerJob | None, *, abandon: bool
) -> Session:
    """A session; where there is none and the user says that the pod is gone, its attempt is abandoned."""
    try:
        return open_it()
    except HostError as e:
        if abandon and known is not None and not known.ended:
            word = abandonment(known.state, e.what, "its pod is gone")
            ledger.record(known.job, known.attempt, "abandoned", word)
            e.hint = (
                f"attempt {known.attempt} of {known.job} is abandoned on your word; resume {known.job} --host"
                " OTHER goes on elsewhere, and resume alone here once the host answers again"
            )
        raise


def _elsewhere(
    context: JobContext,
    known: LedgerJob,
    host: str,
    *,
    pod_is_gone: bool,
    follow_it: bool,
    dry_run: bool,
    say: Say,
    on_progress: OnProgress,
) -> ResumeReport:
    to = context.inventory.host(host)
    leaving = permit_move(context, known, pod_is_gone=pod_is_gone, dry_run=dry_run)
    done = move_and_follow(
        context,
        known,
        to,
        leaving,
        say=say if follow_it else None,
        dry_run=dry_run,
        on_progress=on_progress,
    )
    row = done.row
    return ResumeReport(
        job=known.job,
        host=to.name,
        attempt=known.attempt + 1,
        previous_state=leaving.state,
        state=row.state if row is not None else leaving.state,
        gpu=row.gpu if row is not None else (),
        spec_sha256=row.spec_sha256 or "" if row is not None else known.spec_sha256,
        reason=row.reason if row is not None else leaving.reason,
        took_over=False,
        followed=follow_it,
        dry_run=dry_run,
        home=done.home,
        moved=done.move,
    )


def _may_go_on(row: JobStatus, *, pod_is_gone: bool, again: bool) -> None:
    if row.state in BAD or row.state == "created":
        return
    if row.state == "unknown":
        if pod_is_gone:
            return
        raise HostError(
            f"{row.job}: whether attempt {row.attempt} still runs is unknown: {row.reason}",
            host=row.host,
            hint=f"if {row.host} is gone, too, say so of it alone: resume {row.job} --pod-is-gone"
            if again
            else "if its pod is gone for good, say so: --pod-is-gone",
        )
    done = row.state == "succeeded"
    hint = f"pull {row.job}" if done else f"logs {row.job} --follow, or cancel {row.job}"
    stands = "has succeeded" if done else f"is {row.state}"
    raise UsageError(f"it {stands}; there is nothing to resume", where=row.job, hint=hint)


def _found(ledger: Ledger, job: str, *, take_over: bool) -> LedgerJob | None:
    try:
        return ledger.find(job)
    except NotFoundError:
        if not take_over:
            raise
        return None


def _report(
    before: JobStatus, after: JobStatus, known: LedgerJob, *, took_over: bool, followed: bool, dry_run: bool
) -> ResumeReport:
    return ResumeReport(
        job=known.job,
        host=known.host,
        attempt=known.attempt + 1 if dry_run else after.attempt,
        previous_state=before.state,
        state=after.state,
        gpu=after.gpu,
        spec_sha256=known.spec_sha256,
        reason=after.reason,
        took_over=took_over,
        followed=followed,
        dry_run=dry_run,
    )
