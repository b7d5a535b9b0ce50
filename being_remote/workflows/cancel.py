"""`cancel JOB`: the job's processes are ended, and it will not start; asking twice does no harm."""

from __future__ import annotations

from dataclasses import dataclass

from being_remote.errors import HostError, UsageError
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.jobs.job_status import ended_row, volume_in
from being_remote.jobs.ledger import ENDED, Ledger, LedgerJob, hosts_of
from being_remote.jobs.spec import JobSpec
from being_remote.jobs.status_poll import ledger_of, look, look_at
from being_remote.jobs.submit import CancelResult
from being_remote.jobs.submit import cancel as ask_cancel
from being_remote.session import Session

SLACK_S = 15.0
NEVER_SENT = "cancelled before it was sent"
MARKED = "cancelled before it arrived; a mark on its host's disk keeps it from starting"


@dataclass(frozen=True)
class CancelReport:
    """What a cancel came to. `was_ended`: there was nothing to cancel any more."""

    job: str
    host: str
    attempt: int
    state: str
    reason: str
    was_ended: bool
    dry_run: bool

    @property
    def exit_code(self) -> int:
        """4 while it is not known to be ended."""
        return 0 if self.state in ENDED or self.dry_run else 4


def cancel(inventory: Inventory, job: str, *, host: str | None = None, dry_run: bool = False) -> CancelReport:
    """Cancel the job and wait for its end, as long as its own grace allows.

    Args:
        inventory: who is who.
        job: an id, a unique beginning, or `last`.
        host: one that the job left: the attempt that was left there is ended, and the job goes on.
        dry_run: only say what would be done.

    Raises:
        NotFoundError: no such job in the ledger.
        UsageError: the job never was on that host.
        HostError: the host gave no answer; whether it was cancelled is unknown.
    """
    from being_remote.transport import open_session

    ledger = ledger_of(inventory)
    known = ledger.find(job)
    if host not in (None, known.host):
        return _cancel_left(inventory, ledger, known, inventory.host(str(host)), dry_run=dry_run)
    if known.ended:
        row = ended_row(known, ledger.story(known.job))
        return _report(known, row.state, row.reason, was_ended=True, dry_run=dry_run)
    if dry_run:
        reason = f"a cancel would be sent to {known.host}"
        return _report(known, known.state, reason, was_ended=False, dry_run=True)
    unsent = ledger.cancel_unsent(known.job, known.attempt, {"reason": NEVER_SENT})
    if unsent is not None:
        return _report(unsent, unsent.state, NEVER_SENT, was_ended=False, dry_run=False)
    where = inventory.host(known.host)
    volume = volume_in(ledger.story(known.job), known.attempt) if known.state == "created" else None
    with open_session(where, inventory) as session:
        try:
            done = _asked(session, where, known, known.attempt, volume)
        except HostError as e:
            ledger.record(known.job, known.attempt, "unknown", {"reason": e.what, "asked": "cancel"})
            raise
        if done.cancel == "marked":
            after = ledger.record(known.job, known.attempt, "cancelled", {"reason": MARKED})
            return _report(known, after.state, MARKED, was_ended=False, dry_run=False)
        row = look_at(ledger, session, where, known)
    return _report(known, row.state, row.reason, was_ended=done.cancel == "ended", dry_run=False)


def _cancel_left(
    inventory: Inventory, ledger: Ledger, known: LedgerJob, host: SshHost | LocalHost, *, dry_run: bool
) -> CancelReport:
    """End the attempt that a job left on a host when it moved; the ledger's word of the job stays."""
    from being_remote.transport import open_session

    story = ledger.story(known.job)
    there = [n for n, name in hosts_of(known, story).items() if name == host.name]
    if not there:
        raise UsageError(f"it never was on {host.name}", where=known.job, hint=f"jobs --why {known.job}")
    attempt = max(there)

    def report(state: str, reason: str, *, was_ended: bool) -> CancelReport:
        return CancelReport(known.job, host.name, attempt, state, reason, was_ended, dry_run)

    with open_session(host, inventory, remember=not dry_run) as session:
        seen = look(session, host, [known.job]).job(known.job)
        if seen is not None and seen.attempt >= known.attempt:
            # One volume: attempt n + 1 is there, too, and ends the others itself.
            hint = f"cancel {known.job}, if it is attempt {known.attempt} that is to end"
            raise UsageError(
                f"{host.name} and {known.host} show one disk; attempt {attempt} stops by itself there",
                where=known.job,
                hint=hint,
            )
        if seen is not None and seen.state in ENDED:
            return report(seen.state, seen.reason, was_ended=True)
        if dry_run:
            return report(seen.state if seen else "unknown", "a cancel would be sent", was_ended=False)
        done = _asked(session, host, known, attempt, volume_in(story, attempt))
    if done.cancel == "marked":
        return report("cancelled", MARKED, was_ended=False)
    if done.seen is None:
        return report("unknown", done.reason, was_ended=False)
    return report(done.state, done.reason, was_ended=done.cancel == "ended")


def _asked(
    session: Session, host: SshHost | LocalHost, known: LedgerJob, attempt: int, volume: str | None
) -> CancelResult:
    spec = JobSpec.from_bytes(known.spec)
    wait_s = spec.grace_s + SLACK_S
    return ask_cancel(
        session,
        host.workdir,
        host.python,
        known.job,
        attempt=attempt,
        volume=volume,
        ledger=spec.ledger,
        wait_s=wait_s,
        timeout_s=wait_s + host.answer_timeout_s,
    )


def _report(known: LedgerJob, state: str, reason: str, *, was_ended: bool, dry_run: bool) -> CancelReport:
    return CancelReport(known.job, known.host, known.attempt, state, reason, was_ended, dry_run)
