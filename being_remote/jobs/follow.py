"""One job followed to its end: its log as it grows, its state as it changes, its new files brought home."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from being_remote.errors import HostError, UsageError
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs import logs
from being_remote.jobs.attempt_files import AttemptFolder
from being_remote.jobs.background_download import BackgroundDownload, DownloadSummary, LocalFilesLine
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import ENDED, Ledger, LedgerJob
from being_remote.jobs.live_download import LiveDownload
from being_remote.jobs.result_folder import note_of
from being_remote.jobs.spec import JobSpec
from being_remote.jobs.status_poll import look_at
from being_remote.pod import job_records as records
from being_remote.recipes.registry import find_recipe
from being_remote.session import Session

log = logging.getLogger("being_remote")

QUIET_S = 5.0
SETTLE_S = 10.0


@dataclass(frozen=True)
class FollowedLogLine:
    """One line of the job's log; `offset` is its first byte's place."""

    line: str
    offset: int
    attempt: int


@dataclass(frozen=True)
class StateLine:
    """A state that was not said yet, or frames that were counted since."""

    job: str
    state: str
    reason: str
    frames_done: int | None
    frames_total: int | None
    attempt: int

    @property
    def at_work(self) -> bool:
        """Whether the job goes on whoever follows it."""
        return self.state not in (*ENDED, "unknown")


@dataclass(frozen=True)
class MovedLine:
    """A job is about to leave its host: how its attempt stands there, and why it is not waited for."""

    job: str
    attempt: int
    from_host: str
    to_host: str
    state: str
    reason: str
    moving: bool = True


@dataclass(frozen=True)
class StayedLine:
    """It did not leave: the other host gave no answer. Both are asked in turn now."""

    job: str
    attempt: int
    from_host: str
    to_host: str
    reason: str
    moving: bool = False


Say = Callable[[FollowedLogLine | StateLine | LocalFilesLine | MovedLine | StayedLine], None]


@dataclass(frozen=True)
class FollowResult:
    """How the job stands after it was followed, and what came home of it; None: nothing was to."""

    row: JobStatus
    home: DownloadSummary | None


def follow(
    ledger: Ledger,
    session: Session,
    host: SshHost | LocalHost,
    known: LedgerJob,
    say: Say,
    *,
    home: Path | None = None,
    offset: int = 0,
    patience_s: float = logs.PATIENCE_S,
) -> FollowResult:
    """Follow the attempt that counts until its end is known, or is unknown and nothing more is written.

    Args:
        ledger: where the job is written down.
        session: an open way to its host.
        host: the same host in the inventory.
        known: the job.
        say: told each line, state and arrival, one at a time.
        home: the job's folder on this laptop; None: its files stay where they are.
        offset: the first byte of the log that is wanted.
        patience_s: how long the host may stay away.

    Raises:
        HostError: the host stayed away for `patience_s`; how the job stands is unknown.
    """
    say = _one_at_a_time(say)
    said = _StateReporter(say)
    said.state(look_at(ledger, session, host, known))
    patterns = _checkpoints(known) if home is not None and said.row.state not in ENDED else ()
    if home is None or not patterns:
        return FollowResult(_to_its_end(ledger, session, host, known, say, said, offset, patience_s), None)
    there = logs.attempt_folder(host.workdir, known.job, known.attempt) / records.WORK
    progress = JobSpec.from_bytes(known.spec).progress
    homeward = BackgroundDownload(
        LiveDownload(AttemptFolder(session, host.python, there, patterns), home, note_of(known)),
        home,
        job=known.job,
        attempt=known.attempt,
        frames=progress.glob if progress is not None else None,
        say=say,
    )
    with _running(homeward):
        row = _to_its_end(ledger, session, host, known, say, said, offset, patience_s)
        return FollowResult(row, homeward.finish())


def _to_its_end(
    ledger: Ledger,
    session: Session,
    host: SshHost | LocalHost,
    known: LedgerJob,
    say: Say,
    said: _StateReporter,
    offset: int,
    patience_s: float,
) -> JobStatus:
    lines, looked_at = logs.LogLines(), time.monotonic()
    heard_at = looked_at
    folder = logs.attempt_folder(host.workdir, known.job, known.attempt)
    over = said.row.state in ENDED and not said.row.evidence.get("started", True)
    parts = logs.read(session, host.python, folder, offset=offset, follow=not over, patience_s=patience_s)
    with contextlib.closing(parts):
        for item in parts:
            if isinstance(item, logs.LogEnd):
                break
            for line in lines.add(item):
                say(FollowedLogLine(line.text, line.offset, known.attempt))
            if item.data:
                heard_at = time.monotonic()
            if item.data or time.monotonic() - looked_at < QUIET_S:
                continue
            looked_at = time.monotonic()
            try:
                said.state(look_at(ledger, session, host, ledger.find(known.job)))
            except HostError as e:  # the log's own stream says when the host is gone for good
                log.info("%s", e)
                looked_at = time.monotonic()  # a look at a frozen host takes its time
                continue
            if said.row.state in ENDED:
                # Cancelled before it began, or lost: nothing more will be written, and no end record.
                break
            if said.row.state == "unknown" and looked_at - heard_at > patience_s:
                break  # the host answers, and cannot tell: an end may never be written
    for line in lines.rest():
        say(FollowedLogLine(line.text, line.offset, known.attempt))
    return _end(ledger, session, host, known, said)


def _end(
    ledger: Ledger, session: Session, host: SshHost | LocalHost, known: LedgerJob, said: _StateReporter
) -> JobStatus:
    """The state after the log's end; the record may come a moment before the lock is let go."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        said.state(look_at(ledger, session, host, ledger.find(known.job)))
        if said.row.state in ENDED or said.row.state == "unknown" or time.monotonic() > deadline:
            return said.row
        time.sleep(0.1)


def _checkpoints(known: LedgerJob) -> tuple[str, ...]:
    try:
        return find_recipe(known.recipe).checkpoints
    except UsageError:  # another laptop's job, of a kind that is not known here
        return ()


@contextmanager
def _running(homeward: BackgroundDownload) -> Iterator[None]:
    homeward.start()
    try:
        yield
    finally:
        homeward.leave()


def _one_at_a_time(say: Say) -> Say:
    """Lines of two threads never mix."""
    lock = threading.Lock()

    def say_alone(line: FollowedLogLine | StateLine | LocalFilesLine | MovedLine | StayedLine) -> None:
        with lock:
            say(line)

    return say_alone


class _StateReporter:
    """Says a state once."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last: StateLine | None = None
        self.row: JobStatus

    def state(self, row: JobStatus) -> None:
        self.row = row
        line = StateLine(row.job, row.state, row.reason, row.frames_done, row.frames_total, row.attempt)
        if line != self._last:
            self._last = line
            self._say(line)
