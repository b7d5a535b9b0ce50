"""`resume JOB`: the next attempt of a job that is known to be ended, on the same host.

Nothing here guesses: a job that may still run is never started again, unless the user gives their
word that its pod is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from being_remote.errors import HostError, InconsistentData, NotFoundError, UsageError
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.jobs.ledger import Intent, Known, Ledger
from being_remote.jobs.spec import MAX_SPEC_BYTES, JobSpec, is_job_id
from being_remote.pod import records
from being_remote.session import Session
from being_remote.workflows.tending.following import Say, follow
from being_remote.workflows.tending.rows import BAD, JobRow, evidence_of, exit_code_of
from being_remote.workflows.tending.sending import NO_FILES, send
from being_remote.workflows.tending.watch import ledger_of, look, look_at


@dataclass(frozen=True)
class ResumeReport:
    """The attempt that was made. `took_over`: the job came from another laptop's ledger."""

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
) -> ResumeReport:
    """Make attempt n + 1.

    Args:
        inventory: who is who.
        job: an id, a unique beginning, or `last`; with `take_over` the id as `jobs` shows it.
        host: where a job of another laptop lies; default: the only host.
        pod_is_gone: the user's word that the attempt whose state is unknown does not run any more.
        take_over: the job is in another laptop's ledger; one that runs is only written down here.
        follow_it: follow the new attempt to its end.
        dry_run: only look.

    Raises:
        UsageError: it still runs, or succeeded; or another terminal was faster.
        HostError: whether it runs is unknown, and so nothing was done; or, with `pod_is_gone`, the host
            does not answer: then the attempt is abandoned, and nothing was started.
    """
    from being_remote.transport import open_session

    ledger = ledger_of(inventory)
    known = _found(ledger, job, take_over=take_over)
    where = inventory.the_host(host) if known is None else inventory.host(known.host)
    if known is not None and host not in (None, known.host):
        raise UsageError(f"{known.job} belongs to {known.host}", where="--host", hint="resume it there")
    with _opened_or_abandoned(
        lambda: open_session(where, inventory, remember=not dry_run),
        ledger,
        known,
        abandon=pod_is_gone and not dry_run,
    ) as session:
        seen = look(session, where, [known.job]).job(known.job) if known is not None else None
        if known is None or (take_over and seen is not None and seen.attempt > known.attempt):
            name = job if known is None else known.job
            known = _taken_over(inventory, ledger, session, where, name, dry_run=dry_run)
        elif seen is not None and seen.attempt > known.attempt:
            raise UsageError(
                f"another laptop made attempt {seen.attempt} of it, which is {seen.state}",
                where=known.job,
                hint="--take-over, if it is yours from now on",
            )
        row = look_at(ledger, session, where, known, remember=not dry_run)
        if take_over and row.state not in (*BAD, "unknown", "created"):
            return _report(row, row, known, took_over=True, followed=False, dry_run=False)
        _may_go_on(row, pod_is_gone=pod_is_gone)
        if dry_run:
            return _report(row, row, known, took_over=take_over, followed=False, dry_run=True)
        if row.state not in BAD and row.state != "created":
            word = {"reason": "the user's word: its pod is gone", "was": row.state, "because": row.reason}
            ledger.record(known.job, known.attempt, "abandoned", word)
        if row.state != "created":
            known = ledger.next_attempt(known.job, known.attempt, {"reason": f"resumed after {row.state}"})
        after = send(ledger, session, where, known)
        if follow_it:
            after = follow(ledger, session, where, ledger.find(known.job), say)
    return _report(row, after, known, took_over=take_over, followed=follow_it, dry_run=False)


def _opened_or_abandoned(
    open_it: Callable[[], Session], ledger: Ledger, known: Known | None, *, abandon: bool
) -> Session:
    """A session; where there is none and the user says that the pod is gone, its attempt is abandoned."""
    try:
        return open_it()
    except HostError as e:
        if abandon and known is not None and not known.ended:
            word = {"reason": "the user's word: its pod is gone", "was": known.state, "because": e.what}
            ledger.record(known.job, known.attempt, "abandoned", word)
            e.hint = (
                f"attempt {known.attempt} of {known.job} is abandoned on your word; retrack makes a new job,"
                " and resume goes on with this one once the host answers again"
            )
        raise


def _may_go_on(row: JobRow, *, pod_is_gone: bool) -> None:
    if row.state in BAD or row.state == "created":
        return
    if row.state == "unknown":
        if pod_is_gone:
            return
        raise HostError(
            f"{row.job}: whether attempt {row.attempt} still runs is unknown: {row.reason}",
            host=row.host,
            hint="if its pod is gone for good, say so: --pod-is-gone",
        )
    done = row.state == "succeeded"
    hint = f"pull {row.job}" if done else f"logs {row.job} --follow, or cancel {row.job}"
    stands = "has succeeded" if done else f"is {row.state}"
    raise UsageError(f"it {stands}; there is nothing to resume", where=row.job, hint=hint)


def _found(ledger: Ledger, job: str, *, take_over: bool) -> Known | None:
    try:
        return ledger.find(job)
    except NotFoundError:
        if not take_over:
            raise
        return None


def _taken_over(
    inventory: Inventory,
    ledger: Ledger,
    session: Session,
    host: SshHost | LocalHost,
    job: str,
    *,
    dry_run: bool,
) -> Known:
    """Write down a job that lies on the host and that another ledger made."""
    if not is_job_id(job):
        raise UsageError(f"{job!r} is no job's id", hint="being-remote jobs --all shows it in full")
    seen = look(session, host, [job]).job(job)
    if seen is None:
        raise NotFoundError(f"no job {job!r}", where=host.name, hint="being-remote jobs --all")
    path = f"{records.job_folder(str(host.workdir), job)}/{records.SPEC}"
    read = session.run(["head", "-c", str(MAX_SPEC_BYTES + 1), path], repeatable=True)
    try:
        spec = JobSpec.from_bytes(read.stdout)
    except ValueError as e:
        raise InconsistentData(f"is no spec of ours: {e}", file=f"{host.name}:{path}") from e
    if (spec.job, spec.sha256) != (job, seen.spec_sha256):
        raise InconsistentData("is another job's spec", file=f"{host.name}:{path}")
    if spec.actor is not None:
        inventory.the_actor(spec.actor)  # it will name a folder here, and the word is the host's
    if dry_run:
        raise UsageError("a job of another ledger is taken over for real or not at all", where="--dry-run")
    intent = Intent(
        job=job,
        host=host.name,
        actor=spec.actor,
        recipe=spec.recipe,
        spec=spec.as_bytes,
        spec_sha256=spec.sha256,
        parcel=NO_FILES,
        key=spec.intent_key,
    )
    evidence = {**evidence_of(seen), "reason": "taken over", "from": spec.ledger}
    first = "submitted" if seen.state in ("unknown", "created") else seen.state
    return ledger.take_over(intent, attempt=max(1, seen.attempt), state=first, evidence=evidence)


def _report(
    before: JobRow, after: JobRow, known: Known, *, took_over: bool, followed: bool, dry_run: bool
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
