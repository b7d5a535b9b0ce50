"""From a plan to a job that is on its host: first in the ledger, then sent; sent again at any time."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from being_remote.errors import BeingRemoteError, DataError, DuplicateJob, HostError, UsageError
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.cancel import cancel
from being_remote.jobs.job_archive import MAX_BUNDLE_BYTES, job_files
from being_remote.jobs.job_status import JobStatus, ended_status
from being_remote.jobs.ledger import Intent, Ledger, LedgerJob, volume_of
from being_remote.jobs.orphaned_jobs import supervise_all_again
from being_remote.jobs.recipe import JobPlan, OptionChange
from being_remote.jobs.same_intent import is_wanted_again
from being_remote.jobs.spec import MAX_SPEC_BYTES, JobSpec, new_job_id
from being_remote.jobs.status_poll import look_at_jobs, record_answer
from being_remote.jobs.submit import SubmitResult, submit
from being_remote.pod.job_states import JobState
from being_remote.schedulers.scheduler import StartRequest
from being_remote.session import Session

# Of a job that another laptop sent: its files lie on the host, and cannot be sent again from here.
NO_FILES = b"null"
# So many supervisors start well within the time that a host has for an answer.
MOST_AT_ONCE = 200
# In the evidence, where an attempt is made that continues from files uploaded before.
PUSHED = "pushed"
DONE_ALREADY = "done already; --again makes another"


@dataclass(frozen=True)
class JobPreview:
    """What a job is, or would be. `commands` hold the placeholders that are filled in on the host.

    `links` go from the attempt's own folder to what lies on the host; `files` are bytes by name;
    `swept` are the settings of its place in a sweep.
    """

    actor: str | None
    recipe: str
    changes: tuple[OptionChange, ...]
    notes: tuple[str, ...]
    files: Mapping[str, int]
    links: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]
    gpus: int
    wall_s: float | None
    stall_s: float | None
    swept: tuple[str, ...] = ()

    @classmethod
    def of(cls, plan: JobPlan, swept: tuple[str, ...]) -> JobPreview:
        """What a person sees of a plan."""
        return cls(
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


@dataclass(frozen=True)
class DispatchedJob:
    """One job. In a dry run `job` is the one that would be attached to, or None for a new one."""

    job: str | None
    host: str
    state: JobState | None
    gpu: tuple[str, ...]
    spec_sha256: str | None
    adopted: bool
    attempt: int
    reason: str
    exit_code: int | None
    plan: JobPreview

    @classmethod
    def of(cls, plan: JobPlan, swept: tuple[str, ...], status: JobStatus, *, adopted: bool) -> DispatchedJob:
        """A job that was sent, or found."""
        return cls(
            job=status.job,
            host=status.host,
            state=status.state,
            gpu=status.gpu,
            spec_sha256=status.spec_sha256,
            adopted=adopted,
            attempt=status.attempt,
            reason=(adopted and _ended_reason(status.job, status.state)) or status.reason,
            exit_code=status.exit_code,
            plan=JobPreview.of(plan, swept),
        )

    def at(self, status: JobStatus) -> DispatchedJob:
        """The same job with another status."""
        return replace(
            self,
            host=status.host,
            attempt=status.attempt,
            spec_sha256=status.spec_sha256,
            state=status.state,
            gpu=status.gpu or self.gpu,
            reason=status.reason,
            exit_code=status.exit_code,
        )


def intent_of(plan: JobPlan, ledger: str, job: str | None = None) -> Intent:
    """The job that a plan would become: under a new id, or the one with which it moves.

    Raises:
        UsageError: its description is larger than a host reads.
    """
    spec = plan.spec(job or new_job_id(plan.actor or plan.recipe), ledger)
    if len(spec.as_bytes) > MAX_SPEC_BYTES:
        raise UsageError(
            f"the job's description is more than {MAX_SPEC_BYTES >> 20} MiB",
            where=plan.recipe,
            hint="pack its many input files into one",
        )
    return Intent.of(spec, pack_files(plan.files))


def preview(ledger: Ledger, plan: JobPlan, swept: tuple[str, ...], *, again: bool) -> DispatchedJob:
    """What dispatching `plan` would come to; nothing is written.

    Args:
        again: make another job even if one of the same intent succeeded, or is not known to be ended.
    """
    same = None if again else ledger.find_same_intent(intent_of(plan, "").key)
    return DispatchedJob(
        job=same.job if same else None,
        host=same.host if same else plan.host,
        state=same.state if same else None,
        gpu=(),
        spec_sha256=same.spec_sha256 if same else None,
        adopted=same is not None,
        attempt=same.attempt if same else 1,
        reason=_preview_reason(same),
        exit_code=None,
        plan=JobPreview.of(plan, swept),
    )


def _preview_reason(same: LedgerJob | None) -> str:
    if same is None:
        return "would make a new job"
    return _ended_reason(same.job, same.state) or "would attach to the job with the same settings"


def _ended_reason(job: str, state: JobState) -> str:
    """What to know of a job of the same intent that has ended; "" of one that has not."""
    if state is JobState.LOST:
        return f"it was lost; resume {job} continues from what it finished, --again starts from the beginning"
    return DONE_ALREADY if state is JobState.SUCCEEDED else ""


def send(ledger: Ledger, session: Session, host: SshHost | LocalHost, job: LedgerJob) -> JobStatus:
    """Put the attempt that counts on its host and ensure that a supervisor runs it.

    Raises:
        UsageError: the job moved to another host meanwhile.
        HostError: no answer: whether it started is unknown, and sending it again does no harm.
        InconsistentData: the host holds another spec under this id.
    """
    (sent,) = send_all(ledger, session, host, [job])
    if isinstance(sent, JobStatus):
        return sent
    raise sent


def send_all(
    ledger: Ledger, session: Session, host: SshHost | LocalHost, jobs: Sequence[LedgerJob]
) -> tuple[JobStatus | BeingRemoteError, ...]:
    """As `send`, for many jobs, 200 in each round trip: what became of each, in their order.

    Raises:
        HostError: no answer: which of them started is unknown, and sending them again does no harm.
    """
    here = [job for job in jobs if job.host == host.name]
    sent: dict[str, JobStatus | BeingRemoteError] = {
        job.job: UsageError(f"it is on {job.host} now", where=job.job, hint=f"jobs --why {job.job}")
        for job in jobs
        if job.host != host.name
    }
    # A job that was seen running is never started again: a restored disk would run it twice.
    sent |= _look(ledger, session, host, [job for job in here if _has_run(job)])
    for some in _batches([job for job in here if not _has_run(job)]):
        sent |= _submit(ledger, session, host, some)
    return tuple(sent[job.job] for job in jobs)


def _batches(jobs: Sequence[LedgerJob]) -> Iterator[list[LedgerJob]]:
    """The jobs in parts that a host takes at once."""
    some: list[LedgerJob] = []
    for job in jobs:
        size = sum(each.parcel_bytes for each in (*some, job))
        if some and (len(some) == MOST_AT_ONCE or size > MAX_BUNDLE_BYTES):
            yield some
            some = []
        some.append(job)
    if some:
        yield some


def aim(ledger: Ledger, jobs: Sequence[LedgerJob], volume: str) -> list[StartRequest]:
    """Write down to which volume attempts are about to be sent; what ended or moved meanwhile is not."""
    requests = []
    with ledger.together() as batch:
        for job in jobs:
            # What reached its host once is not put there again: a disk that does not show it is another one,
            # or was emptied, and the attempt may run, or have run, all the same. For the same reason what
            # may have reached it goes to no other disk than at first.
            aimed, pushed, files = None, None, {}
            if job.state is JobState.CREATED:
                aimed = batch.record_volume(job.job, job.attempt, volume)
                if aimed is None:
                    continue
                pushed = pushed_for(batch, job)
                parcel = batch.parcel_of(job.job)
                if parcel != NO_FILES:
                    files = job_files(JobSpec.from_bytes(job.spec), files_of(parcel))
            else:
                now = batch.find(job.job)
                if now.ended or (now.attempt, now.host) != (job.attempt, job.host):
                    continue
            unless_same = not is_wanted_again(batch, job.job)
            requests.append(
                StartRequest(job.job, job.spec_sha256, job.attempt, aimed, pushed, files, unless_same)
            )
    return requests


def pushed_for(ledger: Ledger, job: LedgerJob) -> str | None:
    """The name of what was uploaded for the attempt that counts to continue from, if anything was."""
    names = (t.evidence.get(PUSHED) for t in ledger.history(job.job) if t.attempt == job.attempt)
    return next((str(name) for name in names if name), None)


def pack_files(files: Mapping[str, bytes]) -> bytes:
    """A job's own files as the ledger keeps them; `files_of` reads them."""
    return json.dumps({n: base64.b64encode(d).decode("ascii") for n, d in sorted(files.items())}).encode()


