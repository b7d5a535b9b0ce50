"""The jobs of a host, of every ledger: which are at work, which are unknown, and whose files count.

Pure. A superseded attempt is one that does not count any more because its job went on elsewhere:
what it left is worth nothing, but while it runs it spends money and may be wanted to end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import cast

from being_remote.errors import UsageError
from being_remote.jobs.host_jobs import HostJobs, SeenJob
from being_remote.jobs.job_status import volume_in
from being_remote.jobs.ledger import LedgerJob, StateChange
from being_remote.jobs.logs import attempt_folder
from being_remote.jobs.status_verdict import State, judge_absent
from being_remote.pod import job_records as records
from being_remote.recipes.registry import find_recipe
from being_remote.safe_to_stop.reasons import Reason

ALL_FILES = ("**",)
_AT_WORK = ("submitted", "waiting", "running", "transforming")


@dataclass(frozen=True)
class EndedJob:
    """A job on the host that has ended, and which of its files count.

    Attributes:
        attempt: the newest one on this host.
        results, more: what `pull` brings, and what `pull --all` brings besides, as globs below `work`.
        next, next_all: the command that brings `results` home, and the one for all of them.
    """

    job: str
    attempt: int
    state: str
    ours: bool
    actor: str | None
    work: PurePosixPath
    results: tuple[str, ...]
    more: tuple[str, ...]
    next: str
    next_all: str

    @property
    def patterns(self) -> tuple[str, ...]:
        """All that should be at home."""
        return (*self.results, *self.more)

    @property
    def of_frames(self) -> bool:
        """Whether it makes frames, so that without any it is worth nothing unless it succeeded."""
        return any(pattern.endswith(".frame") for pattern in self.patterns)


@dataclass(frozen=True)
class ActiveJobs:
    """How a host's jobs stand. `moved` are those that go on elsewhere."""

    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]
    ended: tuple[SeenJob, ...]
    at_work: frozenset[str]
    moved: frozenset[str]


def standing(
    host: str, ours: Mapping[str, LedgerJob], stories: Mapping[str, Sequence[StateChange]], answer: HostJobs
) -> ActiveJobs:
    """Judge each job that the host shows, and each of the ledger's that it should show.

    Args:
        host: its name.
        ours: every job of the ledger, by id.
        stories: of those that the ledger has on this host.
        answer: one look at the host.
    """
    reasons: list[Reason] = []
    notes: list[str] = []
    ended, at_work, moved = [], set(), set()
    for seen in answer.jobs:
        known = ours.get(seen.job)
        if known is not None and known.host != host:
            moved.add(seen.job)
        state = _state(host, seen, known)
        if state in _AT_WORK:
            at_work.add(seen.job)
            reason = _working(host, seen, known)
            if reason is not None:
                reasons.append(reason)
        elif state == "unknown":
            next_step = f"jobs --why {seen.job}" if known else f"jobs --host {host}, where it was made"
            what = f"how {seen.job} stands is unknown: {_why(host, seen, known)}"
            reasons.append(Reason("jobs", "unknown", what, next_step))
        elif seen.job in moved and known is not None and known.ended and known.state != "succeeded":
            # What an earlier attempt left here may be the most that there is.
            what = (
                f"attempt {seen.attempt} of {seen.job} ended here; attempt {known.attempt} on {known.host}"
                f" counts, but is {known.state}: here may be frames that are nowhere else"
            )
            next_step = (
                f"resume {seen.job}; or look in the job's folder on {host}, and remove what is worth nothing"
            )
            reasons.append(Reason("jobs", "unknown", what, next_step))
        elif seen.job in moved and known is not None:
            notes.append(
                f"attempt {seen.attempt} of {seen.job} ended here; attempt {known.attempt} on {known.host}"
                " counts, so what it left is worth nothing"
            )
        else:
            ended.append(seen)
    for problem in answer.problems:
        reasons.append(Reason("jobs", "unknown", f"jobs may be missing: {problem}", f"jobs --host {host}"))
    shown = {seen.job for seen in answer.jobs}
    for known in ours.values():
        if known.host == host and known.job not in shown and not known.ended:
            verdict = judge_absent(
                volume_in(stories[known.job], known.attempt), answer.incarnation, cast(State, known.state)
            )
            if verdict.state != "created":
                what = f"how {known.job} stands is unknown: {verdict.reason}"
                reasons.append(Reason("jobs", "unknown", what, f"jobs --why {known.job}"))
    return ActiveJobs(tuple(reasons), tuple(notes), tuple(ended), frozenset(at_work), frozenset(moved))


def ended_job(
    host: str, workdir: PurePosixPath, seen: SeenJob, known: LedgerJob | None, recipe_name: str | None
) -> EndedJob:
    """Which files of an ended job count. `recipe_name` is None where nobody could say it."""
    results, more = _patterns(recipe_name)
    return EndedJob(
        job=seen.job,
        attempt=seen.attempt,
        state=_state(host, seen, known),
        ours=known is not None,
        actor=known.actor if known is not None else None,
        work=attempt_folder(workdir, seen.job, seen.attempt) / records.WORK,
        results=results,
        more=more,
        next=_next(host, seen, known, ""),
        next_all=_next(host, seen, known, " --all"),
    )


def _patterns(name: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        kind = find_recipe(name or "")
    except UsageError:  # a later version's, or a spec that could not be read
        return (), ALL_FILES
    return kind.results, kind.more_results


def _next(host: str, seen: SeenJob, known: LedgerJob | None, which: str) -> str:
    """What brings its results home."""
    job = seen.job
    if known is None:
        return f"pull {job} --all on the laptop that made it; or resume {job} --host {host} --take-over here"
    if seen.attempt > known.attempt:
        return f"resume {job} --take-over, then pull {job}{which}"
    if seen.attempt < known.attempt:
        return f"resume {job}, which goes on from them"
    return f"pull {job}{which}"


def _state(host: str, seen: SeenJob, known: LedgerJob | None) -> str:
    """What its host shows; where that is unknown, an end that the ledger knows."""
    if known is not None and known.host == host:
        if seen.spec_sha256 not in (None, known.spec_sha256):
            return "unknown"
        if seen.state == "unknown" and known.ended and seen.attempt == known.attempt:
            return known.state
    return seen.state


def _why(host: str, seen: SeenJob, known: LedgerJob | None) -> str:
    other = known is not None and known.host == host and seen.spec_sha256 not in (None, known.spec_sha256)
    return "another spec lies there under this id" if other else seen.reason


def _working(host: str, seen: SeenJob, known: LedgerJob | None) -> Reason | None:
    """Why a job that has not ended speaks against a stop; None where it never started and never will."""
    job, state = seen.job, seen.state
    if known is None:
        what = f"{job}, another laptop's, is {state}: {seen.reason}"
        next_step = f"wait for its end, or resume {job} --host {host} --take-over and cancel it"
    elif known.host != host:
        if state == "submitted":
            return None
        counts = f"attempt {known.attempt} on {known.host} counts"
        what = f"attempt {seen.attempt} of {job} is {state} here, though {counts}"
        next_step = f"cancel {job} --host {host}"
    elif state == "submitted":
        what = f"{job} was sent and has not started: {seen.reason}"
        next_step = f"cancel {job}, or the same retrack again, which starts it"
    else:
        what = f"{job} is {state}: {seen.reason}"
        next_step = f"logs {job} --follow, or cancel {job}"
    return Reason("jobs", "no", what, next_step)
