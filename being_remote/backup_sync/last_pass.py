"""Host and backup as the last pass left them: while neither has changed, the next pass has nothing to do.

Each side is remembered as a digest of names, sizes, both times and inodes, and only where every file of the
host was hashed after its last change, so that no change can hide behind it. If the memory is lost, the next
pass looks at each file. The same program lists both sides; here, too, in a process of its own, since in ours
it would keep the question to the host waiting for the interpreter.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from being_remote.backup.history import History
from being_remote.backup.live_tree import LITTER
from being_remote.backup.manifest import Manifest
from being_remote.backup_paths import LIVE_PARTS
from being_remote.backup_sync.remote_files import ActorSync, folder_queries
from being_remote.backup_sync.sync_report import ListingSummary, SyncReport, report_local
from being_remote.durable_files import write_whole
from being_remote.errors import HostError
from being_remote.pod_client.listing import (
    FolderQuery,
    ListedFile,
    ListingAnswer,
    ask_listing,
    digest_of,
    read_each,
)
from being_remote.session import Session
from being_remote.wording import FileExamples


class LastPass(BaseModel):
    """The two sides after a pass, and its report."""

    model_config = ConfigDict(extra="forbid")

    listing: str
    home: str
    generation: int
    files: int
    bytes: int
    vanished: int
    examples: tuple[str, ...]
    warnings: tuple[str, ...]

    def is_unchanged(self, history: History, this_machine: Session) -> bool:
        """Whether the backup is as it was left."""
        newest = history.snapshot_numbers()[-1:]
        if newest != [self.generation] or history.shown() != self.generation or history.fetching.exists():
            return False
        answer = _list_live_tree(history, this_machine, unless=self.home)
        return answer is not None and digest_of(answer) == self.home

    def report(self, task: ActorSync) -> SyncReport:
        """The report of a pass that finds nothing to do."""
        return replace(
            report_local(task, None, ()),
            files=self.files,
            bytes=self.bytes,
            snapshot=self.generation,
            vanished=FileExamples(self.vanished, self.examples),
            warnings=self.warnings,
        )


def recall_last_pass(history: History, task: ActorSync) -> LastPass | None:
    """What was remembered of the same question to the same host."""
    try:
        return LastPass.model_validate_json(_memory_file(history, task).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def remember_last_pass(
    history: History,
    task: ActorSync,
    this_machine: Session,
    listing: str,
    summary: ListingSummary,
    live: Manifest | None,
) -> None:
    """Remember a state in which every file here has the host's own hash.

    The backup shows `live`; `listing` is the digest of the host's listing.
    """
    digest = _digest_as_committed(history, this_machine, live) if live is not None else None
    if digest is None or live is None:
        return
    last = LastPass(
        listing=listing,
        home=digest,
        generation=live.number,
        files=summary.files,
        bytes=summary.bytes,
        vanished=summary.vanished.count,
        examples=summary.vanished.examples,
        warnings=summary.warnings,
    )
    file = _memory_file(history, task)
    file.parent.mkdir(exist_ok=True)
    write_whole(file, last.model_dump_json().encode(), scratch=history.scratch)


def _digest_as_committed(history: History, this_machine: Session, live: Manifest) -> str | None:
    """The digest of the live tree, if each of its files looks as in `live`; else None.

    What a person changed since the pass began must not be remembered as its result.
    """
    answer, same, different = _list_live_tree(history, this_machine), 0, 0

    def compare(folder: int, file: ListedFile) -> None:
        nonlocal same, different
        name = os.fsdecode(file.name)
        if name.rpartition("/")[2] in LITTER or (folder == 0 and name not in LIVE_PARTS):
            return
        entry = live.files.get(name if folder == 0 else f"{LIVE_PARTS[folder - 1]}/{name}")
        is_same = entry is not None and (entry.bytes, entry.mtime_ns) == (file.bytes, file.mtime_ns)
        same, different = same + is_same, different + (not is_same)

    if answer is None:
        return None
    digest = read_each(answer, compare).digest
    return digest if not different and same == len(live.files) else None


def _list_live_tree(
    history: History, this_machine: Session, *, unless: str | None = None
) -> ListingAnswer | None:
    """The listing of the live tree; None where the program cannot run here."""
    root = PurePosixPath(history.root)
    # Other folders of ours lie beside the live ones, so each of these is asked for by name.
    folders = [FolderQuery(root, root, "*", recursive=False)]
    folders += [FolderQuery(root, root / part, "*", recursive=True) for part in LIVE_PARTS]
    try:
        return ask_listing(this_machine, sys.executable, folders, unless=unless)
    except (HostError, OSError):  # no shell, no home folder: the pass looks at each file itself
        return None


def _memory_file(history: History, task: ActorSync) -> Path:
    asked = [[str(f.top), str(f.path), f.pattern, f.recursive] for f in folder_queries(task)]
    places = [[place.kind, place.home, place.home_name] for place in task.places]
    key = hashlib.sha256(json.dumps([task.host.name, asked, places]).encode()).hexdigest()
    return history.known_hashes / f"{key[:16]}.still"
