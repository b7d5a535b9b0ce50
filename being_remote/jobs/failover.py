"""A job followed on one host that goes on on another when the first has been silent for too long.

The user's word for that is given beforehand, with the command: whoever would rather pay twice than
wait. It is used once. What counts as silence is that the host gave no answer of any kind, by this
laptop's own running clock; a host that answers and cannot tell how the job stands is no better. A job
that is lost goes on at once; one that failed, or was cancelled, does not. Where the other host is silent,
too, both are asked in turn for as long again, and the job's own host has the last word.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from being_remote.errors import (
    AnswerTimeout,
    CommandFailed,
    ConnectionLost,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
    NotFoundError,
    ToolMissing,
    Unreachable,
    UsageError,
)
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.jobs.background_download import DownloadSummary
from being_remote.jobs.follow import FollowedLogLine, MovedLine, Say, StateLine, StayedLine, follow
from being_remote.jobs.job_status import JobStatus, ended_row
from being_remote.jobs.ledger import CORRECTABLE, Ledger, LedgerJob
from being_remote.jobs.move import Move
from being_remote.jobs.move_and_follow import go_on_elsewhere
from being_remote.jobs.move_permission import MovePermission, given_up
from being_remote.jobs.result_download import folder_of
from being_remote.jobs.status_poll import look_at
from being_remote.session import OnProgress, Result, Session, Stream

RETRY_S = 5.0
# The host that was trusted does not answer, or somebody else does in its place.
_SILENT = (ConnectionLost, AnswerTimeout, Unreachable, LoginRefused, HostKeyChanged, HostKeyUnknown)
# It answers, and cannot say how the job stands: it goes down, or came back as another image.
_UNABLE = (CommandFailed, ToolMissing, NotFoundError)


@dataclass(frozen=True)
class Failover:
    """Where a job goes on, and after how many seconds of silence."""

    host: SshHost | LocalHost
    after_s: float


@dataclass(frozen=True)
class FailoverResult:
    """How the job stands after it was followed; `move` is None where it stayed on its host."""

    row: JobStatus
    home: DownloadSummary | None
    move: Move | None


def follow_or_move(
    inventory: Inventory,
    ledger: Ledger,
    session: Session,
    host: SshHost | LocalHost,
    known: LedgerJob,
    say: Say,
    *,
    failover: Failover | None,
    on_progress: OnProgress,
) -> FailoverResult:
    """Follow the job to its end, on its host or, given one, on `failover.host`.

    Raises:
        UsageError: another terminal moved it, or it cannot run there.
        NotFoundError, DataError: it cannot go on there; see `moving.move`.
        HostError: both hosts stayed away for `failover.after_s` more, or the other one in its turn.
    """
    if failover is None:
        followed = follow(ledger, session, host, known, say, home=folder_of(inventory, known))
        return FailoverResult(followed.row, followed.home, None)
    watch = _FailoverWatch(inventory, ledger, host, known, failover, _TimedSession(session), _Messages(say))
    while True:
        left = _until_left(watch)
        if isinstance(left, FailoverResult):
            return left
        now = watch.still()
        say(MovedLine(known.job, known.attempt, host.name, failover.host.name, left.state, left.reason))
        try:
            gone = go_on_elsewhere(
                inventory, ledger, now, failover.host, left, say=say, dry_run=False, on_progress=on_progress
            )
        except _SILENT as e:
            if ledger.find(known.job).attempt != known.attempt:
                raise  # it has moved
            say(StayedLine(known.job, known.attempt, host.name, failover.host.name, e.what))
            _until_one_answers(watch)
            continue
        assert gone.row is not None  # it was no dry run
        return FailoverResult(gone.row, gone.home, gone.move)


@dataclass(frozen=True)
class _FailoverWatch:
    """One job that is followed on `host`, and where it may go on."""

    inventory: Inventory
    ledger: Ledger
    host: SshHost | LocalHost
    known: LedgerJob
    failover: Failover
    heard: _TimedSession
    told: _Messages

    def still(self) -> LedgerJob:
        """The job as it is by now.

        Raises:
            UsageError: another terminal moved it.
        """
        now = self.ledger.find(self.known.job)
        if now.attempt != self.known.attempt:
            raise UsageError(
                f"another terminal made attempt {now.attempt} of it, on {now.host}",
                where=now.job,
                hint=f"logs {now.job} --follow",
            )
        return now


def _until_one_answers(watch: _FailoverWatch) -> None:
    """Wait until the other host answers, or the job's own says how it stands.

    Raises:
        HostError: neither did, for `failover.after_s`.
    """
    from being_remote.transport import open_session

    started = time.monotonic()
    while True:
        time.sleep(RETRY_S)
        with contextlib.suppress(*_SILENT, *_UNABLE):
            row = look_at(watch.ledger, watch.heard.session, watch.host, watch.still())
            if row.state not in (*CORRECTABLE, "unknown"):
                watch.told.clear()
                return
        try:
            with open_session(watch.failover.host, watch.inventory):
                return
        except _SILENT:
            if time.monotonic() - started > watch.failover.after_s:
                raise


def _until_left(watch: _FailoverWatch) -> FailoverResult | MovePermission:
    """Follow the job on its host to its end, or until that host is to be left."""
    ledger, known, told = watch.ledger, watch.known, watch.told
    home, after_s = folder_of(watch.inventory, known), watch.failover.after_s
    while True:
        try:
            followed = follow(
                ledger,
                watch.heard.session,
                watch.host,
                known,
                told,
                home=home,
                offset=told.offset,
                patience_s=after_s,
            )
        except (*_SILENT, *_UNABLE) as e:
            now = watch.still()
            if isinstance(e, _UNABLE) and now.ended and now.state not in CORRECTABLE:
                raise  # there is nothing to wait for any more
            state, why = "unknown", e.what
            told.unclear()
        else:
            state, why = followed.row.state, followed.row.reason
            if state not in (*CORRECTABLE, "unknown"):
                return FailoverResult(followed.row, followed.home, None)
        waited_s = max(watch.heard.silent_s, told.unclear_s)
        if state in CORRECTABLE or waited_s >= after_s:
            break
        time.sleep(min(RETRY_S, after_s - waited_s))
    now = watch.still()
    if now.ended and now.state not in CORRECTABLE:
        return FailoverResult(ended_row(now, ledger.story(now.job)), None, None)
    word = None if now.ended else given_up(now.state, why, f"--failover after {after_s:g} s")
    return MovePermission(state, why, word)


class _Messages:
    """Passes on what is said, once; knows where the log stands and since when the job is unclear."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last: FollowedLogLine | None = None
        self._unclear_since = math.inf

    @property
    def offset(self) -> int:
        """Of the last line: it may not have been whole."""
        return self._last.offset if self._last is not None else 0

    @property
    def unclear_s(self) -> float:
        return max(0.0, time.monotonic() - self._unclear_since)

    def unclear(self) -> None:
        """How the job stands could not be learnt, for the first time since it was known."""
        self._unclear_since = min(self._unclear_since, time.monotonic())

    def clear(self) -> None:
        """How the job stands is known."""
        self._unclear_since = math.inf

    def __call__(self, line: Any) -> None:
        if isinstance(line, StateLine):
            if line.state == "unknown":
                self.unclear()
            else:
                self.clear()
        if isinstance(line, FollowedLogLine):
            if line == self._last:
                return
            self._last = line
        self._say(line)


class _TimedSession:
    """A session that remembers when its host last answered."""

    def __init__(self, session: Session) -> None:
        self.session: Session = _Listening(session, self)
        self.at = time.monotonic()

    @property
    def silent_s(self) -> float:
        return time.monotonic() - self.at

    def now(self) -> None:
        self.at = time.monotonic()


class _Listening:
    """Everything as the session has it, with a word to `heard` at each answer."""

    def __init__(self, session: Session, heard: _TimedSession) -> None:
        self._session, self._heard = session, heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, argv: Sequence[str], **more: Any) -> Result:
        result = self._session.run(argv, **more)
        self._heard.now()
        return result

    def stream(self, argv: Sequence[str], *, stdin: bytes = b"") -> Stream:
        return _ListeningStream(self._session.stream(argv, stdin=stdin), self._heard)


class _ListeningStream:
    def __init__(self, stream: Stream, heard: _TimedSession) -> None:
        self._stream, self._heard = stream, heard

    def read(self, timeout_s: float) -> bytes:
        data = self._stream.read(timeout_s)
        self._heard.now()
        return data

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> Stream:
        self._stream.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stream.__exit__(*exc)
