"""`resume --all --host HOST`: submit again all that waits on a host in a queue that no process keeps."""

from __future__ import annotations

from dataclasses import dataclass

from being_remote.inventory import Inventory
from being_remote.jobs.dispatch import send
from being_remote.jobs.job_status import JobStatus, exit_code_of
from being_remote.jobs.status_poll import look_at_host, record_answer
from being_remote.pod.job_states import JobState
from being_remote.workflows.job_context import job_context


@dataclass(frozen=True)
class QueueReport:
    """The jobs that were submitted again, in the order in which they waited, and how they stand.

    `others`: such jobs of other laptops, which only those resume.
    """

    host: str
    jobs: tuple[JobStatus, ...]
    others: int
    dry_run: bool

    @property
    def exit_code(self) -> int:
        """4 if how one of them stands is unknown."""
        return max((exit_code_of(job.state) for job in self.jobs), default=0)


def resume_all(inventory: Inventory, *, host: str | None, dry_run: bool = False) -> QueueReport:
    """Submit again, as they are, all jobs of a host that nothing there will start: mostly after a restart.

    Jobs that ended are left alone: `resume JOB` makes their next attempts, one by one.

    Args:
        host: its name; None: the inventory's only one.

    Raises:
        HostError: no answer; whatever was not submitted still waits.
    """
    context, where = job_context(inventory, dry_run=dry_run), inventory.the_host(host)
    ledger = context.ledger
    with context.open_session(where.name) as session:
        answer = look_at_host(session, where)
        ours = {job.job: job for job in ledger.jobs(host=where.name) if not job.ended}
        unattended = sorted((job for job in answer.jobs if job.is_unattended), key=_place)
        found = [job for job in unattended if job.job in ours]
        if not dry_run:
            for job in found:
                record_answer(ledger, ours[job.job], answer)
            found = [send(ledger, session, where, ledger.find(job.job)) for job in found]
    others = sum(job.job not in ours for job in unattended)
    return QueueReport(where.name, tuple(found), others, dry_run)


def _place(job: JobStatus) -> tuple[int, str]:
    """Where it waited; what a supervisor of version 0.1.0 waited for comes first, and has no number."""
    queue = job.evidence.get("queue")
    return (queue["number"] if job.state is JobState.WAITING and queue else 0, job.job)