def files_of(parcel: bytes) -> dict[str, bytes]:
    """A job's own files; none of one that another laptop sent."""
    return {name: base64.b64decode(data) for name, data in (json.loads(parcel) or {}).items()}


def _has_run(job: LedgerJob) -> bool:
    return job.state.started or job.state is JobState.LOST


def _look(
    ledger: Ledger, session: Session, host: SshHost | LocalHost, jobs: Sequence[LedgerJob]
) -> dict[str, JobStatus | BeingRemoteError]:
    """How jobs stand that ran already, by one look."""
    seen = look_at_jobs(ledger, session, host, jobs)
    rows = supervise_all_again(ledger, session, host, list(zip(jobs, seen, strict=True)))
    sent = {job.job: row for job, row in zip(jobs, rows, strict=True)}
    for job, row in sent.items():
        if isinstance(row, JobStatus) and row.state is JobState.UNKNOWN and "started" not in row.evidence:
            sent[job] = HostError(
                f"{job}: the attempt is not on the host; nothing was started: {row.reason}",
                host=host.name,
                hint=f"jobs --why {job}; if its disk is gone for good: resume {job} --pod-is-gone",
            )
    return sent


def _submit(
    ledger: Ledger, session: Session, host: SshHost | LocalHost, jobs: Sequence[LedgerJob]
) -> dict[str, JobStatus | BeingRemoteError]:
    """Submit attempts in one round trip, and write down what became of them."""
    try:
        results = submit(session, host, lambda volume: aim(ledger, jobs, volume))
    except HostError as e:
        with ledger.together() as batch:
            for job in jobs:
                _record_unknown(batch, job, e)
        raise
    with ledger.together() as batch:
        sent = {job.job: _record(batch, job, results.get(job.job)) for job in jobs}
    for job in jobs:
        if isinstance(result := sent[job.job], DuplicateJob):
            _withdraw(ledger, session, host, job, result)
    return sent


