"""`sync --list`, `--restore` and `--prune`: an actor's history here, without any host.

Opens no session and asks nobody; prints nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from being_remote.backup.history import History
from being_remote.backup.prune import marked, prune
from being_remote.backup.restore import readable, refused, restore, without
from being_remote.backup.snapshots import Snapshot, SnapshotChange, change, survey
from being_remote.durable_files import NamedPaths, room_on_disk
from being_remote.errors import NotFoundError
from being_remote.inventory import Inventory
from being_remote.session import OnProgress, no_progress
from being_remote.sync.run_change import same_camera
from being_remote.sync.sync_pass import tracker_judge
from being_remote.sync.sync_report import QuarantineRow, quarantine_row
from being_remote.transfer.stored_file import StoredFile


@dataclass(frozen=True)
class SnapshotsReport:
    """Every snapshot of an actor's backup.

    Attributes:
        folder: the backup on this laptop.
        live: the snapshot that the live files show.
        generations: oldest first.
        unreadable: damaged manifests.
        unsaved: live files that are in no snapshot yet; the next sync takes them in.
        history_bytes: the disk that all of the history takes.
        old_bytes: how much of it only snapshots need that are not live.
        orphan_bytes: how much of it no snapshot needs.
    """

    actor: str
    folder: Path
    live: int | None
    generations: tuple[Snapshot, ...]
    unreadable: tuple[Path, ...]
    unsaved: int
    history_bytes: int
    old_bytes: int
    orphan_bytes: int

    @property
    def exit_code(self) -> int:
        """6 when a manifest is damaged."""
        return 6 if self.unreadable else 0


@dataclass(frozen=True)
class RestoreReport:
    """What a restore did, or with `dry_run` would do.

    Attributes:
        restored: the snapshot asked for.
        snapshot: the snapshot that is live now; with `dry_run` the one that is live.
        before: the snapshot that was live; restoring it undoes this.
        files, bytes: what is live afterwards.
        change: from what was live.
        adopted: how many live files were taken into the history first.
        quarantined: its files that are not what their names say: a sound live version of the same run
            stays, else there is none; `kept_as` is where they lie in the history.
        warnings: what else a person should know.
    """

    actor: str
    folder: Path
    restored: int
    snapshot: int | None
    before: int | None
    files: int
    bytes: int
    change: SnapshotChange
    adopted: int
    dry_run: bool
    warnings: tuple[str, ...] = ()
    quarantined: tuple[QuarantineRow, ...] = ()

    @property
    def exit_code(self) -> int:
        """6 when a file was refused; what cannot be restored at all is an error."""
        return 6 if self.quarantined and not self.dry_run else 0


@dataclass(frozen=True)
class PruneReport:
    """What was removed, or with `dry_run` would be: whole snapshots, and contents that only they had.

    `damaged` are manifests that cannot be read: they stay, and all that they seem to name.
    """

    actor: str
    folder: Path
    kept: tuple[int, ...]
    removed: tuple[int, ...]
    contents: int
    bytes: int
    dry_run: bool
    damaged: tuple[Path, ...] = ()

    @property
    def exit_code(self) -> int:
        """6 when a manifest is damaged."""
        return 6 if self.damaged else 0


def list_snapshots(inventory: Inventory, *, actor: str | None = None) -> SnapshotsReport:
    """Tell an actor's snapshots.

    Args:
        inventory: who is who.
        actor: its name; default: the only one.

    Raises:
        UsageError: the actor is unknown.
        NotFoundError: nothing of it came home yet.
        DataError: a link lies in the backup.
    """
    name, history = _history(inventory, actor)
    seen = survey(history)
    return SnapshotsReport(
        actor=name,
        folder=history.root,
        live=history.shown(),
        generations=seen.snapshots,
        unreadable=seen.unreadable,
        unsaved=seen.unsaved,
        history_bytes=seen.history_bytes,
        old_bytes=seen.old_bytes,
        orphan_bytes=seen.orphan_bytes,
    )


def restore_snapshot(
    inventory: Inventory,
    number: int,
    *,
    actor: str | None = None,
    dry_run: bool = False,
    on_progress: OnProgress = no_progress,
) -> RestoreReport:
    """Make an earlier snapshot live again, as a new one.

    Args:
        inventory: who is who.
        snapshot: its number.
        actor: its name; default: the only one.
        dry_run: only read it, and say what would change.
        on_progress: told how far it is.

    Raises:
        UsageError: the actor is unknown; a sync of it is at work.
        NotFoundError: there is no such snapshot.
        DataError: its contents are not whole, or the disk is full; nothing was changed.
    """
    name, history = _history(inventory, actor)
    numbers = history.snapshot_numbers()
    if number not in numbers:
        raise NotFoundError(
            f"there is no snapshot {number}; known are: {_spans(numbers)}",
            where=str(history.root),
            hint="`sync --list` shows them",
        )
    if dry_run:
        return _would_restore(name, history, number, on_progress)

    def is_same_run(live: Mapping[str, StoredFile], wanted: Mapping[str, StoredFile]) -> bool:
        return same_camera(_contents(history, live), _contents(history, wanted))

    with room_on_disk(history.root), history.lock():
        done = restore(history, readable(history, number, on_progress), tracker_judge(), is_same_run)
    before = done.settled.manifest
    return RestoreReport(
        actor=name,
        folder=history.root,
        restored=number,
        snapshot=done.manifest.number,
        before=before.number if before is not None else None,
        files=len(done.manifest.files),
        bytes=sum(entry.bytes for entry in done.manifest.files.values()),
        change=done.change,
        adopted=len(done.settled.adopted),
        dry_run=False,
        warnings=_said(done.manifest.host),
        quarantined=tuple(map(quarantine_row, done.refused)),
    )


def _would_restore(name: str, history: History, number: int, on_progress: OnProgress) -> RestoreReport:
    wanted = readable(history, number, on_progress)
    shown = history.shown()
    live = next((made.files for made in history.readable() if made.number == shown), {})
    bad = refused(history, live, wanted.files, tracker_judge())
    same_run = bool(bad) and same_camera(_contents(history, live), _contents(history, wanted.files))
    files = without(wanted.files, bad, live, same_run=same_run)
    return RestoreReport(
        actor=name,
        folder=history.root,
        restored=number,
        snapshot=shown,
        before=shown,
        files=len(files),
        bytes=sum(entry.bytes for entry in files.values()),
        change=change(live, files),
        adopted=survey(history).unsaved,
        dry_run=True,
        warnings=_said(wanted.host),
        quarantined=tuple(map(quarantine_row, bad)),
    )


def _contents(history: History, files: Mapping[str, StoredFile]) -> NamedPaths:
    return NamedPaths(files.keys(), lambda path: history.object(files[path].sha256))


def prune_snapshots(
    inventory: Inventory,
    keep: int,
    *,
    actor: str | None = None,
    dry_run: bool = False,
    force: bool = False,
) -> PruneReport:
    """Remove all but the newest snapshots, and what only they needed; the live one always stays.

    Args:
        inventory: who is who.
        keep: how many to keep, at least 1.
        actor: its name; default: the only one.
        dry_run: only say what would go.
        force: also where the newest one holds under half of the frames of one that goes.

    Raises:
        UsageError: the actor is unknown; `keep` is 0; a sync of it is at work.
        NotFoundError: nothing of it came home yet.
        DataError: the newest snapshot holds too few frames; nothing was removed.
    """
    name, history = _history(inventory, actor)
    if dry_run:
        pruning = marked(history, keep, force=force)
    else:
        with history.lock():
            pruning = marked(history, keep, force=force)
            prune(history, pruning)
    return PruneReport(
        actor=name,
        folder=history.root,
        kept=pruning.kept,
        removed=pruning.removed,
        contents=len(pruning.contents),
        bytes=pruning.bytes,
        dry_run=dry_run,
        damaged=pruning.damaged,
    )


def _history(inventory: Inventory, actor: str | None) -> tuple[str, History]:
    """The history of an actor that has one."""
    who = inventory.the_actor(actor)
    history = History(inventory.backup_of(who))
    if not history.snapshot_numbers():
        raise NotFoundError(
            f"nothing of actor {who.name} came home yet",
            where=str(history.root),
            hint="sync first; a backup made by hand gets a history by that, too",
        )
    return who.name, history


def _said(host: str | None) -> tuple[str, ...]:
    """What a restore does not change: the host still has its own files, and they are news again."""
    whose = host if host is not None else "the host"
    return (
        f"the next sync, and at once a --watch that is at work, brings home again what {whose} has otherwise,"
        " and makes it live; this snapshot stays in the history",
    )


def _spans(numbers: list[int]) -> str:
    """Numbers as few words.

    Example:
        >>> _spans([0, 1, 2, 5])
        '0 to 2, 5'
    """
    spans: list[list[int]] = []
    for n in numbers:
        if spans and n == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], n]
        else:
            spans.append([n])
    return ", ".join(" to ".join(map(str, span)) for span in spans)
