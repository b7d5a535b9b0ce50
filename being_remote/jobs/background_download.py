"""Download the new files of a followed job in a thread, over the same session.

Promises: a round every few seconds; a broken link or a full disk is reported once and retried with
backoff, and never disturbs the follower. `finish` downloads the rest once the job has ended. It does not
check a run as a whole: `pull` does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from being_remote.errors import BeingRemoteError, DataError, HostError, NotFoundError, UsageError
from being_remote.jobs.attempt_files import matches
from being_remote.jobs.live_download import DownloadRound, LiveDownload
from being_remote.transfer.quarantine import QuarantineRow, quarantine_row

log = logging.getLogger("being_remote")

EVERY_S = 4.0
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
_LEAVE_S = 1.0
_LAST_S = 20.0


@dataclass(frozen=True)
class LocalFilesLine:
    """The local files of the followed attempt, after some arrived; or why none arrive.

    `home_frames` are those that count as its progress; None where none do.
    """

    job: str
    attempt: int
    home_frames: int | None
    home_files: int
    home_bytes: int
    came_files: int
    came_bytes: int
    problem: str | None


@dataclass(frozen=True)
class DownloadSummary:
    """What following downloaded.

    Attributes:
        folder: the job's local folder.
        frames, files, bytes: all local files of the attempt.
        came_files, came_bytes: what of it arrived while it was followed.
        set_aside: files that were not taken; the torn ones are quarantined.
        problem: why something may be missing; `pull` downloads it.
    """

    folder: Path
    frames: int | None
    files: int
    bytes: int
    came_files: int
    came_bytes: int
    set_aside: tuple[QuarantineRow, ...]
    problem: str | None


class BackgroundDownload:
    """The thread. Lifecycle: `start`, then `finish` where the job ended, or `leave` where it goes on."""

    def __init__(
        self,
        rounds: LiveDownload,
        folder: Path,
        *,
        job: str,
        attempt: int,
        frames: str | None,
        say: Callable[[LocalFilesLine], None],
    ) -> None:
        self._rounds, self._folder, self._frames, self._say = rounds, folder, frames, say
        self._job, self._attempt = job, attempt
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._bug: BaseException | None = None
        self._last = DownloadRound({}, 0, 0, (), more=False)
        self._arrived_files, self._arrived_bytes = 0, 0
        self._problem: str | None = None
        self._idle = ""

    def start(self) -> None:
        """Begin with a round at once."""
        self._thread.start()

    def leave(self) -> None:
        """Stop, without waiting long: what is on its way is fetched another time."""
        self._over.set()
        self._thread.join(_LEAVE_S)

    def finish(self) -> DownloadSummary:
        """Stop after one more round; what keeps files from arriving is in the answer."""
        self._over.set()
        self._thread.join()
        if self._bug is not None:
            raise self._bug
        self._finish_rounds()
        files = self._last.files
        return DownloadSummary(
            folder=self._folder,
            frames=self._count_frames(),
            files=len(files),
            bytes=sum(files.values()),
            came_files=self._arrived_files,
            came_bytes=self._arrived_bytes,
            set_aside=tuple(map(quarantine_row, self._last.set_aside)),
            problem=self._problem,
        )

    def _run(self) -> None:
        try:
            wait_s, retry_s = 0.0, FIRST_WAIT_S
            while not self._over.wait(wait_s):
                began = time.monotonic()
                if self._try_round():
                    next_at = began if self._last.more else began + EVERY_S
                    wait_s, retry_s = max(0.0, next_at - time.monotonic()), FIRST_WAIT_S
                else:
                    wait_s, retry_s = retry_s, min(2 * retry_s, LONGEST_WAIT_S)
        except BaseException as e:  # noqa: BLE001 - `finish` raises it; a thread would only print it
            self._bug = e

    def _finish_rounds(self) -> None:
        """Download the rest; another process that downloads this job is waited for."""
        deadline = time.monotonic() + _LAST_S
        while time.monotonic() < deadline:
            try:
                self._round(last=True)
                if not self._last.more:
                    return
                if self._last.came_files:
                    deadline = time.monotonic() + _LAST_S
            except NotFoundError:
                return
            except UsageError as e:
                self._problem = e.what
                time.sleep(0.2)
            except (HostError, DataError, OSError) as e:
                self._report_problem(e)
                return
        self._problem = self._problem or "time ran out before all files were downloaded"

    def _try_round(self) -> bool:
        try:
            self._round()
        except (NotFoundError, UsageError) as e:  # it has not begun; or another process downloads it
            if e.what != self._idle:
                log.info("%s", e)
            self._idle = e.what
        except (HostError, DataError, OSError) as e:
            self._report_problem(e)
            return False
        return True

    def _round(self, *, last: bool = False) -> None:
        self._last = self._rounds.round(last=last)
        self._arrived_files += self._last.came_files
        self._arrived_bytes += self._last.came_bytes
        self._problem = None
        if self._last.came_files:
            self._report_files()

    def _report_problem(self, error: HostError | DataError | OSError) -> None:
        problem = error.what if isinstance(error, BeingRemoteError) else str(error)
        log.info("no files arrive: %s", problem)
        first, self._problem = self._problem is None, problem
        if first and not self._over.is_set():
            self._report_files()

    def _report_files(self) -> None:
        files, arrived = self._last.files, self._problem is None
        self._say(
            LocalFilesLine(
                job=self._job,
                attempt=self._attempt,
                home_frames=self._count_frames(),
                home_files=len(files),
                home_bytes=sum(files.values()),
                came_files=self._last.came_files if arrived else 0,
                came_bytes=self._last.came_bytes if arrived else 0,
                problem=self._problem,
            )
        )

    def _count_frames(self) -> int | None:
        if self._frames is None:
            return None
        return sum(matches(name, self._frames) for name in self._last.files)
