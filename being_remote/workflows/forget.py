"""`forget JOB` and `jobs --forget`: remove what finished jobs left on their hosts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from being_remote.errors import BeingRemoteError, HostError, InventoryError
from being_remote.inventory import Inventory
from being_remote.jobs.context import JobContext
from being_remote.jobs.forget import ForgottenJob, forget_job, is_forgotten
from being_remote.jobs.job_status import worst_exit_code
from being_remote.jobs.ledger import LedgerJob
from being_remote.jobs.take_over import find_job
from being_remote.pod_client.many_hosts import ask_all
from being_remote.workflows.job_context import job_context


@dataclass(frozen=True)
class ForgetReport:
    """What became of each job, the newest first."""

    jobs: tuple[ForgottenJob, ...]
    dry_run: bool

    @property
    def exit_code(self) -> int:
        """4 where a host gave no answer or a job is busy, 6 where results are not local."""
        return worst_exit_code(job.exit_code for job in self.jobs)


def forget(
    inventory: Inventory,
    job: str,
    *,
    discard_results: bool = False,
    take_over: bool = False,
    dry_run: bool = False,
) -> ForgetReport:
    """Forget one job that has ended.

    Args:
        job: an id, a unique beginning, or `last`.
        discard_results: also where results of it are not local.
        take_over: the job may be in another laptop's ledger; it is written down here first.

    Raises:
        NotFoundError: no such job.
        UsageError: it has not ended.
        HostError: no answer, or its state is unknown.
    """
    context = job_context(inventory, dry_run=dry_run)
    found = find_job(context, job, "forget", take_over=take_over, dry_run=dry_run)
    host = context.host_of(found)
    with context.open_session(host.name) as session:
        done = forget_job(context, session, host, found, discard_results=discard_results, dry_run=dry_run)
    return ForgetReport((done,), dry_run)


def forget_finished(
    inventory: Inventory, *, hosts: Sequence[str] = (), dry_run: bool = False
) -> ForgetReport:
    """Forget every job of the ledger that has ended and whose results are local.

    Args:
        hosts: only jobs of these; default: all.
    """
    context = job_context(inventory, dry_run=dry_run)
    names = [inventory.host(name).name for name in dict.fromkeys(hosts)] or list(inventory.hosts)
    finished = [job for job in context.ledger.jobs() if job.ended and job.host in names]
    waiting = [job for job in finished if not is_forgotten(context.ledger, job)]
    by_host = [[job for job in waiting if job.host == name] for name in names]

    def forget_on(place: int) -> list[ForgottenJob]:
        return _forget_jobs(context, names[place], by_host[place], dry_run=dry_run)

    lists = ask_all([place for place, jobs in enumerate(by_host) if jobs], forget_on)
    done = {one.job: one for one_list in lists for one in one_list}
    return ForgetReport(tuple(done[job.job] for job in waiting), dry_run)


def _forget_jobs(
    context: JobContext, name: str, jobs: Sequence[LedgerJob], *, dry_run: bool
) -> list[ForgottenJob]:
    """Forget jobs of one host; what keeps one from it keeps no other."""
    host = context.inventory.host(name)
    done: list[ForgottenJob] = []
    try:
        with context.open_session(name) as session:
            for job in jobs:
                try:
                    one = forget_job(context, session, host, job, discard_results=False, dry_run=dry_run)
                except HostError:
                    raise
                except BeingRemoteError as e:
                    one = _kept(job, e.what)
                done.append(one)
    except (HostError, InventoryError) as e:
        done += [_kept(job, e.what) for job in jobs[len(done) :]]
    return done


def _kept(job: LedgerJob, reason: str) -> ForgottenJob:
    return ForgottenJob(job.job, job.host, job.attempt, job.state, forgotten=False, reason=reason)
