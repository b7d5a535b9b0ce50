"""`push`: a new actor's video and identity onto a host, or a whole checkout of the tracker.

What is to be sent is checked here before any host is asked. On the host nothing is ever overwritten,
and everything is compared by hash before it takes its place; see `pushing.files`.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from being_remote.inventory import Inventory
from being_remote.push.actor_input import actor_input, push_actor, tracker_root
from being_remote.push.tracker_checkout import checkout_at
from being_remote.session import OnProgress, no_progress
from being_remote.transfer.staged_upload import UploadResult, push_files
from being_remote.transport import open_session


@dataclass(frozen=True)
class PushedFolder:
    """One folder's files: the tracker's checkout, or an actor's input.

    Attributes:
        what: "tracker" or "actor".
        source: the checkout here, or the actor's name.
        into: the folder on the host.
        files, bytes: all that were to be there.
        already: of the files, those that were there with the same bytes.
        transferred_files, transferred_bytes: what travelled; in a dry run, what would.
        verified: files there whose hash, made there, is the one made here.
        method: "rsync" or "stream"; None where nothing was sent.
        notes: what a person should know.
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
        """0: whatever did not go well was raised."""
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
    """Put an actor's input, a checkout of the tracker, or both onto a host.

    Args:
        inventory: hosts and actors.
        actor: whose; default: the only one, and none where only a tracker is pushed.
        host: where to; default: the only one.
        tracker: a checkout here, with its model files, for the host's `tracker.root`.
        dry_run: change nothing here or there; say what would be sent.
        on_progress: told how far it is.

    Raises:
        UsageError: unknown names, several to choose from, or a host without `tracker:`.
        NotFoundError: the video or the checkout is not here, or not whole.
        DataError: a file here is not what it should be, or something else stands in its place there.
        HostError: no session, no answer, or the disk over there refused; the next push goes on.
    """
    started = time.monotonic()
    where = inventory.the_host(host)
    who = inventory.the_actor(actor) if actor is not None or tracker is None else None
    root = tracker_root(inventory, where)
    given = actor_input(inventory, who) if who is not None else None
    checkout = checkout_at(tracker, inventory) if tracker is not None else None
    parts = []
    with ExitStack() as held:
        session = held.enter_context(open_session(where, inventory, remember=not dry_run))
        if checkout is not None:
            placed = push_files(
                session, where, checkout.files, root, dry_run=dry_run, on_progress=on_progress
            )
            parts.append(_part("tracker", str(tracker), placed, checkout.notes, dry_run=dry_run))
        if who is not None:
            placed = push_actor(
                inventory, session, where, who, given=given, dry_run=dry_run, on_progress=on_progress
            )
            parts.append(_part("actor", who.name, placed, (), dry_run=dry_run))
        round_trips = session.round_trips
    return PushReport(
        host=where.name,
        actor=who.name if who is not None else None,
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


def _part(
    what: Literal["tracker", "actor"],
    source: str,
    placed: UploadResult,
    notes: tuple[str, ...],
    *,
    dry_run: bool,
) -> PushedFolder:
    return PushedFolder(
        what=what,
        source=source,
        into=placed.into,
        files=placed.files,
        bytes=placed.bytes,
        already=placed.already,
        transferred_files=placed.to_send_files if dry_run else placed.transferred_files,
        transferred_bytes=placed.to_send_bytes if dry_run else placed.transferred_bytes,
        verified=placed.already if dry_run else placed.files,
        method=placed.method,
        notes=(*notes, *placed.notes),
    )
