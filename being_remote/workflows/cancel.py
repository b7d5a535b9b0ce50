"""`cancel JOB`: the job's processes are ended, and it will not start; asking twice does no harm."""

from __future__ import annotations

from dataclasses import dataclass

from being_remote.errors import HostError
from being_remote.inventory import Inventory
from being_remote.jobs.ledger import ENDED, Known
from being_remote.jobs.spec import JobSpec
from being_remote.jobs.submit import cancel as ask_cancel
from being_remote.workflows.tending.rows import ended_row, volume_in
from being_remote.workflows.tending.watch import ledger_of, look_at

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


def cancel(inventory: Inventory, job: str, *, dry_run: bool = False) -> CancelReport:
    """Cancel the job and wait for its end, as long as its own grace allows.

    Raises:
        NotFoundError: no such job in the ledger.
        HostError: the host gave no answer; whether it was cancelled is unknown.
    """
    from being_remote.transport import open_session

    ledger = ledger_of(inventory)
    known = ledger.find(job)
    if known.ended:
        row = ended_row(known, ledger.story(known.job))
        return _report(known, row.state, row.reason, was_ended=True, dry_run=dry_run)
    if dry_run:
        reason = f"a cancel would be sent to {known.host}"
        return _report(known, known.state, reason, was_ended=False, dry_run=True)
    unsent = ledger.cancel_unsent(known.job, known.attempt, {"reason": NEVER_SENT})
    if unsent is not None:
        return _report(unsent, unsent.state, NEVER_SENT, was_ended=False, dry_run=False)
    host = inventory.host(known.host)
    spec = JobSpec.from_bytes(known.spec)
    with open_session(host, inventory) as session:
        try:
            wait_s = spec.grace_s + SLACK_S
            done = ask_cancel(
                session,
                host.workdir,
                host.python,
                known.job,
                attempt=known.attempt,
                volume=volume_in(ledger.story(known.job)) if known.state == "created" else None,
                ledger=spec.ledger,
                wait_s=wait_s,
                timeout_s=wait_s + host.answer_timeout_s,
            )
        except HostError as e:
            ledger.record(known.job, known.attempt, "unknown", {"reason": e.what, "asked": "cancel"})
            raise
        if done.cancel == "marked":
            after = ledger.record(known.job, known.attempt, "cancelled", {"reason": MARKED})
            return _report(known, after.state, MARKED, was_ended=False, dry_run=False)
        row = look_at(ledger, session, host, known)
    return _report(known, row.state, row.reason, was_ended=done.cancel == "ended", dry_run=False)


def _report(known: Known, state: str, reason: str, *, was_ended: bool, dry_run: bool) -> CancelReport:
    return CancelReport(known.job, known.host, known.attempt, state, reason, was_ended, dry_run)