def _withdraw(
    ledger: Ledger, session: Session, host: SshHost | LocalHost, job: LedgerJob, error: DuplicateJob
) -> None:
    """Cancel a job that was not stored, also for a claim of it that comes late. Raises HostError."""
    volume = volume_of(ledger.history(job.job), job.attempt)
    cancel(session, host, job.job, attempt=job.attempt, volume=volume)
    ledger.record(job.job, job.attempt, JobState.CANCELLED, {"reason": error.what})


def _record(
    ledger: Ledger, job: LedgerJob, result: SubmitResult | HostError | DataError | None
) -> JobStatus | BeingRemoteError:
    """Write down what became of one attempt; None: another terminal ended or moved it before it was sent."""
    if result is None:
        now = ledger.find(job.job)
        if now.ended:
            return ended_status(now, ledger.history(job.job))
        return UsageError(
            f"another command made attempt {now.attempt} of it, on {now.host}; nothing was sent",
            where=job.job,
            hint=f"jobs --why {job.job}",
        )
    if isinstance(result, HostError):
        _record_unknown(ledger, job, result)
    if not isinstance(result, SubmitResult):
        return result
    evidence = {
        **result.status.evidence,
        "claim": result.claim,
        "supervisor": result.supervisor,
        "volume": result.volume,
    }
    waits = result.status.state is JobState.WAITING
    ledger.record(job.job, job.attempt, JobState.WAITING if waits else JobState.SUBMITTED, evidence)
    return record_answer(ledger, ledger.find(job.job), result.seen)


def _record_unknown(ledger: Ledger, job: LedgerJob, error: HostError) -> None:
    ledger.record(job.job, job.attempt, JobState.UNKNOWN, {"reason": error.what, "asked": "submit"})
