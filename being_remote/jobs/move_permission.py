"""May a job leave its host: only what is known to be ended, or what the user gives up with their word.

The host is asked only where the ledger does not know the end. Nothing is given up here: that is
written down when the next attempt is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from being_remote.errors import HostError, UsageError
from being_remote.inventory import Inventory
from being_remote.jobs.job_status import BAD, JobStatus, ended_row, silent_row, volume_in
from being_remote.jobs.ledger import Ledger, LedgerJob
from being_remote.jobs.status_poll import learnt, look_at

UNSENT = "given up before it was sent"


@dataclass(frozen=True)
class MovePermission:
    """How the attempt stands that is left, and the word by which it is given up (None: it has ended)."""

    state: str
    reason: str
    word: Mapping[str, Any] | None


def may_leave(
    inventory: Inventory, ledger: Ledger, known: LedgerJob, *, pod_is_gone: bool, dry_run: bool
) -> MovePermission:
    """See that the attempt that counts may be followed by one on another host.

    Raises:
        UsageError: it has succeeded, or is at work, or may be on its way to its host.
        HostError: whether it runs is unknown, and the user has not said that its pod is gone.
    """
    if _was_never_sent(ledger, known, dry_run=dry_run):
        return MovePermission("created", UNSENT, None)
    row = _row(inventory, ledger, known, dry_run=dry_run)
    if row.state in BAD:
        return MovePermission(row.state, row.reason, None)
    if row.state == "unknown":
        if not pod_is_gone:
            raise HostError(
                f"{row.job}: whether attempt {row.attempt} still runs is unknown: {row.reason}",
                host=row.host,
                hint="if its pod is gone for good, or you would rather pay twice, say so: --pod-is-gone",
            )
        return MovePermission(row.state, row.reason, given_up(row.state, row.reason, "its pod is gone"))
    if row.state == "succeeded":
        raise UsageError(
            "it has succeeded; there is nothing to resume", where=row.job, hint=f"pull {row.job}"
        )
    stands = f"may be on its way to {row.host}" if row.state == "created" else f"is {row.state}"
    raise UsageError(f"it {stands}", where=row.job, hint=f"cancel {row.job}, then this again")


def given_up(state: str, because: str, word: str) -> dict[str, Any]:
    """What stands in the story where an attempt is abandoned on the user's word."""
    return {"reason": f"the user's word: {word}", "was": state, "because": because}


def _was_never_sent(ledger: Ledger, known: LedgerJob, *, dry_run: bool) -> bool:
    """Whether nobody sent it, nor will: from here on the ledger keeps others from doing so."""
    if dry_run:
        return known.state == "created" and volume_in(ledger.story(known.job), known.attempt) is None
    return ledger.cancel_unsent(known.job, known.attempt, {"reason": UNSENT}) is not None


def _row(inventory: Inventory, ledger: Ledger, known: LedgerJob, *, dry_run: bool) -> JobStatus:
    from being_remote.transport import open_session

    story = ledger.story(known.job)
    if known.ended:
        return ended_row(known, story)
    if known.host not in inventory.hosts:
        return silent_row(known, story, "the inventory names no such host any more")
    host = inventory.host(known.host)
    try:
        with open_session(host, inventory, remember=not dry_run) as session:
            return look_at(ledger, session, host, known, remember=not dry_run)
    except HostError as e:
        return silent_row(known, story, e.what) if dry_run else learnt(ledger, known, e)
