"""The jobs of a host, of every ledger: which are at work, which are unknown, and whose files count.

An attempt is superseded when its job continued elsewhere: its files are worth nothing, but while it runs it
costs money and should perhaps be cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from being_remote.jobs.job_status import HostJobs, JobStatus
from being_remote.jobs.ledger import LedgerJob, StateChange, volume_of
from being_remote.jobs.logs import attempt_folder
from being_remote.jobs.status_verdict import describe_state, judge_missing
from being_remote.pod.job_paths import WORK
from being_remote.pod.job_states import JobState
from being_remote.safe_to_stop.job_results import EndedJob, ResultPatterns
from being_remote.safe_to_stop.reasons import Reason

# What `pull` downloads of a recipe's jobs; the recipe is None where the host could not name it.
FindPatterns = Callable[[str | None], ResultPatterns]


@dataclass
class ActiveJobs:
    """How a host's jobs stand; `at_work` are ids."""

    reasons: list[Reason] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ended: list[JobStatus] = field(default_factory=list)
    at_work: set[str] = field(default_factory=set)


def judge_jobs(
    host: str, ours: Mapping[str, LedgerJob], stories: Mapping[str, Sequence[StateChange]], answer: HostJobs
) -> ActiveJobs:
    """Judge each job on the host, and each that the ledger expects there.

    Args:
        host: its name.
        ours: every job of the ledger, by id.
        stories: of the jobs that the ledger has on this host, or that the host shows.
        answer: the host's.
    """
    jobs = ActiveJobs()
    for seen in answer.jobs:
        _judge_job(host, seen, ours.get(seen.job), stories.get(seen.job, ()), jobs)
    for problem in answer.problems:
        what = f"jobs may be missing: {problem}"
        jobs.reasons.append(Reason("jobs", "unknown", what, f"jobs --host {host}"))
    shown = {seen.job for seen in answer.jobs}
    for job in ours.values():
        if job.host == host and job.job not in shown and not job.ended:
            volume = volume_of(stories[job.job], job.attempt)
            verdict = judge_missing(volume, answer.incarnation, job.state)
            if verdict.state is not JobState.CREATED:
                what = f"state of {job.job} unknown: {verdict.reason}"
                jobs.reasons.append(Reason("jobs", "unknown", what, f"jobs --why {job.job}"))
    return jobs


def _judge_job(
    host: str, seen: JobStatus, job: LedgerJob | None, changes: Sequence[StateChange], jobs: ActiveJobs
) -> None:
    state = _state(host, seen, job)
    if state is JobState.UNKNOWN and job is not None and job.host != host:
        # After a restart on the same volume the host cannot tell, but its end was known, or it was abandoned.
        ends = (change.state for change in changes if change.attempt == seen.attempt and change.state.ended)
        state = next(ends, state)
    if state.active:
        jobs.at_work.add(seen.job)
        if (reason := _work_reason(host, seen, job)) is not None:
            jobs.reasons.append(reason)
    elif state is JobState.UNKNOWN:
        next_step = f"jobs --why {seen.job}" if job else f"jobs --host {host}, on the laptop that made it"
        what = f"state of {seen.job} unknown: {_unknown_cause(host, seen, job)}"
        jobs.reasons.append(Reason("jobs", "unknown", what, next_step))
    elif job is None or job.host == host:
        jobs.ended.append(seen)
    elif job.ended and job.state is not JobState.SUCCEEDED:
        # An earlier attempt may have made the most frames of all.
        what = (
            f"attempt {seen.attempt} of {seen.job} ended here; the attempt that counts, {job.attempt} on"
            f" {job.host}, is {job.state}: frames here may exist nowhere else"
        )
        next_step = f"resume {seen.job}; or check its folder on {host} and remove it if it is worth nothing"
        jobs.reasons.append(Reason("jobs", "unknown", what, next_step))
    else:
        jobs.notes.append(
            f"attempt {seen.attempt} of {seen.job} ended here; attempt {job.attempt} on {job.host} counts,"
            " so the files here are worth nothing"
        )


def describe_ended(
    host: str, workdir: PurePosixPath, seen: JobStatus, job: LedgerJob | None, patterns: ResultPatterns
) -> EndedJob:
    """Which files of an ended job count, and what downloads them."""
    return EndedJob(
        job=seen.job,
        attempt=seen.attempt,
        state=_state(host, seen, job),
        ours=job is not None,
        actor=job.actor if job is not None else None,
        work=attempt_folder(workdir, seen.job, seen.attempt) / WORK,
        patterns=patterns,
        next=_pull_command(host, seen, job, ""),
        next_all=_pull_command(host, seen, job, " --all"),
    )


def _pull_command(host: str, seen: JobStatus, job: LedgerJob | None, option: str) -> str:
    name = seen.job
    if job is None:
        return (
            f"pull {name} --all on the laptop that made it; or resume {name} --host {host} --take-over here"
        )
    if seen.attempt > job.attempt:
        return f"resume {name} --take-over, then pull {name}{option}"
    if seen.attempt < job.attempt:
        return f"resume {name}, which continues from these files"
    return f"pull {name}{option}"


def _is_other_spec(host: str, seen: JobStatus, job: LedgerJob | None) -> bool:
    return job is not None and job.host == host and seen.spec_sha256 not in (None, job.spec_sha256)


def _state(host: str, seen: JobStatus, job: LedgerJob | None) -> JobState:
    """The state on the host; where that is unknown, an end that the ledger knows."""
    if _is_other_spec(host, seen, job):
        return JobState.UNKNOWN
    if job is not None and job.host == host and job.ended and seen.attempt == job.attempt:
        return job.state if seen.state is JobState.UNKNOWN else seen.state
    return seen.state


def _unknown_cause(host: str, seen: JobStatus, job: LedgerJob | None) -> str:
    return "the host holds another spec under this id" if _is_other_spec(host, seen, job) else seen.reason


def _work_reason(host: str, seen: JobStatus, job: LedgerJob | None) -> Reason | None:
    """Why a job that has not ended speaks against a stop; None where it did not start and never will."""
    name, state = seen.job, seen.state
    if job is None:
        what = f"{name} of another laptop is {describe_state(state, seen.reason)}"
        next_step = f"wait until it ends, or resume {name} --host {host} --take-over and cancel it"
    elif job.host != host:
        if state is JobState.SUBMITTED:
            return None
        counts = f"attempt {job.attempt} on {job.host} counts"
        what = f"attempt {seen.attempt} of {name} is {state} here, but {counts}"
        next_step = f"cancel {name} --host {host}"
    elif seen.is_unattended:
        what = f"{name} was sent and has not started: {seen.reason}"
        next_step = f"cancel {name}; or resume {name}, which starts it"
    else:
        what = f"{name} is {describe_state(state, seen.reason)}"
        next_step = f"logs {name} --follow, or cancel {name}"
    return Reason("jobs", "no", what, next_step)
