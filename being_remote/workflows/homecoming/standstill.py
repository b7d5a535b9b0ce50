"""Host and backup as a sync left them: while neither has changed, the next sync has nothing to do.

Both are remembered as a digest of everything by which a sync tells a change: names, sizes, both times
and inodes over there, names, sizes and times here. It is kept only where every file of the host was
hashed over there after its last change, so that nothing can hide behind it. A memory and no more: if
it is lost, the next sync looks at each file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from being_remote.backup.current import looks
from being_remote.backup.files import write_whole
from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.backup.planning import Plan
from being_remote.workflows.homecoming.actor_files import Found, Task, folders_of
from being_remote.workflows.homecoming.report import Some, SyncReport, from_home, from_listing


class Standstill(BaseModel):
    """What host and backup looked like, and what there was to say of them."""

    model_config = ConfigDict(extra="forbid")

    listing: str
    home: str
    files: int
    bytes: int
    vanished: int
    examples: tuple[str, ...]
    warnings: tuple[str, ...]

    def report(self, task: Task, generation: int | None) -> SyncReport:
        """What a sync says that found nothing to do."""
        return replace(
            from_home(task, None, ()),
            files=self.files,
            bytes=self.bytes,
            snapshot=generation,
            vanished=Some(self.vanished, self.examples),
            warnings=self.warnings,
        )


def recall(history: History, task: Task) -> Standstill | None:
    """What was remembered for this question to this host."""
    try:
        return Standstill.model_validate_json(_file(history, task).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def remember(history: History, task: Task, found: Found, live: Manifest | None) -> None:
    """Remember this state, in which every file here has the host's own hash, and that one is certain.

    Args:
        history: the backup, which shows `live`.
        task: what was asked.
        found: what the host has.
        live: the newest generation.
    """
    said = from_listing(task, task.host.name, found, Plan((), (), (), ()), live, ())
    still = Standstill(
        listing=found.digest,
        home=looks(history),
        files=said.files,
        bytes=said.bytes,
        vanished=said.vanished.count,
        examples=said.vanished.examples,
        warnings=said.warnings,
    )
    file = _file(history, task)
    file.parent.mkdir(exist_ok=True)
    write_whole(file, still.model_dump_json().encode(), scratch=history.scratch)


def _file(history: History, task: Task) -> Path:
    asked = [[str(f.top), str(f.path), f.pattern, f.recursive] for f in folders_of(task)]
    homes = [[place.kind, place.home, place.home_name] for place in task.places]
    key = hashlib.sha256(json.dumps([task.host.name, asked, homes]).encode()).hexdigest()
    return history.folder / "known" / f"{key[:16]}.still"
