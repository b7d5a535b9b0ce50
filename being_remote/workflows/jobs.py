"""`jobs`: how all jobs stand; one round trip a host, hosts in parallel. Asking starts nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from being_remote.errors import HostError
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.jobs.host_jobs import HostJobs
from being_remote.jobs.job_status import (
    JobStatus,
    ended_row,
    foreign_row,
    moment,
    silent_row,
    superseded_row,
)
from being_remote.jobs.ledger import ENDED, LedgerJob
from being_remote.jobs.status_poll import learnt, ledger_of, look
from being_remote.pod_client.job_answers import LeasedGpu

MAX_AT_ONCE = 8
NEWEST = 10


@dataclass(frozen=True)
class HostLook:
    """One host that was asked: why it gave no answer (`error`), and what of it is unreadable (`problems`)."""

    host: str
    reachable: bool
    error: str | None
    gpus: tuple[LeasedGpu, ...]
    gpu_problem: str | None
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
        blind = any(not h.reachable or h.problems for h in self.hosts)
        unknown = any(row.state == "unknown" and not row.superseded for row in self.jobs)
        return 4 if blind or unknown else 0


@dataclass(frozen=True)
class HistoryStep:
    """One step of a job's story; `at` by this laptop's clock."""

    at: str | None
    attempt: int
    state: str
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
        return 4 if self.jobs[0].state == "unknown" else 0


def jobs(inventory: Inventory, *, hosts: Sequence[str] = (), all_jobs: bool = False) -> JobsReport:
    """Look at the jobs of `hosts` (default: every host).

    Args:
        inventory: who is who.
        hosts: names.
        all_jobs: also those that ended long ago, and other laptops' that have ended.

    Raises:
        UsageError: no such host.
    """
    named = [inventory.host(name) for name in dict.fromkeys(hosts)] or list(inventory.hosts.values())
    ledger = ledger_of(inventory)
    with ThreadPoolExecutor(max_workers=MAX_AT_ONCE) as pool:
        answers = dict(
            zip((h.name for h in named), pool.map(lambda h: _ask(h, inventory), named), strict=True)
        )
    rows, hidden = [], 0
    every = ledger.jobs()
    ours = [k for k in every if not hosts or k.host in answers]
    for number, known in enumerate(ours):
        if known.ended and number >= NEWEST and not all_jobs:
            hidden += 1
            continue
        if known.host in answers:
            rows.append(learnt(ledger, known, answers[known.host]))
        else:
            rows.append(
                silent_row(known, ledger.story(known.job), "the inventory names no such host any more")
            )
    names = {k.job: k for k in every}
    for host, answer in answers.items():
        for seen in () if isinstance(answer, HostError) else answer.jobs:
            mine = names.get(seen.job)
            if mine is not None and (mine.host == host or seen.attempt >= mine.attempt):
                continue  # it has its row; two hosts with one volume both show it
            if seen.state in ENDED and not all_jobs:
                hidden += 1
            else:
                rows.append(superseded_row(mine, host, seen) if mine else foreign_row(host, seen))
    return JobsReport(tuple(rows), tuple(_host_look(n, a) for n, a in answers.items()), hidden)


def why(inventory: Inventory, job: str) -> WhyReport:
    """One job's story, with one look at its host unless its end is known.

    Raises:
        NotFoundError: no such job in the ledger.
    """
    ledger = ledger_of(inventory)
    known = ledger.find(job)
    error = None
    if known.ended:
        row = ended_row(known, ledger.story(known.job))
    else:
        answer = _ask_for(known, inventory)
        error = str(answer) if isinstance(answer, HostError) else None
        row = learnt(ledger, known, answer)
    story = tuple(HistoryStep(moment(t.at), t.attempt, t.state, t.evidence) for t in ledger.story(known.job))
    return WhyReport((row,), story, error)


def _ask(host: SshHost | LocalHost, inventory: Inventory) -> HostJobs | HostError:
    from being_remote.transport import open_session

    try:
        with open_session(host, inventory) as session:
            return look(session, host)
    except HostError as e:
        return e


def _ask_for(known: LedgerJob, inventory: Inventory) -> HostJobs | HostError:
    if known.host not in inventory.hosts:
        return HostError("the inventory names no such host any more", host=known.host)
    return _ask(inventory.host(known.host), inventory)


def _host_look(name: str, answer: HostJobs | HostError) -> HostLook:
    if isinstance(answer, HostError):
        return HostLook(name, False, str(answer), (), None)
    return HostLook(name, True, None, answer.gpus, answer.gpu_problem, answer.problems)
