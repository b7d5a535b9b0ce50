"""What is new of an attempt that runs, brought home file by file: one round, and what the next one knows.

Promises: a file appears in the job's folder by one rename, whole, judged, and with the hash made on
the host; one that is still being written is left for the next round; nothing is ever removed. A round
in which nothing is new costs one question; one in which something is, hashes and moves only that.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from being_remote.durable_files import copy_apart, room_on_disk, sync_files
from being_remote.errors import DataError, UsageError
from being_remote.jobs.attempt_files import AttemptFile, AttemptFolder, SkippedFile
from being_remote.jobs.result_folder import (
    alone,
    has_hash,
    incoming,
    is_of,
    judge_file,
    keep_aside,
    keep_only,
    keep_replaced,
    nothing,
    pulled,
    swap,
    write_pulled,
)
from being_remote.session import Pull
from being_remote.transfer.file_check import Judge

ROUND_FILES = 500
ROUND_BYTES = 4 << 20


@dataclass(frozen=True)
class DownloadRound:
    """What a round brought.

    Attributes:
        files: all that is at home now, by name.
        came_files, came_bytes: what of it came now.
        set_aside: what is not taken while it stays as it is.
        more: whether there was too much for one round.
    """

    files: Mapping[str, int]
    came_files: int
    came_bytes: int
    set_aside: tuple[SkippedFile, ...]
    more: bool


class LiveDownload:
    """The rounds of one attempt; `note` names it (`note_of`), `folder` is the job's folder here."""

    def __init__(self, work: AttemptFolder, folder: Path, note: Mapping[str, Any], judge: Judge) -> None:
        self._work, self._folder, self._note, self._judge = work, folder, note, judge
        self._stage = incoming(folder)
        self._home: dict[str, tuple[int, ...]] = {}  # how what is at home looks over there
        self._refused: dict[str, tuple[tuple[int, ...], SkippedFile]] = {}
        self._before: dict[str, tuple[int, ...]] = {}  # how everything looked a round ago

    def round(self, *, last: bool = False) -> DownloadRound:
        """Bring what is new; with `last` nothing is written there any more.

        Raises:
            NotFoundError: the attempt has not begun.
            UsageError: another fetch of this job is at work, or a later attempt's files are here.
            HostError: no answer, or the link failed.
            DataError: the disk here is full.
        """
        with room_on_disk(self._folder), alone(self._folder):
            document = self._document()
            offers, aside = self._work.offered(self._folder)
            new = [o for o in offers if self._is_new(o, document["files"], last=last)]
            self._before = {o.name: o.looks for o in offers}
            if self._stage.exists():  # what nobody wants any more takes no room
                keep_only(self._stage, {o.name for o in new})
            new, left_out = self._work.fitting(new, self._folder.parent)
            some = _some(sorted(new, key=self._work.place_of))
            came = self._bring(some, document) if some else {}
            files = {name: entry["bytes"] for name, entry in {**document["files"], **came}.items()}
            refused = tuple(self._refused[o.name][1] for o in offers if self._is_refused(o))
            return DownloadRound(
                files,
                len(came),
                sum(e["bytes"] for e in came.values()),
                (*aside, *refused, *left_out),
                more=len(some) < len(new),
            )

    def _document(self) -> dict[str, Any]:
        """This attempt's pulled.json, as it is or would be."""
        found = pulled(self._folder)
        if found is not None and is_of(found, self._note):
            return found
        if found is not None and found.get("job") == self._note["job"]:
            later = found.get("attempt")
            if isinstance(later, int) and later > self._note["attempt"]:
                raise UsageError(f"attempt {later} of this job is here already", where=str(self._folder))
        return {**self._note, "judged": False, "files": {}}

    def _is_new(self, offer: AttemptFile, files: Mapping[str, Any], *, last: bool) -> bool:
        if self._is_refused(offer):
            return False
        if self._home.get(offer.name) == offer.looks and offer.name in files:
            return not _lies(self._folder / offer.name, files[offer.name]["bytes"])
        # Of a file without a known form nobody can say whether it is whole: it has to hold still.
        known_form = self._judge.most_bytes(offer.name) is not None
        return last or known_form or self._before.get(offer.name) == offer.looks

    def _is_refused(self, offer: AttemptFile) -> bool:
        return offer.name in self._refused and self._refused[offer.name][0] == offer.looks

    def _bring(self, new: Sequence[AttemptFile], document: Mapping[str, Any]) -> dict[str, Any]:
        """The pulled.json entries of what came."""
        wanted = []
        for offer in self._work.hashed(new).values():
            entry = document["files"].get(offer.name)
            known = entry is not None and entry["sha256"] == offer.sha256
            if known and has_hash(self._folder / offer.name, offer.sha256):
                self._home[offer.name] = offer.looks  # from an earlier run of this program
            elif offer.sha256 is not None:
                wanted.append(offer)
        if not wanted:
            return {}
        keep_only(self._stage, {o.name for o in wanted})
        self._fetch([o for o in wanted if not self._from_earlier_attempt(o)])
        good = [o for o in wanted if self._is_good(o)]
        came = {o.name: {"bytes": (self._stage / o.name).stat().st_size, "sha256": o.sha256} for o in good}
        if came:
            self._place(came, document)
        self._home |= {o.name: o.looks for o in good}
        if self._stage.exists():
            shutil.rmtree(self._stage)
        return came

    def _from_earlier_attempt(self, offer: AttemptFile) -> bool:
        """Whether the very file came with an earlier attempt, which this one goes on from."""
        found = pulled(self._folder)
        if found is None or is_of(found, self._note):
            return False
        entry = found.get("files", {}).get(offer.name)
        here = self._folder / offer.name
        if entry is None or entry["sha256"] != offer.sha256 or not has_hash(here, offer.sha256):
            return False
        (self._stage / offer.name).parent.mkdir(parents=True, exist_ok=True)
        copy_apart(here, self._stage / offer.name)
        return True

    def _fetch(self, offers: Sequence[AttemptFile]) -> None:
        self._work.session.pull(
            Pull(
                source=self._work.folder,
                names=tuple(os.fsencode(o.name) for o in offers),
                into=self._stage,
                unless_in=nothing(self._folder),
                sizes=tuple(o.size for o in offers),
            )
        )

    def _is_good(self, offer: AttemptFile) -> bool:
        """Whether what arrived is the file that was hashed, and whole; else it is removed."""
        file = self._stage / offer.name
        if not has_hash(file, offer.sha256):
            file.unlink(missing_ok=True)  # it is being written: it comes with a later round
            return False
        try:
            judge_file(file, self._judge)
        except DataError as e:
            self._refused[offer.name] = (offer.looks, SkippedFile(offer.name, e.what))
            file.unlink()
            return False
        self._refused.pop(offer.name, None)
        return True

    def _place(self, came: Mapping[str, Any], document: Mapping[str, Any]) -> None:
        """Let each file take its place; pulled.json last, so that what it names is there."""
        if not is_of(pulled(self._folder), self._note):
            keep_aside(self._folder)
            swap(self._stage, self._folder, {**document, "files": came})
            return
        sync_files(self._stage, [self._stage / name for name in came])
        keep_replaced(self._folder, document["files"], came)
        for name in came:
            (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._stage / name, self._folder / name)
        sync_files(self._folder, [self._folder / name for name in came])
        changed = came.keys() & document["files"].keys()
        judged = document.get("judged", False) and not changed
        write_pulled(self._folder, {**document, "judged": judged, "files": {**document["files"], **came}})


def _some(offers: Sequence[AttemptFile]) -> list[AttemptFile]:
    """As many as one round brings: the newest frame never waits for gigabytes."""
    chosen: list[AttemptFile] = []
    left = ROUND_BYTES
    for offer in offers[:ROUND_FILES]:
        if chosen and offer.size > left:
            break
        chosen.append(offer)
        left -= offer.size
    return chosen


def _lies(file: Path, size: int) -> bool:
    try:
        at = file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(at.st_mode) and at.st_size == size
