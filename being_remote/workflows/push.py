"""`push`: upload a new actor's video and identity, or a whole checkout of the tracker.

All files are checked before a host is asked. On the host nothing is overwritten, and every file is verified
by hash before it takes its place; see `transfer.staged_upload`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from being_remote.inventory import Inventory
from being_remote.push.actor_input import find_actor_input, push_actor, tracker_root
from being_remote.push.tracker_checkout import read_checkout
from being_remote.session import OnProgress, no_progress
from being_remote.transfer.staged_upload import UploadResult, push_files
from being_remote.transport import open_session


@dataclass(frozen=True)
class PushedFolder:
    """One folder's files: the tracker's checkout, or an actor's input.

    Attributes:
        source: the local checkout, or the actor's name.
        into: the folder on the host.
        files, bytes: all that belong there.
        already: files that were there with the same bytes.
        transferred_files, transferred_bytes: sent now; in a dry run, to be sent.
        verified: files whose remote hash equals the local one.
        method: "rsync" or "stream"; None where nothing was sent.
    """

    what: Literal["tracker", "actor"]
    source: str
    into: PurePosixPath
    files: int
    bytes: int
    already: int
    transferred_files: int
    transferred_bytes: int
    verified: int
    method: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PushReport:
    """What `push` did; the figures are sums over `parts`."""

    host: str
    actor: str | None
    tracker: Path | None
    parts: tuple[PushedFolder, ...]
    files: int
    bytes: int
    transferred_files: int
    transferred_bytes: int
    verified: int
    seconds: float
    round_trips: int
    dry_run: bool

    @property
    def exit_code(self) -> int:
        """0: every failure is raised."""
        return 0


def push(
    inventory: Inventory,
    *,
    actor: str | None = None,
    host: str | None = None,
    tracker: Path | None = None,
    dry_run: bool = False,
    on_progress: OnProgress = no_progress,
) -> PushReport:
    """Upload an actor's input, a checkout of the tracker, or both.

    Args:
        actor: default: the only one, and none where only a tracker is pushed.
        host: default: the only one.
        tracker: a local checkout, with its model files, for the host's `tracker.root`.
        dry_run: change nothing, local or remote; say what would be sent.

    Raises:
        UsageError: unknown names, several to choose from, or a host without `tracker:`.
        NotFoundError: the video or the checkout is missing or incomplete.
        DataError: a local file cannot be read, or the host has another file in its place.
        HostError: no session, no answer, or the remote disk refused; the next push resumes.
    """
    started = time.monotonic()
    to_host = inventory.the_host(host)
    of_actor = inventory.the_actor(actor) if actor is not None or tracker is None else None
    root = tracker_root(inventory, to_host)
    found = find_actor_input(inventory, of_actor) if of_actor is not None else None
    checkout = read_checkout(tracker, inventory) if tracker is not None else None
    parts = []
    with open_session(to_host, inventory, remember=not dry_run) as session:
        if checkout is not None:
            uploaded = push_files(
                session, to_host, checkout.files, root, dry_run=dry_run, on_progress=on_progress
            )
            parts.append(_pushed_folder("tracker", str(tracker), uploaded, checkout.notes, dry_run=dry_run))
        if of_actor is not None:
            uploaded = push_actor(
                inventory, session, to_host, of_actor, found=found, dry_run=dry_run, on_progress=on_progress
            )
            parts.append(_pushed_folder("actor", of_actor.name, uploaded, (), dry_run=dry_run))
        round_trips = session.round_trips
    return PushReport(
        host=to_host.name,
        actor=of_actor.name if of_actor is not None else None,
        tracker=tracker,
        parts=tuple(parts),
        files=sum(p.files for p in parts),
        bytes=sum(p.bytes for p in parts),
        transferred_files=sum(p.transferred_files for p in parts),
        transferred_bytes=sum(p.transferred_bytes for p in parts),
        verified=sum(p.verified for p in parts),
        seconds=time.monotonic() - started,
        round_trips=round_trips,
        dry_run=dry_run,
    )


def _pushed_folder(
    what: Literal["tracker", "actor"],
    source: str,
    uploaded: UploadResult,
    notes: tuple[str, ...],
    *,
    dry_run: bool,
) -> PushedFolder:
    return PushedFolder(
        what=what,
        source=source,
        into=uploaded.into,
        files=uploaded.files,
        bytes=uploaded.bytes,
        already=uploaded.already,
        transferred_files=uploaded.to_send_files if dry_run else uploaded.transferred_files,
        transferred_bytes=uploaded.to_send_bytes if dry_run else uploaded.transferred_bytes,
        verified=uploaded.already if dry_run else uploaded.files,
        method=uploaded.method,
        notes=(*notes, *uploaded.notes),
    )
