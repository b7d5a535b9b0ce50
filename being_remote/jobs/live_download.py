"""Download the new files of a followed job in rounds, in a thread, over the same session.

Promises: a file appears in the job's folder by one rename, whole, judged, and with the hash made on the host;
one that is still being written is left for the next round; nothing is ever removed. A round in which nothing
is new costs one question. A broken link or a full disk is reported once and retried with backoff, and never
disturbs the follower. A run is not checked as a whole: `pull` does that.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from being_remote.durable_files import copy_apart, room_on_disk, set_time, stat_plain
from being_remote.errors import BeingRemoteError, Busy, DataError, HostError, NotFoundError, UsageError
from being_remote.jobs.attempt_files import AttemptFolder, matches
from being_remote.jobs.result_folder import ResultFolder, ResultStage, is_of, read_record
from being_remote.session import no_progress
from being_remote.transfer.checked_files import Judge, has_hash
from being_remote.transfer.download import download
from being_remote.transfer.download_plan import RemoteFile
from being_remote.transfer.hash_comparison import SETTLE_NS, Arrivals, HashQueries, HostFiles
from being_remote.transfer.quarantine import QuarantinedFile, QuarantineRow, quarantine_row

log = logging.getLogger("being_remote")

ROUND_FILES = 500
ROUND_BYTES = 4 << 20
EVERY_S = 4.0
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
_LEAVE_S = 1.0
_LAST_S = 20.0

# What the host says of a file besides its bytes: while it is the same, so are the bytes.
_Figures = tuple[int, int, int, int]


@dataclass(frozen=True)
class DownloadRound:
    """What a round brought.

    Attributes:
        files: all local files of the attempt, by name.
        came_files, came_bytes: what of it arrived in this round.
        set_aside: what is not taken while it stays as it is.
        more: whether there was too much for one round.
        failure: why the link failed; what arrived before took its place.
    """

    files: Mapping[str, int]
    came_files: int
    came_bytes: int
    set_aside: tuple[QuarantinedFile, ...]
    more: bool
    failure: HostError | None = None


class LiveDownload:
    """The rounds of one attempt; `note` names it (`note_of`), `path` is the job's local folder."""

    def __init__(self, attempt: AttemptFolder, path: Path, note: Mapping[str, Any], judge: Judge) -> None:
        self._attempt, self._path, self._note, self._judge = attempt, path, note, judge
        self._folder = ResultFolder(path)
        self._downloaded: dict[str, _Figures] = {}  # remote figures of the files that are here
        self._refused: dict[str, tuple[_Figures, QuarantinedFile]] = {}
        self._before: dict[str, _Figures] = {}  # remote figures of all files a round ago

    def round(self, *, last: bool = False) -> DownloadRound:
        """Download what is new; with `last` the attempt writes no more.

        Raises:
            NotFoundError: the attempt has not begun.
            Busy: another process downloads this job.
            UsageError: a later attempt's files are here.
            HostError: no answer.
            DataError: the disk here is full.
        """
        with room_on_disk(self._path), self._folder.lock():
            record = self._read_record()
            offers, skipped = self._attempt.list_files(self._path)
            new = [o for o in offers if self._is_new(o, record["files"], last=last)]
            self._before = {o.path: o.figures for o in offers}
            if self._folder.stage.exists():  # what is not wanted any more takes no room
                self._folder.clean_stage(o.path for o in new)
            fit, left_out = self._folder.share_room(new)
            chosen = _choose(sorted(fit, key=lambda o: o.origin.rank))
            placed, failure = self._download(chosen, record, last=last) if chosen else ({}, None)
            return DownloadRound(
                {name: entry["bytes"] for name, entry in {**record["files"], **placed}.items()},
                len(placed),
                sum(entry["bytes"] for entry in placed.values()),
                (*skipped, *(self._refused[o.path][1] for o in offers if self._is_refused(o)), *left_out),
                more=len(chosen) < len(fit),
                failure=failure,
            )

    def _read_record(self) -> dict[str, Any]:
        """This attempt's pulled.json, as it is or would be."""
        found = read_record(self._path)
        if found is not None and is_of(found, self._note):
            return found
        if found is not None and found.get("job") == self._note["job"]:
            later = found.get("attempt")
            if isinstance(later, int) and later > self._note["attempt"]:
                raise UsageError(f"attempt {later} of this job is here already", where=str(self._path))
        return {**self._note, "judged": False, "files": {}}

    def _is_new(self, offer: RemoteFile, files: Mapping[str, Any], *, last: bool) -> bool:
        if self._is_refused(offer):
            return False
        if self._downloaded.get(offer.path) == offer.figures and offer.path in files:
            local = stat_plain(self._path / offer.path)
            return local is None or local.st_size != files[offer.path]["bytes"]
        # Whether a file of no known format is whole cannot be seen: it must be unchanged for a round.
        known_format = self._judge.most_bytes(offer.path) is not None
        return last or known_format or self._before.get(offer.path) == offer.figures

    def _is_refused(self, offer: RemoteFile) -> bool:
        return offer.path in self._refused and self._refused[offer.path][0] == offer.figures

    def _download(
        self, new: Sequence[RemoteFile], record: Mapping[str, Any], *, last: bool
    ) -> tuple[dict[str, Any], HostError | None]:
        """The pulled.json entries of the files that arrived and took their place; why the link failed."""
        hashed, wanted = self._attempt.hash_files(new), []
        for offer in hashed.files.values():
            sha256 = record["files"].get(offer.path, {}).get("sha256")
            if sha256 is not None and sha256 == offer.sha256 and has_hash(self._path / offer.path, sha256):
                self._downloaded[offer.path] = offer.figures  # by an earlier run of this program
            else:
                wanted.append(offer)
        if not wanted:
            return {}, None
        self._folder.clean_stage(offer.path for offer in wanted)
        for offer in wanted:
            self._copy_from_earlier_attempt(offer)
        got = self._fetch(wanted, hashed, settle_ns=0 if last else SETTLE_NS)
        placed = {name: {"bytes": file.bytes, "sha256": file.sha256} for name, file in got.good.items()}
        if placed:
            self._place(placed, record)
        self._downloaded |= {offer.path: offer.figures for offer in got.good_offers}
        if got.failure is None and self._folder.stage.exists():
            shutil.rmtree(self._folder.stage)
        return placed, got.failure

    def _copy_from_earlier_attempt(self, offer: RemoteFile) -> None:
        """Stage a file that an earlier attempt, which this one continues, had with the same bytes."""
        found = read_record(self._path)
        if found is None or is_of(found, self._note):
            return
        sha256, local = found.get("files", {}).get(offer.path, {}).get("sha256"), self._path / offer.path
        if sha256 is None or sha256 != offer.sha256 or not has_hash(local, sha256):
            return
        staged = self._folder.stage / offer.path
        staged.parent.mkdir(parents=True, exist_ok=True)
        copy_apart(local, staged)
        set_time(staged, offer.mtime_ns)

    def _fetch(self, wanted: Sequence[RemoteFile], hashed: HostFiles, *, settle_ns: int) -> Arrivals:
        """Fetch files that the host has hashed; one that is written meanwhile comes with a later round."""
        asking = HashQueries(lambda _: hashed, lambda: False, hashed.clock_ns, settle_ns)
        stage = ResultStage(self._attempt, self._folder)
        got = download(self._attempt.session, stage, wanted, self._judge, asking, no_progress, retry=False)
        # Once the link has failed, the engine asks for no hashes; those of the host are known here.
        of_host = {path: offer.sha256 for path, offer in hashed.files.items()}
        got.drop_good([path for path, file in got.good.items() if file.sha256 != of_host[path]])
        for checked, offer in got.torn:
            if checked.sha256 == of_host[offer.path]:
                kept = self._folder.quarantine.keep(checked, offer.mtime_ns)
                self._refused[offer.path] = (offer.figures, kept)
        for name in got.good:
            self._refused.pop(name, None)
        return got

    def _place(self, placed: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        """Let each file take its place; pulled.json last, so that what it names is there."""
        if not is_of(read_record(self._path), self._note):
            self._folder.keep_aside()
            self._folder.swap({**record, "files": placed})
            return
        self._folder.keep_replaced(record["files"], placed)
        self._folder.place(placed)
        changed = placed.keys() & record["files"].keys()
        judged = record.get("judged", False) and not changed
        self._folder.write_record({**record, "judged": judged, "files": {**record["files"], **placed}})


def _choose(offers: Sequence[RemoteFile]) -> list[RemoteFile]:
    """As many as one round downloads: the newest frame never waits for gigabytes."""
    chosen: list[RemoteFile] = []
    left = ROUND_BYTES
    for offer in offers[:ROUND_FILES]:
        if chosen and offer.bytes > left:
            break
        chosen.append(offer)
        left -= offer.bytes
    return chosen


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
    """The thread. Lifecycle: `start`, then `finish` where the job ended, or `leave` where it still runs."""

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
            except (Busy, UsageError) as e:
                self._problem = e.what
                time.sleep(0.2)
            except (HostError, DataError, OSError) as e:
                self._report_problem(e)
                return
        self._problem = self._problem or "time ran out before all files were downloaded"

    def _try_round(self) -> bool:
        try:
            self._round()
        except (NotFoundError, Busy, UsageError) as e:  # it has not begun; or another process downloads it
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
        if self._last.failure is not None:
            raise self._last.failure

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
