"""`resume --all --host HOST`: every job of a host that nothing there looks after is looked after again."""

from __future__ import annotations

from dataclasses import dataclass

from being_remote.errors import BeingRemoteError
from being_remote.inventory import Inventory
from being_remote.jobs.dispatch import send_all
from being_remote.jobs.job_status import JobStatus, exit_code_of, worst_exit_code
from being_remote.jobs.orphaned_jobs import lacks_supervisor, supervise_all_again
from being_remote.jobs.status_poll import look_at_host, record_answer
from being_remote.pod.job_states import JobState
from being_remote.workflows.job_context import job_context


@dataclass(frozen=True)
class ResumeAllReport:
    """The jobs that were submitted again, in the order in which they waited, then those that got another
    supervisor; and how they stand.

    `others`: such jobs of other laptops, which only those resume.
    """

    host: str
    jobs: tuple[JobStatus, ...]
    others: int
    dry_run: bool

    @property
    def exit_code(self) -> int:
        """4 if the state of one is unknown, else 5 if one is lost for good or ended badly."""
        return 0 if self.dry_run else worst_exit_code(exit_code_of(job.state) for job in self.jobs)


def resume_all(inventory: Inventory, *, host: str | None, dry_run: bool = False) -> ResumeAllReport:
    """Submit again what nothing on a host will start; give another supervisor to what lost its own.

    Most jobs of the first kind waited when the pod restarted. Of the second kind, those that still run are
    looked after from then on, the others are judged by their files. No new attempt is made: `resume JOB` does
    that, one by one.

    Args:
        host: its name; None: the inventory's only one.

    Raises:
        BeingRemoteError: what became of the first that was refused; the others were submitted. HostError: no
            answer; give the command again for what was left.
    """
    context, where = job_context(inventory, dry_run=dry_run), inventory.the_host(host)
    ledger = context.ledger
    with context.open_session(where.name) as session:
        answer = look_at_host(session, where)
        ours = {job.job: job for job in ledger.jobs(host=where.name)}
        unattended = sorted((job for job in answer.jobs if job.is_unattended), key=_place)
        waiting = [job for job in unattended if job.job in ours and not ours[job.job].ended]
        orphans = [
            job
            for job in answer.jobs
            if lacks_supervisor(job) and job.job in ours and job.attempt == ours[job.job].attempt
        ]
        if not dry_run:
            with ledger.together() as batch:
                for job in (*waiting, *orphans):
                    record_answer(batch, ours[job.job], answer)
            # In this order they wait again.
            sent = send_all(ledger, session, where, [ledger.find(job.job) for job in waiting])
            sent += supervise_all_again(
                ledger, session, where, [(ledger.find(job.job), job) for job in orphans]
            )
            for one in sent:
                if isinstance(one, BeingRemoteError):
                    raise one
            waiting, orphans = [job for job in sent if isinstance(job, JobStatus)], []
    others = sum(job.job not in ours for job in answer.jobs if job.is_unattended or lacks_supervisor(job))
    return ResumeAllReport(where.name, (*waiting, *orphans), others, dry_run)


def _place(job: JobStatus) -> tuple[int, str]:
    """Where it waited; what a supervisor of version 0.1.0 waited for comes first, and has no number."""
    queue = job.evidence.get("queue")
    return (queue["number"] if job.state is JobState.WAITING and queue else 0, job.job)
