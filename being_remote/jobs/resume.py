"""The next attempt of a job on its own host: only after a known end, or where the user abandons one.

Where only the supervisor died, the attempt gets another one instead: it goes on, or its files are judged.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from being_remote.errors import HostError, UsageError
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.context import JobContext
from being_remote.jobs.dispatch import send
from being_remote.jobs.job_status import JobStatus, unknown_error
from being_remote.jobs.ledger import AGAIN, LedgerJob
from being_remote.jobs.move import upload_carried_again
from being_remote.jobs.move_permission import abandon
from being_remote.jobs.orphaned_jobs import lacks_supervisor, supervise_again
from being_remote.jobs.same_intent import refuse_duplicate
from being_remote.jobs.spec import JobSpec
from being_remote.jobs.status_poll import look_at_host, look_at_job
from being_remote.jobs.take_over import take_over_job
from being_remote.pod.job_states import JobState
from being_remote.session import Session, no_progress


@dataclass(frozen=True)
class ResumeChoice:
    """What the user decided.

    Attributes:
        pod_is_gone: an attempt whose state is unknown is abandoned, though it may be paid for twice.
        take_over: a job of another laptop's ledger, or a newer attempt of it, is written down here.
        repeated: the job was moved to this host by the same command before.
        dry_run: only look.
    """

    pod_is_gone: bool
    take_over: bool
    repeated: bool
    dry_run: bool


@dataclass(frozen=True)
class ResumedJob:
    """The job with the attempt that counts now, how the one before stood, and how it stands.

    `only_recorded`: it was taken over while it runs, or after it succeeded, so it makes no new attempt; or
    in a dry run, it would only get another supervisor.
    `starts_again`: nor does one that had not started, and that nothing on its host would have started.
    """

    job: LedgerJob
    before: JobStatus
    after: JobStatus
    only_recorded: bool = False
    starts_again: bool = False


def open_or_abandon(
    context: JobContext, host: str, job: LedgerJob | None, choice: ResumeChoice
) -> AbstractContextManager[Session]:
    """A session with the job's host.

    Raises:
        HostError: no session. Where the user said that the pod is gone, the attempt is then abandoned.
    """
    try:
        return context.open_session(host)
    except HostError as e:
        if job is not None and not choice.pod_is_gone and not choice.take_over:
            word = "" if job.ended else " --pod-is-gone"
            e.hint = f"{e.hint}; if it is gone for good: resume {job.job} --host OTHER{word}".lstrip("; ")
        if choice.pod_is_gone and not choice.dry_run and job is not None and not job.ended:
            abandon(context.ledger, job, e.what)
            e.hint = (
                f"attempt {job.attempt} of {job.job} is abandoned, as you confirmed; resume {job.job} --host"
                " OTHER continues elsewhere, and resume alone here once the host answers again"
            )
        raise


def resume_on_host(
    context: JobContext,
    session: Session,
    host: SshHost | LocalHost,
    word: str,
    job: LedgerJob | None,
    choice: ResumeChoice,
) -> ResumedJob:
    """Make the next attempt of `job` and start it; one that runs is only written down or left alone.

    One that waits in a queue that no process keeps any more is submitted again as it is.

    Args:
        word: the job as typed; its id where `job` is None because the ledger does not have it.

    Raises:
        UsageError: it still runs, or succeeded; or another terminal or laptop was faster.
        HostNotReady: the host lacks what the job needs; nothing was started.
        DuplicateJob: another ledger's job of the same intent may be at work there.
        HostError: no answer, or whether it runs is unknown; nothing was started.
    """
    ledger = context.ledger
    seen = look_at_host(session, host, [job.job]).job(job.job) if job is not None else None
    is_newer = job is not None and seen is not None and seen.attempt > job.attempt
    if job is None or (is_newer and choice.take_over):
        word = word if job is None else job.job
        job = take_over_job(context.inventory, ledger, session, host, word, dry_run=choice.dry_run)
    elif is_newer and seen is not None:
        raise UsageError(
            f"another laptop made attempt {seen.attempt} of it, which is {seen.state}",
            where=job.job,
            hint="--take-over, if it is yours from now on",
        )
    before = look_at_job(ledger, session, host, job, remember=not choice.dry_run)
    if lacks_supervisor(before) and choice.dry_run and before.state.started:
        return ResumedJob(job, before, before, only_recorded=True)
    if lacks_supervisor(before) and not choice.dry_run:
        after = supervise_again(ledger, session, host, job, before)
        if not after.state.ended_badly:
            return ResumedJob(ledger.find(job.job), before, after)
        before = after
    if before.is_unattended:
        after = before if choice.dry_run else send(ledger, session, host, job)
        return ResumedJob(job, before, after, starts_again=True)
    if choice.take_over and (before.state.active or before.state is JobState.SUCCEEDED):
        return ResumedJob(job, before, before, only_recorded=True)
    runs = choice.repeated and before.state.active
    if not runs:
        _check_resumable(context, job, before, choice)
        spec = JobSpec.from_bytes(job.spec)
        context.preflight.check(session, host, spec, ran_there=True)
        refuse_duplicate(context, session, host, spec)
    if choice.dry_run or runs:
        return ResumedJob(job, before, before)
    if before.state is JobState.CREATED:
        upload_carried_again(context, session, host, job, no_progress)
    else:
        if before.state is JobState.UNKNOWN:
            abandon(ledger, job, before.reason)
        insisted = {AGAIN: True} if context.again else {}
        evidence = {"reason": f"resumed after {before.state}", **insisted}
        job = ledger.next_attempt(job.job, job.attempt, evidence)
    after = send(ledger, session, host, job)
    return ResumedJob(ledger.find(job.job), before, after)


def _check_resumable(context: JobContext, found: LedgerJob, status: JobStatus, choice: ResumeChoice) -> None:
    job, state = status.job, status.state
    if state.ended_badly or state is JobState.CREATED:
        return
    if state is JobState.UNKNOWN:
        if choice.pod_is_gone:
            return
        hint = "if its pod is gone for good: --pod-is-gone"
        if choice.repeated:
            hint = f"if {status.host} is gone, too: resume {job} --pod-is-gone, without --host"
        raise unknown_error(status, hint=hint)
    if state is JobState.SUCCEEDED:
        hint = context.pull_words(job, found.recipe)
        raise UsageError("it has succeeded; there is nothing to resume", where=job, hint=hint)
    raise UsageError(
        f"it is {state}; there is nothing to resume", where=job, hint=f"logs {job} --follow, or cancel {job}"
    )
