"""The folder of one job's results on this laptop: `<backups>/<actor>/runs/<job>/`, with `pulled.json`.

    <job>/                 one attempt's files, each of them checked
    <job>.attempt-<n>/     an earlier attempt's, kept as they were
    <job>.quarantine/      torn and unsafe files, each with a note
    <job>.replaced/        whole frames of it that the host replaced by other whole ones: NAME.HASH
    .<job>.incoming/       where files arrive; what is checked there moves into its place
    .<job>.old/            the folder while it is replaced as a whole; goes back after a crash
    .<job>.none            never exists: what to compare with when everything must be fetched
    .<job>.lock            held by the one process that may change anything here

`pulled.json` names the attempt and each file's size and hash.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from being_remote.backup_paths import FRAME_SUFFIX
from being_remote.disk import no_space
from being_remote.durable_files import (
    Stat,
    copy_apart,
    is_nearly_full,
    stat_plain,
    sync_files,
    sync_folder,
    write_whole,
)
from being_remote.jobs.attempt_files import PULLED, AttemptFolder
from being_remote.jobs.ledger import LedgerJob
from being_remote.local_lock import held_lock
from being_remote.session import PARTIAL_DIR
from being_remote.transfer.arrival_folder import Fetch, is_listed, sorted_fetch
from being_remote.transfer.checked_files import has_hash
from being_remote.transfer.disk_room import left_out_files, share_room
from being_remote.transfer.download_plan import RemoteFile
from being_remote.transfer.quarantine import Quarantine, QuarantinedFile


class ResultFolder:
    """One job's results; `path` is `runs/<job>`. Making one touches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stage = path.with_name(f".{path.name}.incoming")
        self.replaced = path.with_name(f"{path.name}.replaced")
        self._old = path.with_name(f".{path.name}.old")
        self._lock = path.with_name(f".{path.name}.lock")
        self.nothing = path.with_name(f".{path.name}.none")
        self._scratch = path.with_name(f".{path.name}.scratch")
        self.quarantine = Quarantine(path.with_name(f"{path.name}.quarantine"), self._scratch)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only process that downloads this job; a swap that was cut short is undone first.

        Raises:
            Busy: another process downloads it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with held_lock(self._lock, "another command downloads this job", where=str(self.path)):
            if self._old.exists():
                if self.path.exists():
                    shutil.rmtree(self._old)
                else:
                    os.rename(self._old, self.path)
            yield

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Write pulled.json so that it is the old one or the new one at any moment."""
        write_whole(self.path / PULLED, _record_text(record).encode("utf-8"), scratch=self._scratch)

    def keep_aside(self) -> Path | None:
        """Move the folder to `<job>.attempt-<n>`; None where there is none. Nothing is deleted."""
        if not self.path.exists():
            return None
        attempt = (read_record(self.path) or {}).get("attempt", "unknown")
        taken = 1
        aside = self.path.with_name(f"{self.path.name}.attempt-{attempt}")
        while os.path.lexists(aside):
            taken += 1
            aside = self.path.with_name(f"{self.path.name}.attempt-{attempt}.{taken}")
        os.rename(self.path, aside)
        sync_folder(self.path.parent)
        return aside

    def keep_replaced(self, entries: Mapping[str, Any], names: Iterable[str]) -> None:
        """Keep the frames that other bytes are about to replace, each version once.

        `entries` are the files of pulled.json as they are now, `names` what takes a place there.
        """
        for name in names:
            sha256 = entries.get(name, {}).get("sha256", "")
            if not name.endswith(FRAME_SUFFIX) or not has_hash(self.path / name, sha256):
                continue
            kept, scratch = self.replaced / f"{Path(name).name}.{sha256[:16]}", self.replaced / ".scratch"
            if not kept.exists():
                self.replaced.mkdir(exist_ok=True)
                # A copy: other programs may write into what lies in the job's folder.
                copy_apart(self.path / name, scratch)
                sync_files(self.replaced, [scratch])
                os.replace(scratch, kept)
                sync_folder(self.replaced)

    def swap(self, record: Mapping[str, Any]) -> None:
        """Let the whole stage, with this record, take the folder's place."""
        self.clean_stage(record["files"], half_files=False)
        (self.stage / PULLED).write_text(_record_text(record), encoding="utf-8")
        sync_files(self.stage, [p for p in self.stage.rglob("*") if p.is_file()])
        if self.path.exists():
            os.rename(self.path, self._old)
        os.rename(self.stage, self.path)
        sync_folder(self.path.parent)
        shutil.rmtree(self._old, ignore_errors=True)

    def place(self, names: Iterable[str]) -> None:
        """Move these files from the stage into the folder, each by one rename, all of them durable."""
        sync_files(self.stage, [self.stage / name for name in names])
        for name in names:
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.stage / name, self.path / name)
        sync_files(self.path, [self.path / name for name in names])

    def clean_stage(self, names: Iterable[str], *, half_files: bool = True) -> None:
        """Make the stage, and keep of an earlier download only these files, and half ones of them."""
        wanted = set(names)
        if self.stage.is_symlink():
            self.stage.unlink()
        self.stage.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.stage.rglob("*"), reverse=True):
            at = path.lstat()
            if stat.S_ISDIR(at.st_mode):
                with contextlib.suppress(OSError):  # not empty
                    path.rmdir()
                continue
            half = half_files and path.parent.name == PARTIAL_DIR
            name = (path.parent.parent / path.name if half else path).relative_to(self.stage).as_posix()
            if name not in wanted or not stat.S_ISREG(at.st_mode):
                path.unlink()

    def share_room(
        self, wanted: Sequence[RemoteFile]
    ) -> tuple[Sequence[RemoteFile], tuple[QuarantinedFile, ...]]:
        """The files that fit on the disk, and those that do not.

        Raises:
            NoSpace: none of them fits, for the disk is full.
        """
        parent = self.path.parent
        room = share_room(parent, wanted, lambda offer: offer.bytes)
        if wanted and not room.fit and is_nearly_full(parent):
            raise no_space(parent, sum(offer.bytes for offer in wanted))
        return room.fit, left_out_files(parent, room.left_out)


