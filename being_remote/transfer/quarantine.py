"""The quarantine: torn and unsafe files, each with a note, never mixed with good ones.

A backup has one, and so has each job's results. By the note, a sync does not download a file again that is
still the same on the host.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from being_remote.backup_paths import BackupPaths
from being_remote.durable_files import copy_apart, stat_plain, sync_file, sync_folder, write_whole
from being_remote.local_path import shown_path
from being_remote.strict_model import StrictModel
from being_remote.transfer.checked_files import CheckedFile

NOTE = ".why.json"
# Of a whole file that the host had rewritten before it could be compared: it is not torn, so it does
# not keep the same bytes from coming again.
REWRITTEN_NOTE = ".rewritten.json"
# Why a file that was good when it was downloaded is refused.
CORRUPT = "it is corrupt here: its bytes are not those that were downloaded"


@dataclass(frozen=True)
class QuarantinedFile:
    """One file that did not become live, and why. `kept_as` is None where it was not downloaded."""

    path: str
    reason: str
    kept_as: Path | None = None
    bytes: int = 0
    mtime_ns: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class QuarantineRow:
    """The same for a report; `path_b64` is the exact path where that is not UTF-8."""

    path: str
    reason: str
    kept_as: Path | None
    path_b64: str | None = None


def quarantine_row(file: QuarantinedFile) -> QuarantineRow:
    path, path_b64 = shown_path(file.path)
    return QuarantineRow(path, file.reason, file.kept_as, path_b64)


class _QuarantineNote(StrictModel):
    path: str
    path_b64: str | None
    reason: str
    bytes: Annotated[int, Field(ge=0)]
    mtime_ns: int
    sha256: str


class Quarantine:
    """The refused files in `folder`, which is made when the first is kept.

    `scratch` is a path on the same disk, for one process at a time.
    """

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder, self._scratch = folder, scratch

    def keep(self, checked: CheckedFile, mtime_ns: int, *, reason: str | None = None) -> QuarantinedFile:
        """Move a file into quarantine, durably. Each version of a file is kept once.

        Args:
            checked: the file, and what is wrong with it.
            mtime_ns: the host's time of it, for the note.
            reason: why, where the judge did not say it.
        """
        return self._keep(checked, mtime_ns, reason or checked.problem or "refused", NOTE)

    def keep_rewritten(self, checked: CheckedFile, mtime_ns: int) -> None:
        """Keep a copy of a whole file that the host has rewritten since; it is still needed where it lies."""
        why = "whole; the host had rewritten it before it could be compared"
        self._keep(checked, mtime_ns, why, REWRITTEN_NOTE, copy=True)

    def _keep(
        self, checked: CheckedFile, mtime_ns: int, reason: str, suffix: str, *, copy: bool = False
    ) -> QuarantinedFile:
        """Move or copy the file; the note is written first: none lies there unexplained."""
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True)
            sync_folder(self.folder.parent)
        key = hashlib.sha256(os.fsencode(checked.path) + b"\0" + checked.sha256.encode()).hexdigest()[:12]
        # Only what any file system takes; the exact name is in the note.
        name = checked.path.rpartition("/")[2]
        stem = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
        kept_as = self.folder / f"{stem[:150].lstrip('.-') or 'file'}.{key}"
        kept = QuarantinedFile(checked.path, reason, kept_as, checked.bytes, mtime_ns, checked.sha256)
        shown, path_b64 = shown_path(kept.path)
        note = _QuarantineNote(
            path=shown,
            path_b64=path_b64,
            reason=reason,
            bytes=kept.bytes,
            mtime_ns=mtime_ns,
            sha256=kept.sha256,
        )
        text = json.dumps(note.model_dump(), indent=1).encode()
        write_whole(kept_as.with_name(kept_as.name + suffix), text, scratch=self._scratch)
        file = checked.file
        if copy:
            copy_apart(file, self._scratch)
            file = self._scratch
        if stat_plain(file) is not None:
            sync_file(file)
        os.replace(file, kept_as)
        sync_folder(self.folder)
        return kept

    def read(self) -> dict[str, list[QuarantinedFile]]:
        """What lies in quarantine, by path. A note without its file, or a damaged one, is ignored."""
        found: dict[str, list[QuarantinedFile]] = {}
        for file in sorted(self.folder.glob("*" + NOTE)):
            kept_as = file.with_name(file.name.removesuffix(NOTE))
            try:
                note = _QuarantineNote.model_validate_json(file.read_bytes())
            except ValidationError:
                continue
            if kept_as.is_file():
                path = os.fsdecode(base64.b64decode(note.path_b64)) if note.path_b64 else note.path
                kept = QuarantinedFile(path, note.reason, kept_as, note.bytes, note.mtime_ns, note.sha256)
                found.setdefault(path, []).append(kept)
        return found


def quarantine_of(paths: BackupPaths) -> Quarantine:
    """The quarantine of a backup."""
    return Quarantine(paths.quarantine, paths.scratch)
