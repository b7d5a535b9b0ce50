"""Refuse a job where another ledger's job of the same intent may be at work on its host.

A submit is refused by the host itself. Here the host is asked first: before a job moves to it or gets its
next attempt there, and where nothing is submitted.
"""

from __future__ import annotations

from collections.abc import Sequence

from being_remote.errors import DuplicateJob
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.context import JobContext
from being_remote.jobs.ledger import AGAIN, Ledger
from being_remote.jobs.spec import JobSpec
from being_remote.schedulers.registry import scheduler_of
from being_remote.session import Session


def find_duplicates(
    context: JobContext, session: Session, host: SshHost | LocalHost, specs: Sequence[JobSpec]
) -> tuple[DuplicateJob, ...]:
    """What refuses these jobs, in one round trip; nothing where the user asked for others beside.

    Raises:
        HostError: no answer.
    """
    wanted = [s for s in specs if not context.again and not is_wanted_again(context.ledger, s.job)]
    if not wanted:
        return ()
    found = scheduler_of(host).find_same_intents(session, host, [spec.as_bytes for spec in wanted])
    return tuple(DuplicateJob(host=host.name, other=other) for other in found if other is not None)


def refuse_duplicate(context: JobContext, session: Session, host: SshHost | LocalHost, spec: JobSpec) -> None:
    """Raise DuplicateJob where `find_duplicates` finds one."""
    for duplicate in find_duplicates(context, session, host, [spec]):
        raise duplicate


def is_wanted_again(ledger: Ledger, job: str) -> bool:
    """Whether the user asked for this job beside another one of the same intent."""
    return any(AGAIN in step.evidence for step in ledger.history(job))
