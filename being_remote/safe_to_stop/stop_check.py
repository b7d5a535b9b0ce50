"""May a host be stopped? Its jobs, its GPUs and its files, looked at in that order; nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Literal

from being_remote.errors import HostError, UnrequestedFile
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.jobs.job_status import HostJobs
from being_remote.jobs.ledger import ledger_of
from being_remote.jobs.status_poll import look_at_host
from being_remote.pod_client.disk_survey import survey_disk
from being_remote.pod_client.job_answers import LeasedGpu
from being_remote.safe_to_stop.active_jobs import FindPatterns, describe_ended, judge_jobs
from being_remote.safe_to_stop.file_comparison import compare_files
from being_remote.safe_to_stop.gpu_use import gpu_reasons
from being_remote.safe_to_stop.reasons import ActorRow, JobResults, Reason
from being_remote.safe_to_stop.result_names import survey_request
from being_remote.session import Session
from being_remote.wording import list_some


@dataclass(frozen=True)
class FollowUpCommand:
    """A local command to run after a yes; `exit_code` is None where it did not run."""

    command: tuple[str, ...]
    exit_code: int | None = None


@dataclass(frozen=True)
class SafeReport:
    """May the host be stopped?

    Attributes:
        safe: None where something is unknown and nothing is a certain reason against it.
        reasons: all reasons against it, the certain ones first.
        notes: remarks that need no action.
        actors: those that the host holds anything of.
        jobs: every job on it, of every ledger.
        idle_s: seconds since a job ended there or a result changed, by the host's clock and the times of its
            files; 0 while it is in use; None: not known.
        idle_usd: what that time cost if it ran throughout, by the inventory's `usd_per_hour`.
        up_s: seconds since the pod started, by a clock that nothing sets; None: not known.
        gpu_problem: why there may be more GPUs than `gpus`.
        checked_at: when the check began, by this laptop's clock, ISO 8601 in UTC.
    """

    host: str
    safe: bool | None
    verdict: Literal["yes", "no", "unknown"]
    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]
    actors: tuple[ActorRow, ...]
    jobs: tuple[JobResults, ...]
    gpus: tuple[LeasedGpu, ...]
    gpu_problem: str | None
    idle_s: float | None
    idle_usd: float | None
    up_s: float | None
    checked_at: str
    seconds: float
    round_trips: int
    then: FollowUpCommand | None = None

    @property
    def exit_code(self) -> int:
        """6 for no, 4 for unknown; for yes 0, or that of the command that ran after it."""
        if self.safe:
            return self.then.exit_code or 0 if self.then is not None else 0
        return 4 if self.safe is None else 6


@dataclass
class StopCheck:
    """One check of a host. After an error it still reports what it found before."""

    inventory: Inventory
    host: SshHost | LocalHost
    find_patterns: FindPatterns
    reasons: list[Reason] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    actors: Sequence[ActorRow] = ()
    jobs: list[JobResults] = field(default_factory=list)
    gpus: tuple[LeasedGpu, ...] = ()
    gpu_problem: str | None = None
    idle_s: float | None = None
    up_s: float | None = None
    round_trips: int = 0
    _began: float = field(default_factory=time.monotonic)
    _began_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def run(self, session: Session, *, look_again: bool) -> None:
        """Look at the host; with `look_again` ask at the end whether its jobs changed meanwhile.

        Raises:
            HostError, UnrequestedFile: no answer, or an invalid one.
        """
        try:
            # Jobs first: one that has ended by then writes nothing while its files are compared.
            answer = look_at_host(session, self.host)
            self._check(session, answer)
            if look_again and not self.reasons:
                self._compare_jobs(answer, look_at_host(session, self.host))
        finally:
            self.round_trips = session.round_trips

    def note_failure(self, error: HostError | UnrequestedFile) -> None:
        """The host gave no answer: what was not looked at is unknown."""
        next_step = error.hint or f"doctor --host {self.host.name}"
        self.reasons.append(Reason("host", "unknown", error.what, next_step))

    def report(self) -> SafeReport:
        certain = [reason for reason in self.reasons if reason.verdict == "no"]
        unknown = [reason for reason in self.reasons if reason.verdict == "unknown"]
        safe = False if certain else None if unknown else True
        return SafeReport(
            host=self.host.name,
            safe=safe,
            verdict="unknown" if safe is None else "yes" if safe else "no",
            reasons=(*certain, *unknown),
            notes=tuple(self.notes),
            actors=tuple(self.actors),
            jobs=tuple(self.jobs),
            gpus=self.gpus,
            gpu_problem=self.gpu_problem,
            idle_s=self.idle_s,
            idle_usd=cost_of_idle(self.idle_s, self.host.usd_per_hour),
            up_s=self.up_s,
            checked_at=self._began_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            seconds=round(time.monotonic() - self._began, 3),
            round_trips=self.round_trips,
        )

    def _check(self, session: Session, answer: HostJobs) -> None:
        host, ledger = self.host, ledger_of(self.inventory)
        ours = {job.job: job for job in ledger.jobs()}
        wanted = {job.job for job in ours.values() if job.host == host.name and not job.ended}
        wanted |= {seen.job for seen in answer.jobs if seen.job in ours and not seen.state.ended}
        active = judge_jobs(host.name, ours, {job: ledger.history(job) for job in wanted}, answer)
        self.reasons += active.reasons
        self.reasons += gpu_reasons(answer.gpus, answer.gpu_problem, active.at_work, str(host.workdir))
        self.notes += active.notes
        self.gpus, self.gpu_problem = answer.gpus, answer.gpu_problem
        ended = {seen.job: seen for seen in active.ended}
        judged = [seen for seen in answer.jobs if seen.job not in ended]
        self.jobs += [JobResults(seen.job, seen.attempt, seen.state, seen.job in ours) for seen in judged]

        foreign = [job for job in ended if job not in ours]
        survey = survey_disk(session, host, survey_request(self.inventory, host, foreign))
        recipes: dict[str, str | None] = {job: known.recipe for job, known in ours.items()}
        recipes |= dict(zip(foreign, survey.recipes, strict=True))
        described = [
            describe_ended(host.name, host.workdir, seen, ours.get(job), self.find_patterns(recipes[job]))
            for job, seen in ended.items()
        ]
        judged_ids = {seen.job for seen in judged}
        findings, newest_ns = compare_files(session, self.inventory, host, survey, described, judged_ids)
        self.reasons += findings.reasons
        self.notes += findings.notes
        self.actors = findings.actors
        self.jobs += findings.jobs
        in_use = bool(active.at_work) or any(gpu.busy or gpu.job is not None for gpu in answer.gpus)
        self.idle_s = 0.0 if in_use else idle_seconds(survey.now_ns, newest_ns)
        self.up_s = survey.up_s

    def _compare_jobs(self, before: HostJobs, now: HostJobs) -> None:
        """A job that started, moved on or ended meanwhile may have written files that were not compared."""
        seen = {(job.job, job.attempt, job.state) for job in before.jobs}
        changed = sorted({job.job for job in now.jobs if (job.job, job.attempt, job.state) not in seen})
        if changed:
            what = f"{list_some(changed)} changed while files were compared"
            self.reasons.append(Reason("jobs", "unknown", what, "try again"))
        for problem in now.problems:
            self.reasons.append(Reason("jobs", "unknown", f"jobs may be missing: {problem}", "try again"))
        self.reasons += gpu_reasons(now.gpus, now.gpu_problem, frozenset(), str(self.host.workdir))


def cost_of_idle(idle_s: float | None, usd_per_hour: float | None) -> float | None:
    """What the time cost, to the cent.

    Example:
        >>> cost_of_idle(11_400, 1.5), cost_of_idle(None, 1.5), cost_of_idle(11_400, None)
        (4.75, None, None)
    """
    return None if idle_s is None or usd_per_hour is None else round(idle_s / 3600 * usd_per_hour, 2)


def idle_seconds(now_ns: int, newest_ns: int | None) -> float | None:
    """Seconds since the last change, by one clock; None where the newest file is from its future.

    Example:
        >>> idle_seconds(3_000_000_000, 500_000_000), idle_seconds(3, None), idle_seconds(3, 4)
        (2.5, None, None)
    """
    return None if newest_ns is None or newest_ns > now_ns else (now_ns - newest_ns) / 1e9
