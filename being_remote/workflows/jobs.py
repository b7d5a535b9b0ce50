"""`jobs`: how all jobs stand; one round trip a host, hosts in parallel. Nothing is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from being_remote.errors import HostError, InventoryError, as_host_error
from being_remote.inventory import Inventory
from being_remote.jobs.context import JobContext
from being_remote.jobs.job_status import (
    NO_HOST,
    HostJobs,
    JobStatus,
    ended_status,
    status_without_answer,
    superseded_status,
    time_text,
)
from being_remote.jobs.ledger import LedgerJob
from being_remote.jobs.status_poll import look_at_host, record_answer
from being_remote.pod.job_states import JobState
from being_remote.pod_client.job_answers import LeasedGpu
from being_remote.pod_client.many_hosts import ask_all
from being_remote.workflows.job_context import job_context

NEWEST = 10


@dataclass(frozen=True)
class HostLook:
    """One host that was asked: why it gave no answer (`error`), and what of it is malformed (`problems`)."""

    host: str
    reachable: bool
    error: str | None
    gpus: tuple[LeasedGpu, ...] = ()
    gpu_problem: str | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobsReport:
    """All jobs that were asked for, the newest first, then attempts that were left on other hosts and
    other laptops' jobs; `hidden` ended ones are left out without --all."""

    jobs: tuple[JobStatus, ...]
    hosts: tuple[HostLook, ...]
    hidden: int

    @property
    def exit_code(self) -> int:
        """4 where something could not be known; how jobs ended does not matter here."""
        unclear = any(not h.reachable or h.problems for h in self.hosts)
        unknown = any(job.state is JobState.UNKNOWN and not job.superseded for job in self.jobs)
        return 4 if unclear or unknown else 0


@dataclass(frozen=True)
class HistoryStep:
    """One step of a job's history; `at` by this laptop's clock."""

    at: str | None
    attempt: int
    state: JobState
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class WhyReport:
    """A job as it stands and how it came there."""

    jobs: tuple[JobStatus, ...]
    story: tuple[HistoryStep, ...]
    error: str | None

    @property
    def exit_code(self) -> int:
        """4 where it is not known how the job stands."""
        return 4 if self.jobs[0].state is JobState.UNKNOWN else 0


def jobs(inventory: Inventory, *, hosts: Sequence[str] = (), all_jobs: bool = False) -> JobsReport:
    """Look at the jobs of `hosts` (default: every host).

    Args:
        all_jobs: also those that ended long ago, and other laptops' that have ended.

    Raises:
        UsageError: no such host.
    """
    context = job_context(inventory)
    names = [inventory.host(name).name for name in dict.fromkeys(hosts)] or list(inventory.hosts)
    answers = dict(zip(names, ask_all(names, lambda name: _ask(context, name)), strict=True))
    rows, hidden = [], 0
    every = context.ledger.jobs()
    wanted = [job for job in every if not hosts or job.host in answers]
    # In one transaction: each waits for the disk.
    news = any(not job.ended for job in wanted)
    with context.ledger.together() if news else nullcontext(context.ledger) as ledger:
        for number, job in enumerate(wanted):
            if job.ended and number >= NEWEST and not all_jobs:
                hidden += 1
            elif job.host in answers:
                rows.append(record_answer(ledger, job, answers[job.host]))
            else:
                rows.append(status_without_answer(job, ledger.history(job.job), NO_HOST))
    by_id = {job.job: job for job in every}
    for host, answer in answers.items():
        for seen in () if isinstance(answer, HostError) else answer.jobs:
            ours = by_id.get(seen.job)
            if ours is not None and _has_row(ours, host, seen, answers):
                continue
            if seen.state.ended and not all_jobs:
                hidden += 1
            else:
                rows.append(
                    seen if ours is None or seen.attempt >= ours.attempt else superseded_status(ours, seen)
                )
    return JobsReport(tuple(rows), tuple(_host_look(n, a) for n, a in answers.items()), hidden)


def job_status(inventory: Inventory, job: str) -> JobStatus:
    """Look at one job; without an answer of its host, it is unknown.

    Args:
        job: an id, a unique beginning, or `last`.

    Raises:
        NotFoundError: no such job in the ledger.
    """
    context = job_context(inventory)
    found = context.ledger.find(job)
    return record_answer(context.ledger, found, _ask(context, found.host))


def why(inventory: Inventory, job: str) -> WhyReport:
    """One job's history, with one look at its host unless its end is known.

    Raises:
        NotFoundError: no such job in the ledger.
    """
    context = job_context(inventory)
    ledger = context.ledger
    found = ledger.find(job)
    error = None
    if found.ended:
        status = ended_status(found, ledger.history(found.job))
    else:
        answer = _ask(context, found.host)
        error = str(answer) if isinstance(answer, HostError) else None
        status = record_answer(ledger, found, answer)
    steps = (HistoryStep(time_text(c.at), c.attempt, c.state, c.evidence) for c in ledger.history(found.job))
    return WhyReport((status,), tuple(steps), error)


def _has_row(
    ours: LedgerJob, host: str, seen: JobStatus, answers: Mapping[str, HostJobs | HostError]
) -> bool:
    """Whether the row of a job of the ledger says what another host shows of it.

    Two hosts with one volume both show it. An attempt that another laptop moved elsewhere is only there.
    """
    if ours.host == host or seen.attempt == ours.attempt:
        return True
    own = answers.get(ours.host)
    row = own.job(ours.job) if isinstance(own, HostJobs) else None
    return seen.attempt > ours.attempt and row is not None and row.attempt >= seen.attempt


def _ask(context: JobContext, host: str) -> HostJobs | HostError:
    if host not in context.inventory.hosts:
        return HostError(NO_HOST, host=host)
    try:
        with context.open_session(host) as session:
            return look_at_host(session, context.inventory.host(host))
    except (HostError, InventoryError) as e:
        return as_host_error(e, host)


def _host_look(name: str, answer: HostJobs | HostError) -> HostLook:
    if isinstance(answer, HostError):
        return HostLook(name, reachable=False, error=str(answer))
    return HostLook(name, True, None, answer.gpus, answer.gpu_problem, answer.problems)
