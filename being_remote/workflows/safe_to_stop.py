"""`safe-to-stop`: may this pod be stopped? Every reason against it, each with the next command.

Yes only if all that it holds is at home with the very bytes that it has now, no job is at work, and
nothing is left unknown. It starts and changes nothing, here or there, and takes no lock, so it may run
beside a sync, a watch, and from cron. What is at home is told by hashes made on the host, by the
manifests here, and by the size of what lies here; `sync --verify` is what reads it again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Literal

from being_remote.errors import HostError, UnrequestedFile
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.jobs.job_status import HostJobs
from being_remote.jobs.ledger import ledger_of
from being_remote.jobs.status_poll import look_at_host
from being_remote.pod_client.disk_survey import survey
from being_remote.pod_client.job_answers import LeasedGpu
from being_remote.safe_to_stop.active_jobs import ended_job, standing
from being_remote.safe_to_stop.actor_files import ActorRow
from being_remote.safe_to_stop.file_comparison import compare
from being_remote.safe_to_stop.gpu_use import gpu_reasons
from being_remote.safe_to_stop.job_results import JobResults
from being_remote.safe_to_stop.reasons import Reason
from being_remote.safe_to_stop.unsynced_files import folders_of_actors
from being_remote.session import Session


@dataclass(frozen=True)
class FollowUpCommand:
    """A local command for after a yes; `exit_code` is None where it did not run."""

    command: tuple[str, ...]
    exit_code: int | None = None


@dataclass(frozen=True)
class SafeReport:
    """May the host be stopped?

    Attributes:
        safe: None where something is not known and nothing speaks against it.
        verdict: the same in a word.
        reasons: all that speaks against it, the certain ones first.
        notes: what is worth knowing and needs nothing done.
        actors: those that the host holds anything of.
        jobs: every job that it holds, of every ledger.
        idle_s: by the host's own clock and the times of its files, seconds since a job ended there or a
            result changed; 0 while it is in use; None where that cannot be told.
        idle_usd: what that time cost if it ran all the while, by the inventory's `usd_per_hour`.
        up_s: seconds since it was started, by a clock that nobody sets; None where it does not say.
        gpu_problem: why there may be more GPUs than `gpus`.
        checked_at: when the look began, by this laptop's clock, ISO 8601 in UTC.
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
        """6 for no, 4 where it is not known; for yes 0, or that of the command that ran then."""
        if self.safe:
            return self.then.exit_code or 0 if self.then is not None else 0
        return 4 if self.safe is None else 6


@dataclass
class _Findings:
    """What was found out so far; a look that breaks off keeps what it knows."""

    reasons: list[Reason] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    actors: list[ActorRow] = field(default_factory=list)
    jobs: list[JobResults] = field(default_factory=list)
    gpus: tuple[LeasedGpu, ...] = ()
    gpu_problem: str | None = None
    idle_s: float | None = None
    up_s: float | None = None
    round_trips: int = 0


def safe_to_stop(inventory: Inventory, *, host: str | None = None, look_again: bool = False) -> SafeReport:
    """Look whether a host may be stopped.

    Args:
        inventory: hosts, actors and backups.
        host: its name; default: the only one.
        look_again: something is to follow a yes, so ask at the end whether a job has come meanwhile.

    Raises:
        UsageError: no such host.
    """
    from being_remote.transport import open_session

    where, case = inventory.the_host(host), _Findings()
    began, checked_at = time.monotonic(), datetime.now(timezone.utc).isoformat(timespec="seconds")
    try:
        with open_session(where, inventory, remember=False) as session:
            try:
                before = _look(case, inventory, where, session)
                if look_again and not case.reasons:
                    _compare_jobs(case, before, look_at_host(session, where), str(where.workdir))
            finally:
                case.round_trips = session.round_trips
    except (HostError, UnrequestedFile) as e:
        case.reasons.append(Reason("host", "unknown", e.what, e.hint or f"doctor --host {where.name}"))
    certain = [reason for reason in case.reasons if reason.verdict == "no"]
    unknown = [reason for reason in case.reasons if reason.verdict == "unknown"]
    safe = False if certain else None if unknown else True
    return SafeReport(
        host=where.name,
        safe=safe,
        verdict="unknown" if safe is None else "yes" if safe else "no",
        reasons=(*certain, *unknown),
        notes=tuple(case.notes),
        actors=tuple(case.actors),
        jobs=tuple(case.jobs),
        gpus=case.gpus,
        gpu_problem=case.gpu_problem,
        idle_s=case.idle_s,
        idle_usd=_cost(case.idle_s, where.usd_per_hour),
        up_s=case.up_s,
        checked_at=checked_at.replace("+00:00", "Z"),
        seconds=round(time.monotonic() - began, 3),
        round_trips=case.round_trips,
    )


