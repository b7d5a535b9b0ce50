"""Source pictures and videos of an actor on a host: can they be had again without it?

Pictures in `source/` are cut from the video beside them, so they are no loss where that very video is local.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from being_remote.backup.history import History
from being_remote.inventory import Actor, Inventory
from being_remote.safe_to_stop.local_copies import lacking
from being_remote.safe_to_stop.reasons import NOT_HASHED, Reason, RequiredFile, named
from being_remote.sync.remote_files import ActorSync
from being_remote.tracker import layout
from being_remote.transfer.quarantine import kept


@dataclass(frozen=True)
class OriginalFiles:
    """An actor's original on this laptop, by the inventory: a video, or a folder of its pictures."""

    files: tuple[Path, ...]

    @property
    def sizes(self) -> frozenset[int]:
        """The sizes of these files."""
        return frozenset(file.stat().st_size for file in self.files)

    def lacking(self, files: Iterable[RequiredFile]) -> list[RequiredFile]:
        """Those of a host's files whose bytes are in none of these."""
        wanted = list(files)
        sizes = {file.bytes for file in wanted}
        here = {_sha256(file) for file in self.files if file.stat().st_size in sizes}
        return [file for file in wanted if file.sha256 not in here]


def originals(actor: Actor) -> OriginalFiles:
    """The actor's originals that are there."""
    if actor.video is None:
        return OriginalFiles(())
    files = sorted(actor.video.iterdir()) if actor.video.is_dir() else [actor.video]
    return OriginalFiles(tuple(file for file in files if file.is_file()))


def source_reasons(
    inventory: Inventory, task: ActorSync, files: Sequence[RequiredFile]
) -> tuple[list[Reason], list[str], list[RequiredFile]]:
    """(Why they speak against a stop, what is worth saying, which are not local).

    Args:
        inventory: whose backups hold copies.
        task: whose files, asked for the kind `sources` only.
        files: what the host has of them, with their hashes.
    """
    name, host = task.actor.name, task.host.name
    unread = [file for file in files if file.sha256 is None]
    left = originals(task.actor).lacking(file for file in files if file.sha256 is not None)
    for actor in inventory.actors.values():
        left = lacking(History(inventory.backup_of(actor)), left, by_path=False)
    refused = {aside.sha256 for asides in kept(History(task.root)).values() for aside in asides} - {
        NOT_HASHED
    }
    left = [file for file in left if file.sha256 not in refused]  # torn there, too: the same bytes are kept
    videos = [file for file in files if os.path.basename(file.path) == layout.VIDEO]
    pictures = [file for file in left if file not in videos]
    if pictures and any(video not in left and video not in unread for video in videos):
        note = f"{named(pictures)} of {name} not local; they can be cut again from their video, which is"
        return [], [note], []
    cut = any(file not in videos for file in files)
    missing = pictures if cut else left
    reasons = []
    if missing:
        what = f"{named(missing)} of {name} not local, and no video here that they can be cut from again"
        if not cut:
            what = f"{named(missing)} of {name} not local"
        next_step = f"sync --actor {name} --host {host} --only sources"
        reasons.append(Reason("files", "no", what, next_step))
    if unread:
        what = f"{named(unread)} of {name} could not be read on {host}, or changed while we looked"
        reasons.append(Reason("files", "unknown", what, f"look at them on {host}, then try again"))
    return reasons, [], [*missing, *unread]


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with open(file, "rb") as data:
        while chunk := data.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
