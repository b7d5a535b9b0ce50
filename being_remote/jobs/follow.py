"""One job followed to its end: its log as it grows, its state as it changes, its new files downloaded."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from being_remote.errors import HostError, UsageError
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs import logs
from being_remote.jobs.attempt_files import AttemptFolder
from being_remote.jobs.background_download import BackgroundDownload, DownloadSummary, LocalFilesLine
from being_remote.jobs.context import JobContext
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import LedgerJob
from being_remote.jobs.live_download import LiveDownload
from being_remote.jobs.result_folder import note_of
from being_remote.jobs.spec import JobSpec
from being_remote.jobs.status_poll import look_at_job
from being_remote.pod.job_paths import WORK
from being_remote.pod.job_states import JobState
from being_remote.session import Session

log = logging.getLogger("being_remote")

QUIET_S = 5.0
SETTLE_S = 10.0


@dataclass(frozen=True)
class FollowedLogLine:
    """One line of the job's log; `offset` is where it begins, in bytes."""

    line: str
    offset: int
    attempt: int


@dataclass(frozen=True)
class StateLine:
    """A new state, or a new count of frames."""

    job: str
    state: JobState
    reason: str
    frames_done: int | None
    frames_total: int | None
    attempt: int

    @property
    def at_work(self) -> bool:
        """Whether the job keeps running when it is not followed."""
        return not self.state.ended and self.state is not JobState.UNKNOWN


@dataclass(frozen=True)
class MovedLine:
    """A job is about to leave its host: the state of its attempt there, and why it does not wait."""

    job: str
    attempt: int
    from_host: str
    to_host: str
    state: JobState
    reason: str
    moving: bool = True


@dataclass(frozen=True)
class StayedLine:
    """The job did not leave: the other host gave no answer. Both hosts are retried in turn."""

    job: str
    attempt: int
    from_host: str
    to_host: str
    reason: str
    moving: bool = False


Say = Callable[[FollowedLogLine | StateLine | LocalFilesLine | MovedLine | StayedLine], None]


@dataclass(frozen=True)
class FollowResult:
    """How the job stands after it was followed; `home` is what was downloaded, if anything had to be."""

    row: JobStatus
    home: DownloadSummary | None


def follow(
    context: JobContext,
    session: Session,
    host: SshHost | LocalHost,
    job: LedgerJob,
    say: Say,
    *,
    offset: int = 0,
    patience_s: float = logs.PATIENCE_S,
) -> FollowResult:
    """Follow the current attempt until its end is known, or is unknown and nothing more is written.

    Args:
        session, host: the job's host.
        say: receives each line, state and download, one at a time.
        offset: the first byte of the log to read.
        patience_s: how long the host may stay away.

    Raises:
        HostError: the host stayed away for `patience_s`; how the job stands is unknown.
    """
    say = _one_at_a_time(say)
    states = _StateReporter(say)
    states.report(look_at_job(context.ledger, session, host, job))
    read_log = functools.partial(_read_log, context, session, host, job, say, states, offset, patience_s)
    patterns = _checkpoints(context, job) if not states.row.state.ended else ()
    if not patterns:
        return FollowResult(read_log(), None)
    folder = context.result_folder(job)
    remote = logs.attempt_folder(host.workdir, job.job, job.attempt) / WORK
    progress = JobSpec.from_bytes(job.spec).progress
    download = BackgroundDownload(
        LiveDownload(
            AttemptFolder(session, host.python, remote, patterns), folder, note_of(job), context.judge
        ),
        folder,
        job=job.job,
        attempt=job.attempt,
        frames=progress.glob if progress is not None else None,
        say=say,
    )
    download.start()
    try:
        return FollowResult(read_log(), download.finish())
    finally:
        download.leave()


def _read_log(
    context: JobContext,
    session: Session,
    host: SshHost | LocalHost,
    job: LedgerJob,
    say: Say,
    states: _StateReporter,
    offset: int,
    patience_s: float,
) -> JobStatus:
    """Report the log as it grows and the states between; returns how the job stands at its end."""
    lines, looked_at = logs.LogLines(), time.monotonic()
    heard_at = looked_at
    folder = logs.attempt_folder(host.workdir, job.job, job.attempt)
    over = states.row.state.ended and not states.row.evidence.get("started", True)
    chunks = logs.read(session, host.python, folder, offset=offset, follow=not over, patience_s=patience_s)
    with contextlib.closing(chunks):
        for chunk in chunks:
            if isinstance(chunk, logs.LogEnd):
                break
            for line in lines.add(chunk):
                say(FollowedLogLine(line.text, line.offset, job.attempt))
            if chunk.data:
                heard_at = time.monotonic()
            if chunk.data or time.monotonic() - looked_at < QUIET_S:
                continue
            looked_at = time.monotonic()
            try:
                states.report(look_at_job(context.ledger, session, host, context.ledger.find(job.job)))
            except HostError as e:  # the log's own stream reports a host that stays away
                log.info("%s", e)
                looked_at = time.monotonic()  # a look at a frozen host takes its time
                continue
            if states.row.state.ended:
                # Cancelled before it began, or lost: nothing more will be written, and no end record.
                break
            if states.row.state is JobState.UNKNOWN and looked_at - heard_at > patience_s:
                break  # the host answers and cannot tell: an end may never be written
    for line in lines.rest():
        say(FollowedLogLine(line.text, line.offset, job.attempt))
    return _settled_status(context, session, host, job, states)


def _settled_status(
    context: JobContext,
    session: Session,
    host: SshHost | LocalHost,
    job: LedgerJob,
    states: _StateReporter,
) -> JobStatus:
    """The status after the log's end; the end record may come a moment before the lock is free."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        states.report(look_at_job(context.ledger, session, host, context.ledger.find(job.job)))
        row = states.row
        if row.state.ended or row.state is JobState.UNKNOWN or time.monotonic() > deadline:
            return row
        time.sleep(0.1)


def _checkpoints(context: JobContext, job: LedgerJob) -> tuple[str, ...]:
    try:
        return context.find_recipe(job.recipe).checkpoints
    except UsageError:  # another laptop's job, of a recipe that is unknown here
        return ()


def _one_at_a_time(say: Say) -> Say:
    """Keep the lines of two threads apart."""
    lock = threading.Lock()

    def say_alone(line: FollowedLogLine | StateLine | LocalFilesLine | MovedLine | StayedLine) -> None:
        with lock:
            say(line)

    return say_alone


class _StateReporter:
    """Reports each state once."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last: StateLine | None = None
        self.row: JobStatus

    def report(self, row: JobStatus) -> None:
        self.row = row
        line = StateLine(row.job, row.state, row.reason, row.done, row.total, row.attempt)
        if line != self._last:
            self._last = line
            self._say(line)
