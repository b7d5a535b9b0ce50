"""Download what is new of an attempt that runs, file by file: one round, and what the next one knows.

Promises: a file appears in the job's folder by one rename, whole, judged, and with the hash made on
the host; one that is still being written is left for the next round; nothing is ever removed. A round
in which nothing is new costs one question; one in which something is, hashes and moves only that.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from being_remote.durable_files import copy_apart, room_on_disk, stat_plain
from being_remote.errors import UsageError
from being_remote.jobs.attempt_files import AttemptFolder
from being_remote.jobs.result_folder import ResultFolder, ResultStage, is_of, read_record
from being_remote.session import no_progress
from being_remote.transfer.checked_files import Judge, has_hash
from being_remote.transfer.download import download
from being_remote.transfer.download_plan import RemoteFile
from being_remote.transfer.hash_comparison import SETTLE_NS, Arrivals, HashQueries, HostFiles
from being_remote.transfer.quarantine import QuarantinedFile

ROUND_FILES = 500
ROUND_BYTES = 4 << 20

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
    """

    files: Mapping[str, int]
    came_files: int
    came_bytes: int
    set_aside: tuple[QuarantinedFile, ...]
    more: bool


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
            UsageError: another process downloads this job, or a later attempt's files are here.
            HostError: no answer, or the link failed.
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
            placed = self._download(chosen, record, last=last) if chosen else {}
            return DownloadRound(
                {name: entry["bytes"] for name, entry in {**record["files"], **placed}.items()},
                len(placed),
                sum(entry["bytes"] for entry in placed.values()),
                (*skipped, *(self._refused[o.path][1] for o in offers if self._is_refused(o)), *left_out),
                more=len(chosen) < len(fit),
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
    ) -> dict[str, Any]:
        """The pulled.json entries of the files that arrived and took their place."""
        hashed, wanted = self._attempt.hash_files(new), []
        for offer in hashed.files.values():
            sha256 = record["files"].get(offer.path, {}).get("sha256")
            if sha256 is not None and sha256 == offer.sha256 and has_hash(self._path / offer.path, sha256):
                self._downloaded[offer.path] = offer.figures  # by an earlier run of this program
            else:
                wanted.append(offer)
        if not wanted:
            return {}
        self._folder.clean_stage(offer.path for offer in wanted)
        for offer in wanted:
            self._copy_from_earlier_attempt(offer)
        got = self._fetch(wanted, hashed, settle_ns=0 if last else SETTLE_NS)
        placed = {name: {"bytes": file.bytes, "sha256": file.sha256} for name, file in got.good.items()}
        if placed:
            self._place(placed, record)
        self._downloaded |= {offer.path: offer.figures for offer in got.good_offers}
        if self._folder.stage.exists():
            shutil.rmtree(self._folder.stage)
        return placed

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
        os.utime(staged, ns=(offer.mtime_ns, offer.mtime_ns))

    def _fetch(self, wanted: Sequence[RemoteFile], hashed: HostFiles, *, settle_ns: int) -> Arrivals:
        """Fetch files that the host has hashed; one that is written meanwhile comes with a later round."""
        asking = HashQueries(lambda _: hashed, lambda: False, hashed.clock_ns, settle_ns)
        stage = ResultStage(self._attempt, self._folder)
        got = download(self._attempt.session, stage, wanted, self._judge, asking, no_progress, retry=False)
        if got.failure is not None:
            raise got.failure
        for checked, offer in got.torn:
            self._refused[offer.path] = (offer.figures, self._folder.quarantine.keep(checked, offer.mtime_ns))
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
