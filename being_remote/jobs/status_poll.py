"""One look at a host's jobs, and what it teaches the ledger."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from being_remote.errors import HostError, UsageError
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.jobs.host_jobs import HostJobs, observe
from being_remote.jobs.job_status import JobStatus, incarnation_of, moment, seen_row, silent_row
from being_remote.jobs.ledger import FILE_NAME, Ledger, LedgerJob
from being_remote.session import Session


def ledger_of(inventory: Inventory) -> Ledger:
    """The ledger of this laptop; looking into it makes nothing."""
    return Ledger(inventory.state / FILE_NAME)


def look(session: Session, host: SshHost | LocalHost, only: Sequence[str] | None = None) -> HostJobs:
    """One round trip that starts and changes nothing. Raises HostError."""
    return observe(session, host.workdir, host.python, only=only)


def learnt(ledger: Ledger, known: LedgerJob, answer: HostJobs | HostError) -> JobStatus:
    """The job's row after a look at its host; what is news is written down.

    Word of an attempt that does not count any more is no news: the row says which one does.
    """
    story = ledger.story(known.job)
    if isinstance(answer, HostError):
        row = silent_row(known, story, answer.what)
    else:
        row = seen_row(known, story, answer)
    if row.state == "created" or (known.ended and row.state == known.state):
        return dataclasses.replace(row, since=moment(known.since))  # no news
    here = {} if isinstance(answer, HostError) else {"incarnation": incarnation_of(answer.incarnation)}
    after = ledger.record(known.job, row.attempt, row.state, {**row.evidence, **here, "reason": row.reason})
    if after.attempt != known.attempt:
        return dataclasses.replace(row, state="unknown", last_known=row.state, reason=_counts(after))
    if row.state == "unknown":
        return row
    return dataclasses.replace(row, since=moment(after.since), as_of=moment(after.seen_at), state=after.state)


def look_at(
    ledger: Ledger, session: Session, host: SshHost | LocalHost, known: LedgerJob, *, remember: bool = True
) -> JobStatus:
    """One job's row, from one look at its host; without `remember` nothing is written down.

    Raises:
        UsageError: another attempt counts meanwhile, on another host.
        HostError: no answer, so that the job is unknown.
    """
    if known.host != host.name:
        hint = f"jobs --why {known.job}"
        raise UsageError(f"{_counts(known)}, not that on {host.name}", where=known.job, hint=hint)
    try:
        answer = look(session, host, [known.job])
    except HostError as e:
        if remember:
            learnt(ledger, known, e)
        raise
    return learnt(ledger, known, answer) if remember else seen_row(known, ledger.story(known.job), answer)


def _counts(known: LedgerJob) -> str:
    return f"attempt {known.attempt} on {known.host} counts now"