def _look(case: _Findings, inventory: Inventory, host: SshHost | LocalHost, session: Session) -> HostJobs:
    """Jobs first: what is not at work by then writes nothing more while its files are looked at."""
    answer = look_at_host(session, host)
    ledger = ledger_of(inventory)
    ours = {known.job: known for known in ledger.jobs()}
    open_ones = [k.job for k in ours.values() if k.host == host.name and not k.ended]
    stand = standing(host.name, ours, {job: ledger.history(job) for job in open_ones}, answer)
    case.reasons += stand.reasons
    case.reasons += gpu_reasons(answer.gpus, answer.gpu_problem, stand.at_work, str(host.workdir))
    case.notes += stand.notes
    case.gpus, case.gpu_problem = answer.gpus, answer.gpu_problem
    ended = {seen.job: seen for seen in stand.ended}
    judged = [seen for seen in answer.jobs if seen.job not in ended]
    case.jobs += [JobResults(seen.job, seen.attempt, seen.state, seen.job in ours) for seen in judged]

    foreign = [job for job in ended if job not in ours]
    shown = survey(
        session,
        host,
        count_below=folders_of_actors(inventory, host),
        jobs=foreign,
        apart=(inventory.backups, inventory.state) if isinstance(host, LocalHost) else (),
    )
    recipes = {job: known.recipe for job, known in ours.items()} | dict(
        zip(foreign, shown.recipes, strict=True)
    )
    left = [
        ended_job(host.name, host.workdir, seen, ours.get(job), recipes[job]) for job, seen in ended.items()
    ]
    compared = compare(session, inventory, host, shown, left, frozenset(seen.job for seen in judged))
    case.reasons += compared.reasons
    case.notes += compared.notes
    case.actors += compared.actors
    case.jobs += compared.jobs
    in_use = bool(stand.at_work) or any(gpu.busy or gpu.job is not None for gpu in answer.gpus)
    case.idle_s = 0.0 if in_use else _idle_s(shown.now_ns, compared.newest_ns)
    case.up_s = shown.up_s
    return answer


def _compare_jobs(case: _Findings, before: HostJobs, now: HostJobs, workdir: str) -> None:
    """A job that came, went on or ended while files were compared: of what it wrote nothing is known."""
    seen = {(job.job, job.attempt, job.state) for job in before.jobs}
    changed = sorted({job.job for job in now.jobs if (job.job, job.attempt, job.state) not in seen})
    if changed:
        what = f"{', '.join(changed[:5])} changed on it while its files were compared"
        case.reasons.append(Reason("jobs", "unknown", what, "try again"))
    for problem in now.problems:
        case.reasons.append(Reason("jobs", "unknown", f"jobs may be missing: {problem}", "try again"))
    case.reasons += gpu_reasons(now.gpus, now.gpu_problem, frozenset(), workdir)


def _cost(idle_s: float | None, usd_per_hour: float | None) -> float | None:
    """What the time cost, to the cent.

    Example:
        >>> _cost(11_400, 1.5), _cost(None, 1.5), _cost(11_400, None)
        (4.75, None, None)
    """
    return None if idle_s is None or usd_per_hour is None else round(idle_s / 3600 * usd_per_hour, 2)


def _idle_s(now_ns: int, newest_ns: int | None) -> float | None:
    """Seconds since something last happened, by one clock; None where its files are from its future.

    Example:
        >>> _idle_s(3_000_000_000, 500_000_000), _idle_s(3, None), _idle_s(3, 4)
        (2.5, None, None)
    """
    return None if newest_ns is None or newest_ns > now_ns else (now_ns - newest_ns) / 1e9
