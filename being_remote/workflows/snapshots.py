"""`sync --list`, `--restore` and `--prune`: the history of an actor's backup, without any host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from being_remote.backup.history import History
from being_remote.backup.prune import plan_pruning, prune
from being_remote.backup.restore import choose_files, read_verified, restore
from being_remote.backup.snapshots import SnapshotChange, compare_snapshots, survey_snapshots
from being_remote.backup.snapshots import SnapshotsReport as SnapshotsReport
from being_remote.backup_sync.run_change import same_camera
from being_remote.backup_sync.sync_pass import tracker_judge
from being_remote.durable_files import NamedPaths, room_on_disk
from being_remote.errors import NotFoundError
from being_remote.inventory import Inventory
from being_remote.local_lock import AT_ONCE, LockRequest
from being_remote.session import OnProgress, no_progress
from being_remote.transfer.checked_files import StoredFile
from being_remote.transfer.quarantine import QuarantineRow, quarantine_row


@dataclass(frozen=True)
class RestoreReport:
    """What a restore did, or with `dry_run` would do.

    Attributes:
        restored: the snapshot asked for.
        snapshot: the one that is live now.
        before: the one that was live; restoring it undoes this.
        files, bytes: what is live afterwards.
        change: from what was live.
        adopted: how many live files were saved into the history first.
        quarantined: its invalid files: a valid live version of the same run stays, else there is none;
            `kept_as` is where they lie in the history.
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
        """6 when a file was refused."""
        return 6 if self.quarantined and not self.dry_run else 0


@dataclass(frozen=True)
class PruneReport:
    """What was removed, or with `dry_run` would be: snapshots, and contents that only they need.

    `damaged` are corrupt manifests: they stay, and all that they seem to name.
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
        """6 when a manifest is corrupt."""
        return 6 if self.damaged else 0


def list_snapshots(inventory: Inventory, *, actor: str | None = None) -> SnapshotsReport:
    """List an actor's snapshots; `actor` may be left out where there is only one.

    Raises:
        UsageError: the actor is unknown.
        NotFoundError: it has no backup yet.
        DataError: a link lies in the backup.
    """
    return survey_snapshots(*_find_history(inventory, actor))


def restore_snapshot(
    inventory: Inventory,
    number: int,
    *,
    actor: str | None = None,
    dry_run: bool = False,
    on_progress: OnProgress = no_progress,
    lock: LockRequest = AT_ONCE,
) -> RestoreReport:
    """Make an earlier snapshot live again, as a new one.

    Args:
        actor: its name; default: the only one.
        dry_run: only read it, and report what would change.
        lock: how long to wait for another command that holds the backup.

    Raises:
        UsageError: the actor is unknown.
        Busy: a sync of it is running.
        NotFoundError: the snapshot does not exist.
        DataError: its contents are not whole, or the disk is full; nothing was changed.
    """
    name, history = _find_history(inventory, actor)
    numbers = history.snapshot_numbers()
    if number not in numbers:
        raise NotFoundError(
            f"snapshot {number} does not exist; the snapshots are: {_list_numbers(numbers)}",
            where=str(history.root),
            hint="`sync --list` shows them",
        )

    def is_same_run(live: Mapping[str, StoredFile], wanted: Mapping[str, StoredFile]) -> bool:
        return same_camera(_contents(history, live), _contents(history, wanted))

    if dry_run:
        wanted = read_verified(history, number, on_progress)
        snapshot = before = history.shown()
        live = next((made.files for made in history.readable() if made.number == before), {})
        files, refused = choose_files(history, live, wanted.files, tracker_judge(), is_same_run)
        change, adopted = compare_snapshots(live, files), survey_snapshots(name, history).unsaved
        host = wanted.host
    else:
        with room_on_disk(history.root), history.lock(lock):
            wanted = read_verified(history, number, on_progress)
            done = restore(history, wanted, tracker_judge(), is_same_run)
        earlier = done.settled.manifest
        snapshot, before = done.manifest.number, earlier.number if earlier is not None else None
        files, refused, change = done.manifest.files, done.refused, done.change
        adopted, host = len(done.settled.adopted), done.manifest.host
    return RestoreReport(
        actor=name,
        folder=history.root,
        restored=number,
        snapshot=snapshot,
        before=before,
        files=len(files),
        bytes=sum(entry.bytes for entry in files.values()),
        change=change,
        adopted=adopted,
        dry_run=dry_run,
        warnings=(
            # A restore does not change the host's own files.
            f"the next sync, or a --watch that runs now, brings back what {host or 'the host'} has otherwise"
            " and makes it live; this snapshot stays in the history",
        ),
        quarantined=tuple(map(quarantine_row, refused)),
    )


def prune_snapshots(
    inventory: Inventory,
    keep: int,
    *,
    actor: str | None = None,
    dry_run: bool = False,
    force: bool = False,
    lock: LockRequest = AT_ONCE,
) -> PruneReport:
    """Remove all but the newest snapshots, and what only they need; the live one always stays.

    Args:
        keep: how many to keep, at least 1.
        actor: its name; default: the only one.
        dry_run: only report what would be removed.
        force: also where the newest one holds under half of the frames of one that is removed.
        lock: how long to wait for another command that holds the backup.

    Raises:
        UsageError: the actor is unknown; `keep` is 0.
        Busy: a sync of it is running.
        NotFoundError: it has no backup yet.
        DataError: the newest snapshot holds too few frames; nothing was removed.
    """
    name, history = _find_history(inventory, actor)
    if dry_run:
        pruning = plan_pruning(history, keep, force=force)
    else:
        with history.lock(lock):
            pruning = plan_pruning(history, keep, force=force)
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


def _find_history(inventory: Inventory, actor: str | None) -> tuple[str, History]:
    """The name and the history of an actor that has one."""
    chosen = inventory.the_actor(actor)
    history = History(inventory.backup_of(chosen))
    if not history.snapshot_numbers():
        raise NotFoundError(
            f"actor {chosen.name} has no snapshots yet",
            where=str(history.root),
            hint="run sync first; it adopts a backup made by hand, too",
        )
    return chosen.name, history


def _contents(history: History, files: Mapping[str, StoredFile]) -> NamedPaths:
    return NamedPaths(files.keys(), lambda path: history.object(files[path].sha256))


def _list_numbers(numbers: list[int]) -> str:
    """Numbers as few words.

    Example:
        >>> _list_numbers([0, 1, 2, 5])
        '0 to 2, 5'
    """
    spans: list[list[int]] = []
    for n in numbers:
        if spans and n == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], n]
        else:
            spans.append([n])
    return ", ".join(" to ".join(map(str, span)) for span in spans)
