"""Host and backup as a sync left them: while neither has changed, the next sync has nothing to do.

Both are remembered as a digest of everything by which a sync tells a change, and more: names, sizes,
both times and inodes. It is kept only where every file of the host was hashed over there after its last
change, so that nothing can hide behind it. A memory and no more: if it is lost, the next sync looks at
each file. One program looks at both sides; here, too, in a process of its own: in ours it would keep the
question to the host waiting for the interpreter.
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
from being_remote.durable_files import write_whole
from being_remote.errors import HostError
from being_remote.inventory import LocalHost
from being_remote.pod_client.listing import FolderQuery, ListedFile, ListingAnswer, ask, digest_of, read_each
from being_remote.sync.file_examples import FileExamples
from being_remote.sync.remote_files import ActorSync, folders_of
from being_remote.sync.sync_report import ListingSummary, SyncReport, from_home
from being_remote.transport.local_session import LocalSession


class LastPass(BaseModel):
    """What host and backup looked like, and what there was to say of them."""

    model_config = ConfigDict(extra="forbid")

    listing: str
    home: str
    generation: int
    files: int
    bytes: int
    vanished: int
    examples: tuple[str, ...]
    warnings: tuple[str, ...]

    def is_home(self, history: History) -> bool:
        """Whether the backup is as it was left."""
        left = history.snapshot_numbers()[-1:] == [self.generation] and history.shown() == self.generation
        if not left or history.fetching.exists():
            return False
        answer = _look(history, unless=self.home)
        return answer is not None and digest_of(answer) == self.home

    def report(self, task: ActorSync) -> SyncReport:
        """What a sync says that found nothing to do."""
        return replace(
            from_home(task, None, ()),
            files=self.files,
            bytes=self.bytes,
            snapshot=self.generation,
            vanished=FileExamples(self.vanished, self.examples),
            warnings=self.warnings,
        )


def recall(history: History, task: ActorSync) -> LastPass | None:
    """What was remembered for this question to this host."""
    try:
        return LastPass.model_validate_json(_file(history, task).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def remember(
    history: History, task: ActorSync, digest: str, seen: ListingSummary, live: Manifest | None
) -> None:
    """Remember this state, in which every file here has the host's own hash, and that one is certain.

    Args:
        history: the backup, which shows `live`.
        task: what was asked.
        digest: of the host's listing.
        seen: what there was to say of it.
        live: the newest snapshot.
    """
    home = _as_made(history, live) if live is not None else None
    if home is None or live is None:
        return
    still = LastPass(
        listing=digest,
        home=home,
        generation=live.number,
        files=seen.files,
        bytes=seen.bytes,
        vanished=seen.gone.count,
        examples=seen.gone.examples,
        warnings=seen.warnings,
    )
    file = _file(history, task)
    file.parent.mkdir(exist_ok=True)
    write_whole(file, still.model_dump_json().encode(), scratch=history.scratch)


def _as_made(history: History, live: Manifest) -> str | None:
    """The digest of the live tree, if each of its files looks as `live` says; else None.

    It was put in order when the sync began: what a person changed since must not pass for how it was left.
    """
    answer, alike, other = _look(history), 0, 0

    def take(folder: int, file: ListedFile) -> None:
        nonlocal alike, other
        name = os.fsdecode(file.name)
        if name.rpartition("/")[2] in LITTER or (folder == 0 and name not in LIVE_PARTS):
            return
        entry = live.files.get(name if folder == 0 else f"{LIVE_PARTS[folder - 1]}/{name}")
        same = entry is not None and (entry.bytes, entry.mtime_ns) == (file.bytes, file.mtime_ns)
        alike, other = alike + same, other + (not same)

    if answer is None:
        return None
    digest = read_each(answer, take).digest
    return digest if not other and alike == len(live.files) else None


def _look(history: History, *, unless: str | None = None) -> ListingAnswer | None:
    """The listing of the live tree; None where this machine could not be asked."""
    here = LocalHost.model_validate({"name": "this-machine", "workdir": "/"})
    root = PurePosixPath(history.root)
    # Our other folders lie beside the live ones, so each of these is asked for by name.
    folders = [FolderQuery(root, root, "*", recursive=False)]
    folders += [FolderQuery(root, root / top, "*", recursive=True) for top in LIVE_PARTS]
    try:
        return ask(LocalSession(here), sys.executable, folders, unless=unless)
    except (HostError, OSError):  # no shell, no home folder: the whole sync looks for itself
        return None


def _file(history: History, task: ActorSync) -> Path:
    asked = [[str(f.top), str(f.path), f.pattern, f.recursive] for f in folders_of(task)]
    homes = [[place.kind, place.home, place.home_name] for place in task.places]
    key = hashlib.sha256(json.dumps([task.host.name, asked, homes]).encode()).hexdigest()
    return history.known_hashes / f"{key[:16]}.still"
