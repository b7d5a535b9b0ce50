"""While a job is followed its new files come home beside, in a thread over the same session.

Promises: a round every few seconds; a link that broke, or a disk that is full, is said once and tried
again ever more rarely, and never disturbs who follows. `finish` brings what is left once the job has
ended. What it does not do: judge a run (`pull` does).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from being_remote.errors import BeingRemoteError, DataError, HostError, NotFoundError, UsageError
from being_remote.jobs.attempt_files import SkippedFile, matches
from being_remote.jobs.live_download import DownloadRound, LiveDownload

log = logging.getLogger("being_remote")

EVERY_S = 4.0
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
_LEAVE_S = 1.0
_LAST_S = 20.0


@dataclass(frozen=True)
class LocalFilesLine:
    """What is at home of the attempt that is followed, after some of it came; or why nothing comes.

    `home_frames` are those of its files that it counts as its progress; None where it counts none.
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
    """What following brought home. `problem` is why something may be missing; `pull` brings it.

    Attributes:
        folder: where it lies.
        frames, files, bytes: all that is there of the attempt.
        came_files, came_bytes: what of it came now.
        set_aside: files that were not taken, such as one that was torn in the middle.
    """

    folder: Path
    frames: int | None
    files: int
    bytes: int
    came_files: int
    came_bytes: int
    set_aside: tuple[SkippedFile, ...]
    problem: str | None


class BackgroundDownload:
    """The thread. Lifecycle: `start`, then `finish` where the job ended, or `leave` where it is left."""

    def __init__(
        self,
        arrivals: LiveDownload,
        folder: Path,
        *,
        job: str,
        attempt: int,
        frames: str | None,
        say: Callable[[LocalFilesLine], None],
    ) -> None:
        self._arrivals, self._folder, self._frames, self._say = arrivals, folder, frames, say
        self._job, self._attempt = job, attempt
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._bug: BaseException | None = None
        self._last = DownloadRound({}, 0, 0, (), more=False)
        self._files, self._bytes = 0, 0
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
        """Stop after one more round; what keeps it from coming is in the answer."""
        self._over.set()
        self._thread.join()
        if self._bug is not None:
            raise self._bug
        self._last_round()
        files = self._last.files
        return DownloadSummary(
            folder=self._folder,
            frames=self._count(),
            files=len(files),
            bytes=sum(files.values()),
            came_files=self._files,
            came_bytes=self._bytes,
            set_aside=self._last.set_aside,
            problem=self._problem,
        )

    def _work(self) -> None:
        try:
            self._go_on()
        except BaseException as e:  # noqa: BLE001 - `finish` raises it; a thread would only print it
            self._bug = e

    def _go_on(self) -> None:
        wait_s, retry_s = 0.0, FIRST_WAIT_S
        while not self._over.wait(wait_s):
            began = time.monotonic()
            if self._tried():
                next_at = began if self._last.more else began + EVERY_S
                wait_s, retry_s = max(0.0, next_at - time.monotonic()), FIRST_WAIT_S
            else:
                wait_s, retry_s = retry_s, min(2 * retry_s, LONGEST_WAIT_S)

    def _last_round(self) -> None:
        """Whoever else fetches this job at the moment, as one who follows it too, is waited for."""
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
                self._trouble(e)
                return
        self._problem = self._problem or "there was more than could be looked at so quickly"

    def _tried(self) -> bool:
        try:
            self._round()
        except (NotFoundError, UsageError) as e:  # it has not begun; or somebody else fetches it
            if e.what != self._idle:
                log.info("%s", e)
            self._idle = e.what
        except (HostError, DataError, OSError) as e:
            self._trouble(e)
            return False
        return True

    def _round(self, *, last: bool = False) -> None:
        self._last = arrived = self._arrivals.round(last=last)
        self._files += arrived.came_files
        self._bytes += arrived.came_bytes
        self._problem = None
        if arrived.came_files:
            self._tell()

    def _trouble(self, error: HostError | DataError | OSError) -> None:
        said = error.what if isinstance(error, BeingRemoteError) else str(error)
        log.info("nothing comes home: %s", said)
        if self._problem is None and not self._over.is_set():
            self._problem = said
            self._tell()
        self._problem = said

    def _tell(self) -> None:
        files = self._last.files
        self._say(
            LocalFilesLine(
                job=self._job,
                attempt=self._attempt,
                home_frames=self._count(),
                home_files=len(files),
                home_bytes=sum(files.values()),
                came_files=self._last.came_files if self._problem is None else 0,
                came_bytes=self._last.came_bytes if self._problem is None else 0,
                problem=self._problem,
            )
        )

    def _count(self) -> int | None:
        if self._frames is None:
            return None
        return sum(matches(name, self._frames) for name in self._last.files)
