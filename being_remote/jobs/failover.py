"""A followed job moves to another host when its own host has been silent for too long.

The user permits that beforehand, with the command, and the permission is used once. Silence means that
the host gave no answer of any kind, by this laptop's monotonic clock; a host that answers and cannot tell
how the job stands counts as silent. A lost job moves at once, and so does one that failed because it got no
GPU; any other failed or cancelled one does not move.
While both hosts are silent they are retried in turn for as long again, the job's own host first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from being_remote.errors import (
    AnswerTimeout,
    CommandFailed,
    ConnectionLost,
    HostError,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
    NotFoundError,
    ToolMissing,
    Unreachable,
    UsageError,
)
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.context import JobContext
from being_remote.jobs.follow import FollowedLogLine, MovedLine, Say, StateLine, StayedLine, follow
from being_remote.jobs.job_status import JobStatus, ended_status
from being_remote.jobs.ledger import LedgerJob
from being_remote.jobs.live_download import DownloadSummary
from being_remote.jobs.move import Move
from being_remote.jobs.move_and_follow import move_and_follow
from being_remote.jobs.move_permission import MovePermission, abandonment
from being_remote.jobs.spec import JobSpec
from being_remote.jobs.status_poll import look_at_job
from being_remote.pod.job_states import JobState
from being_remote.session import OnProgress, Result, Session, Stream

RETRY_S = 5.0
# The trusted host does not answer, or another one answers in its place.
_SILENT = (ConnectionLost, AnswerTimeout, Unreachable, LoginRefused, HostKeyChanged, HostKeyUnknown)
# The host answers and cannot say how the job stands: it shuts down, or came back as another image.
_UNABLE = (CommandFailed, ToolMissing, NotFoundError)


@dataclass(frozen=True)
class Failover:
    """Where the job moves, and after how many seconds of silence."""

    host: SshHost | LocalHost
    after_s: float


@dataclass(frozen=True)
class FailoverResult:
    """How the job stands after it was followed; `move` is None where it stayed on its host."""

    row: JobStatus
    home: DownloadSummary | None
    move: Move | None


def follow_or_move(
    context: JobContext,
    session: Session,
    host: SshHost | LocalHost,
    job: LedgerJob,
    say: Say,
    *,
    failover: Failover | None,
    on_progress: OnProgress,
) -> FailoverResult:
    """Follow the job to its end, on its host or, given one, on `failover.host`.

    Raises:
        UsageError: another terminal moved it, or it cannot run on the other host.
        NotFoundError, DataError: it cannot move; see `move.move`.
        HostError: both hosts stayed away for `failover.after_s` more, or the other one after the move.
    """
    if failover is None:
        followed = follow(context, session, host, job, say)
        return FailoverResult(followed.row, followed.home, None)
    watch = _FailoverWatch(context, session, host, job, failover, say)
    while True:
        outcome = watch.follow_until_silent()
        if isinstance(outcome, FailoverResult):
            return outcome
        current = watch.find_job()
        say(MovedLine(job.job, job.attempt, host.name, failover.host.name, outcome.state, outcome.reason))
        try:
            moved = move_and_follow(
                context, current, failover.host, outcome, say=say, dry_run=False, on_progress=on_progress
            )
        except _SILENT as e:
            if context.ledger.find(job.job).attempt != job.attempt:
                raise  # it has moved
            say(StayedLine(job.job, job.attempt, host.name, failover.host.name, e.what))
            watch.wait_for_an_answer(outcome.reason)
            continue
        assert moved.row is not None  # it was no dry run
        return FailoverResult(moved.row, moved.home, moved.move)


class _FailoverWatch:
    """One job followed on `host`, and how long that host has been silent."""

    def __init__(
        self,
        context: JobContext,
        session: Session,
        host: SshHost | LocalHost,
        job: LedgerJob,
        failover: Failover,
        say: Say,
    ) -> None:
        self._context, self._host, self._job, self._failover = context, host, job, failover
        self._timed = _TimedSession(session)
        self._session: Session = self._timed
        self._events = _FollowEvents(say)

    def find_job(self) -> LedgerJob:
        """The job as the ledger has it now.

        Raises:
            UsageError: another terminal moved it.
        """
        current = self._context.ledger.find(self._job.job)
        if current.attempt != self._job.attempt:
            raise UsageError(
                f"another terminal made attempt {current.attempt} of it, on {current.host}",
                where=current.job,
                hint=f"logs {current.job} --follow",
            )
        return current

    def follow_until_silent(self) -> FailoverResult | MovePermission:
        """Follow the job on its host to its end, or until it may leave that host."""
        after_s = self._failover.after_s
        while True:
            try:
                followed = follow(
                    self._context,
                    self._session,
                    self._host,
                    self._job,
                    self._events,
                    offset=self._events.offset,
                    patience_s=after_s,
                )
            except (*_SILENT, *_UNABLE) as e:
                current = self.find_job()
                if isinstance(e, _UNABLE) and current.ended and current.state is not JobState.LOST:
                    raise  # nothing is left to wait for
                state, reason = JobState.UNKNOWN, e.what
                self._events.mark_unclear()
            else:
                state, reason = followed.row.state, followed.row.reason
                if _never_got_gpus(self._job, followed.row):
                    return MovePermission(state, reason, None)
                if state not in (JobState.LOST, JobState.UNKNOWN):
                    return FailoverResult(followed.row, followed.home, None)
            waited_s = max(self._timed.silent_s, self._events.unclear_s)
            if state is JobState.LOST or waited_s >= after_s:
                break
            time.sleep(min(RETRY_S, after_s - waited_s))
        current = self.find_job()
        if current.ended and current.state is not JobState.LOST:
            return FailoverResult(
                ended_status(current, self._context.ledger.history(current.job)), None, None
            )
        if current.ended:
            return MovePermission(state, reason, None)
        word = abandonment(current.state, reason, f"--failover after {after_s:g} s")
        return MovePermission(state, reason, word)

    def wait_for_an_answer(self, reason: str) -> None:
        """Wait until the other host answers, or the job's own host says how the job stands.

        Args:
            reason: why the job's own host could not say that before.

        Raises:
            HostError: neither did, for `failover.after_s`.
        """
        started = time.monotonic()
        other = self._failover.host.name
        while True:
            time.sleep(RETRY_S)
            try:
                row = look_at_job(self._context.ledger, self._session, self._host, self.find_job())
            except (*_SILENT, *_UNABLE) as e:
                reason = e.what
            else:
                if row.state not in (JobState.LOST, JobState.UNKNOWN):
                    self._events.mark_clear()
                    return
                reason = row.reason
            try:
                with self._context.open_session(other):
                    return
            except _SILENT as e:
                if time.monotonic() - started > self._failover.after_s:
                    job = self._job.job
                    raise HostError(
                        f"{job} did not move: {self._host.name}: {reason}; {other}: {e.what}",
                        host=self._host.name,
                        hint=f"once one of them answers: logs {job} --follow, or resume {job} --host {other},"
                        f" with --pod-is-gone if {self._host.name} is gone for good",
                    ) from e


def _never_got_gpus(job: LedgerJob, status: JobStatus) -> bool:
    """Whether the attempt failed before its payload could start: its host had no GPU for it."""
    return status.state is JobState.FAILED and not status.gpu and JobSpec.from_bytes(job.spec).gpus > 0


class _FollowEvents:
    """Passes each event on once; keeps the log's offset and since when the job's state is unclear."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last: FollowedLogLine | None = None
        self._unclear_since = math.inf

    @property
    def offset(self) -> int:
        """Of the last line: it may have been incomplete."""
        return self._last.offset if self._last is not None else 0

    @property
    def unclear_s(self) -> float:
        return max(0.0, time.monotonic() - self._unclear_since)

    def mark_unclear(self) -> None:
        self._unclear_since = min(self._unclear_since, time.monotonic())

    def mark_clear(self) -> None:
        self._unclear_since = math.inf

    def __call__(self, line: Any) -> None:
        if isinstance(line, StateLine):
            if line.state is JobState.UNKNOWN:
                self.mark_unclear()
            else:
                self.mark_clear()
        if isinstance(line, FollowedLogLine):
            if line == self._last:
                return
            self._last = line
        self._say(line)


class _TimedSession:
    """A session that remembers when its host last answered."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._answered_at = time.monotonic()

    @property
    def silent_s(self) -> float:
        return time.monotonic() - self._answered_at

    def note_answer(self) -> None:
        self._answered_at = time.monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, argv: Sequence[str], **more: Any) -> Result:
        result = self._session.run(argv, **more)
        self.note_answer()
        return result

    def stream(self, argv: Sequence[str], *, stdin: bytes = b"") -> Stream:
        return _TimedStream(self._session.stream(argv, stdin=stdin), self)


class _TimedStream:
    def __init__(self, stream: Stream, session: _TimedSession) -> None:
        self._stream, self._session = stream, session

    def read(self, timeout_s: float) -> bytes:
        data = self._stream.read(timeout_s)
        self._session.note_answer()
        return data

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> Stream:
        self._stream.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stream.__exit__(*exc)
