"""The quarantine of a backup: torn and unsafe files, each with a note, never mixed with good ones.

By the note, a file that is still the same on the host is not downloaded again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from being_remote.backup_paths import BackupPaths
from being_remote.durable_files import sync_file, sync_folder, write_whole
from being_remote.local_path import shown_path
from being_remote.strict_model import StrictModel
from being_remote.transfer.checked_files import CheckedFile

NOTE = ".why.json"
# Of a whole file that the host had rewritten before it could be compared: it is not torn, so it does
# not keep the same bytes from coming again.
REWRITTEN_NOTE = ".rewritten.json"


@dataclass(frozen=True)
class QuarantinedFile:
    """One file that did not become live, and why. `kept_as` is None for a refused name."""

    path: str
    reason: str
    kept_as: Path | None = None
    bytes: int = 0
    mtime_ns: int = 0
    sha256: str = ""


class _QuarantineNote(StrictModel):
    path: str
    path_b64: str | None
    reason: str
    bytes: Annotated[int, Field(ge=0)]
    mtime_ns: int
    sha256: str


def quarantine_file(
    paths: BackupPaths,
    file: Path,
    *,
    path: str,
    sha256: str,
    bytes: int,
    mtime_ns: int,
    reason: str,
    suffix: str = NOTE,
) -> QuarantinedFile:
    """Move `file` into quarantine, durably; the note is written first: none lies there unexplained."""
    if not paths.quarantine.is_dir():
        paths.quarantine.mkdir()
        sync_folder(paths.history_folder)
    if stat.S_ISREG(file.lstat().st_mode):
        sync_file(file)
    key = hashlib.sha256(os.fsencode(path) + b"\0" + sha256.encode()).hexdigest()[:12]
    # Only what any file system takes; the exact name is in the note.
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in Path(path).name)
    kept_as = paths.quarantine / f"{stem[:150].lstrip('.-')}.{key}"
    shown, path_b64 = shown_path(path)
    note = _QuarantineNote(
        path=shown, path_b64=path_b64, reason=reason, bytes=bytes, mtime_ns=mtime_ns, sha256=sha256
    )
    write_whole(
        kept_as.with_name(kept_as.name + suffix),
        json.dumps(note.model_dump(), indent=1).encode(),
        scratch=paths.scratch,
    )
    os.replace(file, kept_as)
    sync_folder(paths.quarantine)
    return QuarantinedFile(path, reason, kept_as, bytes, mtime_ns, sha256)


def quarantine_checked(
    paths: BackupPaths,
    checked: CheckedFile,
    mtime_ns: int,
    *,
    reason: str | None = None,
    suffix: str = NOTE,
) -> QuarantinedFile:
    """Move a file into quarantine, durably; the note is written first: none lies there unexplained.

    Args:
        paths: the backup.
        checked: the file, and what is wrong with it.
        mtime_ns: the host's time of it, for the note.
        reason: why, where the judge did not say it.
        suffix: of the note's name.
    """
    return quarantine_file(
        paths,
        checked.file,
        path=checked.path,
        sha256=checked.sha256,
        bytes=checked.bytes,
        mtime_ns=mtime_ns,
        reason=reason or checked.problem or "refused",
        suffix=suffix,
    )


def read_quarantine(paths: BackupPaths) -> dict[str, list[QuarantinedFile]]:
    """What lies in quarantine, by path. A note without its file, or a damaged one, is ignored."""
    found: dict[str, list[QuarantinedFile]] = {}
    if not paths.quarantine.is_dir():
        return found
    for file in sorted(paths.quarantine.glob("*" + NOTE)):
        kept_as = file.with_name(file.name.removesuffix(NOTE))
        try:
            note = _QuarantineNote.model_validate_json(file.read_bytes())
        except ValidationError:
            continue
        if kept_as.is_file():
            path = os.fsdecode(base64.b64decode(note.path_b64)) if note.path_b64 else note.path
            aside = QuarantinedFile(path, note.reason, kept_as, note.bytes, note.mtime_ns, note.sha256)
            found.setdefault(path, []).append(aside)
    return found
