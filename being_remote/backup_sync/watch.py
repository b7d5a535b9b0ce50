"""`sync --watch`: one pass after the other over one kept connection.

A pod that does not answer is asked again with exponential backoff; between two rounds the backup is free for
a manual sync; rounds that only add files make one snapshot; each piece of news is reported once. The watch
ends by Ctrl-C, or by what only a person can mend: an untrusted key, a refused login, an invalid setting.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from being_remote.backup.history import History
from being_remote.backup.prune import merge_snapshots
from being_remote.backup_sync.remote_files import ActorSync, list_actor_files
from being_remote.backup_sync.sync_pass import SyncPass
from being_remote.backup_sync.sync_report import SyncReport
from being_remote.durable_files import room_on_disk
from being_remote.errors import (
    AnswerTimeout,
    BeingRemoteError,
    Busy,
    CommandFailed,
    ConnectionLost,
    InconsistentData,
    NoSpace,
    NotFoundError,
    Unreachable,
)
from being_remote.session import Session
from being_remote.transfer.quarantine import QuarantineRow

EVERY_S = 5.0
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0

# CommandFailed: a pod that shuts down kills our program, which then fails like any other.
_AWAY = (Unreachable, ConnectionLost, AnswerTimeout, CommandFailed)

# The host does not answer; the disk here is full; another sync of this backup runs; the host holds
# nothing of the actor yet.
Trouble = Literal["away", "full", "busy", "empty"]


@dataclass(frozen=True)
class WatchRound:
    """A round that downloaded files or has other news. `files` is how many the host holds by now."""

    round: int
    host: str
    actor: str
    files: int
    transferred_files: int
    transferred_bytes: int
    snapshot: int | None
    seconds: float
    new_run: str | None
    quarantined: tuple[QuarantineRow, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class WatchPause:
    """Why the watch waits; reported when that begins, and as "back" when a round succeeds again."""

    waiting_for: Trouble | Literal["back"]
    reason: str


@dataclass(frozen=True)
class WatchReport:
    """The totals of a watch.

    Attributes:
        rounds: how many looked at the host to the end.
        files: what the host held at the last of them; None if there was none.
        away_s: seconds in which the host did not answer.
    """

    host: str
    actor: str
    folder: Path
    rounds: int
    files: int | None
    transferred_files: int
    transferred_bytes: int
    snapshot: int | None
    quarantined: tuple[QuarantineRow, ...]
    away_s: float
    seconds: float

    @property
    def exit_code(self) -> int:
        """130: only Ctrl-C leads to a report."""
        return 130


OnWatch = Callable[[WatchRound | WatchPause], None]


class ActorWatch:
    """The rounds of one watch. Lifecycle: `run` until it raises, `report`, `close`."""

    def __init__(
        self,
        task: ActorSync,
        open_session: Callable[[], Session],
        this_machine: Session,
        say: OnWatch,
        *,
        partial: bool,
    ) -> None:
        self._task, self._open, self._this_machine = task, open_session, this_machine
        self._say, self._partial = say, partial
        self._history = History(task.root)
        self._session: Session | None = None
        self._last: SyncReport | None = None
        self._last_snapshot: int | None = None  # of our last round that made one
        self._trouble: Trouble | None = None
        self._began = time.monotonic()
        self._away_since: float | None = None
        self._away_s, self._rounds, self._files, self._bytes = 0.0, 0, 0, 0

    def run(self, every_s: float) -> NoReturn:
        """Sync in rounds without an end; an error that cannot be waited out is raised."""
        retry_s = FIRST_WAIT_S
        while True:
            began = time.monotonic()
            try:
                report, made_snapshot = self._run_round()
            except (Busy, NotFoundError, NoSpace, *_AWAY) as e:
                self._note_trouble(_trouble(e), e.what)
            else:
                self._end_trouble()
                self._report_round(report, made_snapshot, time.monotonic() - began)
            if self._trouble in ("away", "full"):
                time.sleep(retry_s)
                retry_s = min(2 * retry_s, LONGEST_WAIT_S)
            else:
                retry_s = FIRST_WAIT_S
                time.sleep(max(0.0, began + every_s - time.monotonic()))

    def report(self) -> WatchReport:
        last = self._last
        return WatchReport(
            host=self._task.host.name,
            actor=self._task.actor.name,
            folder=self._task.root,
            rounds=self._rounds,
            files=last.files if last is not None else None,
            transferred_files=self._files,
            transferred_bytes=self._bytes,
            snapshot=last.snapshot if last is not None else None,
            quarantined=last.quarantined if last is not None else (),
            away_s=self._away_s + self._away_now_s(),
            seconds=time.monotonic() - self._began,
        )

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def _run_round(self) -> tuple[SyncReport, bool]:
        """Sync once, and say whether that made a snapshot."""
        if self._session is None:
            self._session = self._open()
        found = None
        with ExitStack() as stack:
            stack.enter_context(room_on_disk(self._task.root))
            if not self._history.history_folder.is_dir():
                found = list_actor_files(self._task, self._session)  # without files no backup folder is made
            stack.enter_context(self._history.lock())
            before = self._history.snapshot_numbers()
            one = SyncPass(
                self._task, self._session, self._this_machine, self._history, partial=self._partial
            )
            report = one.run(found)
            if report.snapshot is None or report.snapshot in before:
                return report, False
            self._merge_last(report.snapshot)
            return report, True

    def _merge_last(self, number: int) -> None:
        """A round that only adds files to those of the round before replaces its snapshot."""
        if self._last_snapshot in self._history.snapshot_numbers():  # not pruned since
            with suppress(InconsistentData):  # corrupt since: it stays as it is
                earlier, later = self._history.read(self._last_snapshot), self._history.read(number)
                merge_snapshots(self._history, earlier, later)
        self._last_snapshot = number

    def _report_round(self, report: SyncReport, made_snapshot: bool, seconds: float) -> None:
        self._rounds += 1
        self._files += report.transferred_files
        self._bytes += report.transferred_bytes
        before, self._last = self._last, report
        quarantined = tuple(q for q in report.quarantined if before is None or q not in before.quarantined)
        warnings = tuple(w for w in report.warnings if before is None or w not in before.warnings)
        more_vanished = before is None or report.vanished.count > before.vanished.count
        # A frame that is being written waits: a later round downloads it.
        if made_snapshot or quarantined or report.replaced is not None or (more_vanished and warnings):
            self._say(
                WatchRound(
                    round=self._rounds,
                    host=report.host,
                    actor=report.actor,
                    files=report.files,
                    transferred_files=report.transferred_files,
                    transferred_bytes=report.transferred_bytes,
                    snapshot=report.snapshot,
                    seconds=seconds,
                    new_run=report.new_run,
                    quarantined=quarantined,
                    warnings=warnings,
                )
            )

    def _note_trouble(self, trouble: Trouble, reason: str) -> None:
        if trouble == self._trouble:
            return
        self._end_trouble(quietly=True)
        self._trouble = trouble
        if trouble == "away":
            self._away_since = time.monotonic()
        self._say(WatchPause(trouble, reason))

    def _end_trouble(self, *, quietly: bool = False) -> None:
        if self._trouble is None:
            return
        self._away_s += self._away_now_s()
        self._trouble, self._away_since = None, None
        if not quietly:
            self._say(WatchPause("back", "the watch continues"))

    def _away_now_s(self) -> float:
        return time.monotonic() - self._away_since if self._away_since is not None else 0.0


def _trouble(error: BeingRemoteError) -> Trouble:
    if isinstance(error, Busy):
        return "busy"
    if isinstance(error, NotFoundError):
        return "empty"
    return "full" if isinstance(error, NoSpace) else "away"
