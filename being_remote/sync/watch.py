"""`sync --watch`: an actor's new files come home round by round, over one kept connection.

Promises: a pod that is away is waited for and asked again, ever more rarely; a manual sync of the
same backup finds it free between two rounds; rounds that only add files make one snapshot; what
happens is said once. It ends by Ctrl-C, or by what only a person can mend: an untrusted key, a
refused login, a setting that cannot be meant.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import NoReturn

from being_remote.backup.history import History
from being_remote.backup.snapshot_merge import absorb
from being_remote.durable_files import room_on_disk
from being_remote.errors import (
    AnswerTimeout,
    BeingRemoteError,
    CommandFailed,
    ConnectionLost,
    InconsistentData,
    InventoryError,
    NoSpace,
    NotFoundError,
    Unreachable,
    UsageError,
)
from being_remote.inventory import Inventory
from being_remote.session import Session, no_progress
from being_remote.sync.remote_files import ActorSync, look
from being_remote.sync.sync_pass import bring_actor
from being_remote.sync.sync_report import SyncReport
from being_remote.sync.watch_report import Trouble, WatchPause, WatchReport, WatchRound
from being_remote.workflows.sync import task_of

EVERY_S = 5.0
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0

# A program that a pod kills while it goes down fails as any other.
_AWAY = (Unreachable, ConnectionLost, AnswerTimeout, CommandFailed)


Say = Callable[[WatchRound | WatchPause], None]


def watch(
    inventory: Inventory,
    *,
    actor: str | None = None,
    host: str | None = None,
    only: Sequence[str] = (),
    every_s: float = EVERY_S,
    say: Say = lambda _: None,
) -> WatchReport:
    """Sync again and again until Ctrl-C.

    Args:
        inventory: who is who.
        actor: its name; default: the only one.
        host: its name; default: the only one.
        only: kinds of files; default: all.
        every_s: from one round's beginning to the next one's, in seconds.
        say: told what a round brought, and why nothing comes.

    Raises:
        UsageError: unknown names or kinds; the host has no tracker.
        HostError: its key is not trusted, it refused our login, or what it says cannot be believed.
        DataError: a link lies in the backup; another run while `only` is given.
    """
    watched = _ActorWatch(inventory, task_of(inventory, actor, host, only), say, partial=bool(only))
    try:
        watched.go_on(every_s)
    except KeyboardInterrupt:
        return watched.report()
    finally:
        watched.close()


class _ActorWatch:
    """The rounds of one watch. Lifecycle: `go_on` until it raises, `report`, `close`."""

    def __init__(self, inventory: Inventory, task: ActorSync, say: Say, *, partial: bool) -> None:
        self._inventory, self._task, self._say, self._partial = inventory, task, say, partial
        self._history = History(task.root)
        self._session: Session | None = None
        self._last: SyncReport | None = None
        self._made: int | None = None  # the snapshot of our last round that made one
        self._trouble: Trouble | None = None
        self._began = time.monotonic()
        self._away_since: float | None = None
        self._away_s, self._rounds, self._files, self._bytes = 0.0, 0, 0, 0

    def go_on(self, every_s: float) -> NoReturn:
        """Rounds without an end; what cannot be waited for is raised."""
        retry_s = FIRST_WAIT_S
        while True:
            began = time.monotonic()
            try:
                report, made = self._round()
            except (_Busy, NotFoundError, NoSpace, *_AWAY) as e:
                self._wait_for(_trouble(e), e.what)
            else:
                self._well()
                self._tell(report, made, time.monotonic() - began)
            if self._trouble in ("away", "full"):
                time.sleep(retry_s)
                retry_s = min(2 * retry_s, LONGEST_WAIT_S)
            else:
                retry_s = FIRST_WAIT_S
                time.sleep(max(0.0, began + every_s - time.monotonic()))

    def report(self) -> WatchReport:
        """How far it came."""
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
        """Let go of the host."""
        if self._session is not None:
            self._session.close()

    def _round(self) -> tuple[SyncReport, bool]:
        """Sync once; whether that made a snapshot."""
        from being_remote.transport import open_session

        if self._session is None:
            self._session = open_session(self._task.host, self._inventory)
        found = None
        with ExitStack() as held:
            held.enter_context(room_on_disk(self._task.root))
            if not self._history.history_folder.is_dir():
                found = look(self._task, self._session)  # an actor that is not there leaves no folder
            held.enter_context(_alone(self._history))
            before = self._history.snapshot_numbers()
            report = bring_actor(
                self._task,
                self._session,
                self._history,
                verify=False,
                partial=self._partial,
                on_progress=no_progress,
                found=found,
            )
            if report.snapshot is None or report.snapshot in before:
                return report, False
            self._made_one(report.snapshot)
            return report, True

    def _made_one(self, number: int) -> None:
        """A round that only added something to what the round before made takes its place."""
        if self._made in self._history.snapshot_numbers():  # not pruned since
            with suppress(InconsistentData):  # damaged since: it stays as it is
                absorb(self._history, self._history.read(self._made), self._history.read(number))
        self._made = number

    def _tell(self, report: SyncReport, made: bool, seconds: float) -> None:
        self._rounds += 1
        self._files += report.transferred_files
        self._bytes += report.transferred_bytes
        before, self._last = self._last, report
        quarantined = tuple(q for q in report.quarantined if before is None or q not in before.quarantined)
        warnings = tuple(w for w in report.warnings if before is None or w not in before.warnings)
        gone = before is None or report.vanished.count > before.vanished.count
        # A frame that is being written is no news: it comes with a later round.
        if made or quarantined or report.replaced is not None or (gone and warnings):
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

    def _wait_for(self, trouble: Trouble, reason: str) -> None:
        if trouble == self._trouble:
            return
        self._well(quietly=True)
        self._trouble = trouble
        if trouble == "away":
            self._away_since = time.monotonic()
        self._say(WatchPause(trouble, reason))

    def _well(self, *, quietly: bool = False) -> None:
        if self._trouble is None:
            return
        self._away_s += self._away_now_s()
        self._trouble, self._away_since = None, None
        if not quietly:
            self._say(WatchPause("back", "it goes on"))

    def _away_now_s(self) -> float:
        return time.monotonic() - self._away_since if self._away_since is not None else 0.0


class _Busy(UsageError):
    """Another sync of this backup is at work."""


@contextmanager
def _alone(history: History) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(history.lock())
        except InventoryError:
            raise
        except UsageError as e:
            raise _Busy(e.what, where=e.where, hint=e.hint) from e
        yield


def _trouble(error: BeingRemoteError) -> Trouble:
    if isinstance(error, _Busy):
        return "busy"
    if isinstance(error, NotFoundError):
        return "empty"
    return "full" if isinstance(error, NoSpace) else "away"
