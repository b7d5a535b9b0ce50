"""Host and backup as a sync left them: while neither has changed, the next sync has nothing to do.

Both are remembered as a digest of everything by which a sync tells a change: names, sizes, both times
and inodes. It is kept only where every file of the host was hashed over there after its last change,
so that nothing can hide behind it. A memory and no more: if it is lost, the next sync looks at each
file. One program looks at both sides; here, too, in a process of its own: in ours it would keep the
question to the host waiting for the interpreter.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from being_remote.backup.current import TOPS
from being_remote.backup.files import write_whole
from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.errors import HostError
from being_remote.inventory import LocalHost
from being_remote.transport.local import LocalSession
from being_remote.workflows.homecoming.actor_files import Task, folders_of
from being_remote.workflows.homecoming.host_files import DIGEST_ALONE, Folder, ask, digest_of
from being_remote.workflows.homecoming.report import Seen, Some, SyncReport, from_home


class Standstill(BaseModel):
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
        left = history.generations()[-1:] == [self.generation] and history.shown() == self.generation
        return left and not history.fetching.exists() and _look(history, unless=self.home) == self.home

    def report(self, task: Task) -> SyncReport:
        """What a sync says that found nothing to do."""
        return replace(
            from_home(task, None, ()),
            files=self.files,
            bytes=self.bytes,
            snapshot=self.generation,
            vanished=Some(self.vanished, self.examples),
            warnings=self.warnings,
        )


def recall(history: History, task: Task) -> Standstill | None:
    """What was remembered for this question to this host."""
    try:
        return Standstill.model_validate_json(_file(history, task).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def remember(history: History, task: Task, digest: str, seen: Seen, live: Manifest | None) -> None:
    """Remember this state, in which every file here has the host's own hash, and that one is certain.

    Args:
        history: the backup, which shows `live`.
        task: what was asked.
        digest: of the host's listing.
        seen: what there was to say of it.
        live: the newest generation.
    """
    home = _look(history, unless=DIGEST_ALONE)
    if home is None or live is None:
        return
    still = Standstill(
        listing=digest,
        home=home,
        generation=live.generation,
        files=seen.files,
        bytes=seen.bytes,
        vanished=seen.gone.count,
        examples=seen.gone.examples,
        warnings=seen.warnings,
    )
    file = _file(history, task)
    file.parent.mkdir(exist_ok=True)
    write_whole(file, still.model_dump_json().encode(), scratch=history.scratch)


def _look(history: History, *, unless: str) -> str | None:
    """The digest of the live tree's listing; None where this machine could not be asked."""
    here = LocalHost.model_validate({"name": "this-machine", "workdir": "/"})
    root = PurePosixPath(history.root)
    # Our other folders lie beside the live ones, so each of these is asked for by name.
    folders = [Folder(root, root, "*", recursive=False)]
    folders += [Folder(root, root / top, "*", recursive=True) for top in TOPS]
    try:
        return digest_of(ask(LocalSession(here), sys.executable, folders, unless=unless))
    except HostError:
        return None  # the whole sync looks for itself


def _file(history: History, task: Task) -> Path:
    asked = [[str(f.top), str(f.path), f.pattern, f.recursive] for f in folders_of(task)]
    homes = [[place.kind, place.home, place.home_name] for place in task.places]
    key = hashlib.sha256(json.dumps([task.host.name, asked, homes]).encode()).hexdigest()
    return history.folder / "known" / f"{key[:16]}.still"
