"""Cancel an attempt: its processes are ended, and it never starts; repeating it does no harm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from being_remote.errors import HostError, UsageError
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.job_status import JobStatus, status_on_host
from being_remote.jobs.ledger import Ledger, LedgerJob, hosts_of, volume_of
from being_remote.jobs.spec import JobSpec
from being_remote.jobs.status_poll import look_at_host, look_at_job
from being_remote.pod.job_states import JobState
from being_remote.schedulers.registry import scheduler_of
from being_remote.schedulers.scheduler import CancelRequest
from being_remote.session import Session

SLACK_S = 15.0
MARKED = "cancelled before it arrived; a mark on its host's disk keeps it from starting"


@dataclass(frozen=True)
class CancelResult:
    """What a cancel came to; `status` is what the host shows after it, None where the job is not there."""

    cancel: Literal["absent", "marked", "ended", "asked"]
    status: JobStatus | None


@dataclass(frozen=True)
class CancelReport:
    """What a cancel came to. `was_ended`: there was nothing to cancel any more."""

    job: str
    host: str
    attempt: int
    state: JobState
    reason: str
    was_ended: bool
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """4 while it is not known to be ended."""
        return 0 if self.state.ended or self.dry_run else 4


@dataclass(frozen=True)
class CancelAllReport:
    """What cancelling all jobs of a host came to."""

    host: str
    jobs: tuple[CancelReport, ...]
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """4 while one of them is not known to be ended."""
        return max((job.exit_code for job in self.jobs), default=0)


def cancel(
    session: Session,
    host: SshHost | LocalHost,
    job: str,
    *,
    attempt: int = 1,
    volume: str | None = None,
    ledger: str | None = None,
    wait_s: float = 15.0,
) -> CancelResult:
    """Mark the job as cancelled, wake its supervisor, and wait up to `wait_s` for its end.

    A job that is not there ("absent") may still be on its way: on `volume`, where it was sent to, a
    mark then keeps `attempt` from ever starting ("marked"). Where the supervisor died, its process is
    ended: TERM, grace, KILL. A state that has not ended means that the kill is under way.

    Args:
        ledger: refuse a job of another ledger.

    Raises:
        UsageError: the job belongs to another laptop's ledger.
        HostError: no answer; whether it was cancelled is unknown. Send it again: that does no harm.
    """
    request = CancelRequest(job, attempt, volume, ledger, wait_s)
    answer = scheduler_of(host).cancel(session, host, request)
    if answer.cancel == "foreign":
        raise UsageError(f"{job} on {session.host} belongs to another laptop's ledger", hint="--take-over")
    if answer.seen is None:
        return CancelResult("marked" if answer.cancel == "marked" else "absent", None)
    return CancelResult(answer.cancel, status_on_host(session.host, answer.seen, answer.incarnation))


def cancel_current(
    ledger: Ledger, session: Session, host: SshHost | LocalHost, job: LedgerJob
) -> CancelReport:
    """Cancel the attempt that counts, and wait for its end as long as its own grace allows.

    Raises:
        UsageError: another laptop made a newer attempt of it, which is not cancelled.
        HostError: no answer; whether it was cancelled is unknown.
    """
    sent_to = volume_of(ledger.history(job.job), job.attempt) if job.state is JobState.CREATED else None
    try:
        seen = look_at_host(session, host, [job.job]).job(job.job)
        if seen is not None and seen.attempt > job.attempt:
            raise UsageError(
                f"another laptop made attempt {seen.attempt} of it, which is {seen.state}; it goes on",
                where=job.job,
                hint=f"cancel {job.job} --take-over, if it is yours from now on",
            )
        result = _cancel_attempt(session, host, job, job.attempt, sent_to)
    except HostError as e:
        ledger.record(job.job, job.attempt, JobState.UNKNOWN, {"reason": e.what, "asked": "cancel"})
        raise
    if result.cancel == "marked":
        after = ledger.record(job.job, job.attempt, JobState.CANCELLED, {"reason": MARKED})
        return CancelReport(job.job, job.host, job.attempt, after.state, MARKED, was_ended=False)
    status = look_at_job(ledger, session, host, job)
    was_ended = result.cancel == "ended"
    return CancelReport(job.job, job.host, job.attempt, status.state, status.reason, was_ended)


def cancel_abandoned(
    session: Session, host: SshHost | LocalHost, job: LedgerJob, *, dry_run: bool
) -> CancelReport | None:
    """Cancel an abandoned attempt that runs after all; None if it does not. The ledger is not changed.

    Raises:
        HostError: no answer; whether it was cancelled is unknown.
    """
    seen = look_at_host(session, host, [job.job]).job(job.job)
    if seen is None or seen.state.ended or seen.attempt != job.attempt:
        return None
    reason = f"a cancel would be sent to {host.name}"
    if not dry_run:
        after = _cancel_attempt(session, host, job, job.attempt, None).status or seen
        seen, reason = after, after.reason
    return CancelReport(job.job, host.name, job.attempt, seen.state, reason, was_ended=False, dry_run=dry_run)


def cancel_former(
    ledger: Ledger, session: Session, host: SshHost | LocalHost, job: LedgerJob, *, dry_run: bool
) -> CancelReport:
    """Cancel the attempt that a job left on `host` when it moved; the ledger is not changed.

    Raises:
        UsageError: the job never was on that host, or its current host shares that host's disk.
        HostError: no answer; whether it was cancelled is unknown.
    """
    history = ledger.history(job.job)
    attempt = former_attempt(ledger, job, host.name)

    def report(state: JobState, reason: str, *, was_ended: bool) -> CancelReport:
        return CancelReport(job.job, host.name, attempt, state, reason, was_ended, dry_run)

    seen = look_at_host(session, host, [job.job]).job(job.job)
    if seen is not None and seen.attempt >= job.attempt:
        # The current attempt is there, too, and ends the others itself.
        raise UsageError(
            f"{host.name} and {job.host} share a disk; attempt {attempt} stops by itself there",
            where=job.job,
            hint=f"cancel {job.job}, if it is attempt {job.attempt} that is to end",
        )
    if seen is not None and seen.state.ended:
        return report(seen.state, seen.reason, was_ended=True)
    if dry_run:
        return report(seen.state if seen else JobState.UNKNOWN, "a cancel would be sent", was_ended=False)
    result = _cancel_attempt(session, host, job, attempt, volume_of(history, attempt))
    if result.cancel == "marked":
        return report(JobState.CANCELLED, MARKED, was_ended=False)
    if result.status is None:
        return report(JobState.UNKNOWN, "the job is not on the host", was_ended=False)
    return report(result.status.state, result.status.reason, was_ended=result.cancel == "ended")


def former_attempt(ledger: Ledger, job: LedgerJob, host: str) -> int:
    """The newest attempt that the job left on a host. Raises UsageError where it never was there."""
    left = [attempt for attempt, name in hosts_of(job, ledger.history(job.job)).items() if name == host]
    if not left:
        raise UsageError(f"it never was on {host}", where=job.job, hint=f"jobs --why {job.job}")
    return max(left)


def _cancel_attempt(
    session: Session, host: SshHost | LocalHost, job: LedgerJob, attempt: int, volume: str | None
) -> CancelResult:
    spec = JobSpec.from_bytes(job.spec)
    wait_s = spec.grace_s + SLACK_S
    return cancel(session, host, job.job, attempt=attempt, volume=volume, ledger=spec.ledger, wait_s=wait_s)
