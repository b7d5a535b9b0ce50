"""One job followed to its end: its log as it grows, its state as it changes, its new files downloaded."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from being_remote.errors import HostError, UsageError
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs import logs
from being_remote.jobs.attempt_files import AttemptFolder
from being_remote.jobs.context import JobContext
from being_remote.jobs.dispatch import send
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import LedgerJob
from being_remote.jobs.live_download import BackgroundDownload, DownloadSummary, LiveDownload, LocalFilesLine
from being_remote.jobs.orphaned_jobs import lacks_supervisor, supervise_again
from being_remote.jobs.result_folder import note_of
from being_remote.jobs.spec import JobSpec
from being_remote.jobs.status_poll import look_at_job
from being_remote.pod.job_paths import WORK
from being_remote.pod.job_states import JobState
from being_remote.pod_client.job_answers import LeasedGpu
from being_remote.session import Session

log = logging.getLogger("being_remote")

# How often the status is asked for: while the log is silent, and while it grows.
QUIET_S, BUSY_S = 5.0, 15.0
SETTLE_S = 10.0
# Programs of version 0.1.0 put no supervisor back.
SUPERVISE_S = 60.0


@dataclass(frozen=True)
class FollowedLogLine:
    """One line of the job's log; `offset` is where it begins, in bytes."""

    line: str
    offset: int
    attempt: int


@dataclass(frozen=True)
class DispatchedLine:
    """The job that is followed from now on. `settings`: those that differ from the last run; `notes`: what to
    know of it, where it is new."""

    job: str
    host: str
    recipe: str
    actor: str | None
    settings: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class StateLine:
    """A new state, or a new count of frames."""

    job: str
    state: JobState
    reason: str
    frames_done: int | None
    frames_total: int | None
    attempt: int
    frames_per_minute: float | None = None
    seconds_left: float | None = None
    gpus: tuple[LeasedGpu, ...] = ()

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


FollowLine = DispatchedLine | FollowedLogLine | StateLine | LocalFilesLine | MovedLine | StayedLine
Say = Callable[[FollowLine], None]


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
    start: logs.LogStart = logs.WHOLE,
    patience_s: float = logs.PATIENCE_S,
) -> FollowResult:
    """Follow the current attempt until its end is known, or is unknown and nothing more is written.

    Args:
        session, host: the job's host.
        say: receives each line, state and download, one at a time.
        offset: the first byte of the log to read.
        start: leave out what was written before.
        patience_s: how long the host may stay away.

    Raises:
        HostError: the host stayed away for `patience_s`; how the job stands is unknown.
    """
    follower = _JobFollower(context, session, host, job, say)
    follower.look(job)
    download = None if follower.status.state.ended else follower.background_download()
    if download is None:
        return FollowResult(follower.read_log(offset, start, patience_s), None)
    download.start()
    try:
        return FollowResult(follower.read_log(offset, start, patience_s), download.finish())
    finally:
        download.leave()


class _JobFollower:
    """Reports the lines and states of one job, never two at the same time, and each state once."""

    def __init__(
        self, context: JobContext, session: Session, host: SshHost | LocalHost, job: LedgerJob, say: Say
    ) -> None:
        self._context, self._session, self._host, self._job = context, session, host, job
        self._say, self._lock = say, threading.Lock()
        self._folder = logs.attempt_folder(host.workdir, job.job, job.attempt)
        self._last: StateLine | None = None
        self._supervise_at = 0.0
        self._not_judged = ""  # why nothing on the host could judge the files of a lost attempt
        self.status: JobStatus

    def look(self, job: LedgerJob | None = None) -> None:
        """Learn the job's status, and report it if it is new; `job`: as the ledger has it now."""
        job = job or self._context.ledger.find(self._job.job)
        row = look_at_job(self._context.ledger, self._session, self._host, job)
        if lacks_supervisor(row) and time.monotonic() >= self._supervise_at:
            self._supervise_at, self._not_judged = time.monotonic() + SUPERVISE_S, ""
            try:
                row = supervise_again(self._context.ledger, self._session, self._host, job, row)
            except HostError as e:
                self._not_judged = e.what
        if row.state is JobState.LOST and self._not_judged:  # its files may show a success
            row = dataclasses.replace(row, state=JobState.UNKNOWN, reason=self._not_judged)
        if row.is_unattended and row.attempt == job.attempt:
            row = send(self._context.ledger, self._session, self._host, self._context.ledger.find(job.job))
        self.status = row
        line = StateLine(row.job, row.state, row.reason, row.done, row.total, row.attempt)
        if line != self._last:
            self._last = line
            self._report(
                dataclasses.replace(
                    line,
                    frames_per_minute=row.frames_per_minute,
                    seconds_left=row.seconds_left,
                    gpus=row.gpus,
                )
            )

    def background_download(self) -> BackgroundDownload | None:
        """The download of the job's new checkpoints; None where its recipe has none."""
        job = self._job
        try:
            patterns = self._context.find_recipe(job.recipe).checkpoints
        except UsageError:  # another laptop's job, of a recipe that is unknown here
            return None
        if not patterns:
            return None
        folder = self._context.result_folder(job)
        remote = AttemptFolder(self._session, self._host.python, self._folder / WORK, patterns)
        progress = JobSpec.from_bytes(job.spec).progress
        return BackgroundDownload(
            LiveDownload(remote, folder, note_of(job), self._context.judge),
            folder,
            job=job.job,
            attempt=job.attempt,
            frames=progress.glob if progress is not None else None,
            say=self._report,
        )

    def read_log(self, offset: int, start: logs.LogStart, patience_s: float) -> JobStatus:
        """Report the log as it grows and the states between; returns how the job stands at its end."""
        lines, looked_at = logs.LogLines(), time.monotonic()
        heard_at = looked_at
        over = self.status.state.ended and not self.status.evidence.get("started", True)
        chunks = logs.read(
            self._session,
            self._host.python,
            self._folder,
            offset=offset,
            start=start,
            follow=not over,
            patience_s=patience_s,
        )
        with contextlib.closing(chunks):
            for chunk in chunks:
                if isinstance(chunk, logs.LogEnd):
                    break
                self._report_lines(lines.add(chunk))
                if chunk.data:
                    heard_at = time.monotonic()
                if time.monotonic() - looked_at < (BUSY_S if chunk.data else QUIET_S):
                    continue
                looked_at = time.monotonic()
                try:
                    self.look()
                except HostError as e:  # the log's own stream reports a host that stays away
                    log.info("%s", e)
                    looked_at = time.monotonic()  # a look at a frozen host takes its time
                    continue
                if chunk.data:
                    continue  # there may be more, whatever became of the job
                if self.status.state.ended:
                    # Cancelled before it began, or lost: nothing more will be written, and no exit record.
                    break
                if self.status.state is JobState.UNKNOWN and looked_at - heard_at > patience_s:
                    break  # the host answers and cannot tell: an end may never be written
        self._report_lines(lines.rest())
        return self._settled_status()

    def _settled_status(self) -> JobStatus:
        """The status after the log's end; the exit record may come a moment before the lock is free."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            self.look()
            state = self.status.state
            if state.ended or state is JobState.UNKNOWN or time.monotonic() > deadline:
                return self.status
            time.sleep(0.1)

    def _report_lines(self, lines: list[logs.LogLine]) -> None:
        for line in lines:
            self._report(FollowedLogLine(line.text, line.offset, self._job.attempt))

    def _report(self, line: FollowLine) -> None:
        with self._lock:
            self._say(line)