class ResultStage:
    """Where the files of an attempt arrive: the `ArrivalFolder` of a job's results."""

    def __init__(self, attempt: AttemptFolder, folder: ResultFolder) -> None:
        self.host, self.quarantine = attempt.session.host, folder.quarantine
        self._source, self._folder = attempt.folder, folder

    def file(self, offer: RemoteFile) -> Path:
        return self._folder.stage / offer.path

    def find_arrived(self, offer: RemoteFile) -> Stat | None:
        return stat_plain(self.file(offer))

    def make_fetches(self, wanted: Sequence[RemoteFile]) -> Iterator[Fetch]:
        """One request for all files that have not arrived yet."""
        missing = [o for o in wanted if not is_listed(self.find_arrived(o), o.bytes, o.mtime_ns)]
        if missing:
            named = ((offer.name, offer) for offer in missing)
            yield sorted_fetch(self._source, named, self._folder.stage, self._folder.nothing)

    def note_fetching(self, wanted: Sequence[RemoteFile]) -> None:
        """Nothing to write down: the next download compares whatever arrived with the host."""


def read_record(folder: Path) -> dict[str, Any] | None:
    """What pulled.json in a job's folder says; None while nothing was downloaded."""
    try:
        return dict(json.loads((folder / PULLED).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None


def is_of(record: Mapping[str, Any] | None, note: Mapping[str, Any]) -> bool:
    """Whether a pulled.json is of the attempt that `note` names."""
    return record is not None and all(record.get(key) == value for key, value in note.items())


def note_of(job: LedgerJob) -> dict[str, Any]:
    """What names the attempt that counts, for pulled.json."""
    return {"job": job.job, "host": job.host, "attempt": job.attempt, "spec_sha256": job.spec_sha256}


def _record_text(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=1, sort_keys=True) + "\n"
