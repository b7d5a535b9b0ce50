"""One job followed to its end: its log as it grows, its state as it changes."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from being_remote.errors import HostError
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs import logs
from being_remote.jobs.ledger import ENDED, Known, Ledger
from being_remote.session import Session
from being_remote.workflows.tending.rows import JobRow
from being_remote.workflows.tending.watch import look_at

log = logging.getLogger("being_remote")

QUIET_S = 5.0
SETTLE_S = 10.0


@dataclass(frozen=True)
class LogLine:
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


Say = Callable[[LogLine | StateLine], None]


def follow(
    ledger: Ledger,
    session: Session,
    host: SshHost | LocalHost,
    known: Known,
    say: Say,
    *,
    offset: int = 0,
    patience_s: float = logs.PATIENCE_S,
) -> JobRow:
    """Follow the attempt that counts until its end is known, or is unknown and nothing more is written.

    Raises:
        HostError: the host stayed away for `patience_s`; how the job stands is unknown.
    """
    lines, said, looked_at = logs.Lines(), _Said(say), time.monotonic()
    heard_at = looked_at
    folder = logs.attempt_folder(host.workdir, known.job, known.attempt)
    said.state(look_at(ledger, session, host, known))
    over = said.row.state in ENDED and not said.row.evidence.get("started", True)
    parts = logs.read(session, host.python, folder, offset=offset, follow=not over, patience_s=patience_s)
    with contextlib.closing(parts):
        for item in parts:
            if isinstance(item, logs.Over):
                break
            for line in lines.add(item):
                say(LogLine(line.text, line.offset, known.attempt))
            if item.data:
                heard_at = time.monotonic()
            if item.data or time.monotonic() - looked_at < QUIET_S:
                continue
            looked_at = time.monotonic()
            try:
                said.state(look_at(ledger, session, host, ledger.find(known.job)))
            except HostError as e:  # the log's own stream says when the host is gone for good
                log.info("%s", e)
                continue
            if said.row.state in ENDED:
                # Cancelled before it began, or lost: nothing more will be written, and no end record.
                break
            if said.row.state == "unknown" and looked_at - heard_at > patience_s:
                break  # the host answers, and cannot tell: an end may never be written
    for line in lines.rest():
        say(LogLine(line.text, line.offset, known.attempt))
    return _end(ledger, session, host, known, said)


def _end(ledger: Ledger, session: Session, host: SshHost | LocalHost, known: Known, said: _Said) -> JobRow:
    """The state after the log's end; the record may come a moment before the lock is let go."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        said.state(look_at(ledger, session, host, ledger.find(known.job)))
        if said.row.state in ENDED or said.row.state == "unknown" or time.monotonic() > deadline:
            return said.row
        time.sleep(0.1)


class _Said:
    """Says a state once."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last: StateLine | None = None
        self.row: JobRow

    def state(self, row: JobRow) -> None:
        self.row = row
        line = StateLine(row.job, row.state, row.reason, row.frames_done, row.frames_total, row.attempt)
        if line != self._last:
            self._last = line
            self._say(line)
