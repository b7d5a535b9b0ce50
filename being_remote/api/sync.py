"""`sync()`: download what hosts hold of actors, verified."""

from __future__ import annotations

from typing import overload

from being_remote.api.arguments import InventoryLike, Names, checked, read_inventory, read_names
from being_remote.backup_sync.sync_report import SyncReport, SyncsReport
from being_remote.session import Feedback, OnProgress, no_progress
from being_remote.workflows import sync as workflow


@overload
def sync(
    actor: str | None = None,
    *,
    host: str | None = None,
    only: Names = None,
    dry_run: bool = False,
    verify: bool = False,
    inventory: InventoryLike = None,
    on_progress: OnProgress = no_progress,
) -> SyncReport: ...
@overload
def sync(
    actor: list[str] | tuple[str, ...],
    *,
    host: Names = None,
    only: Names = None,
    dry_run: bool = False,
    verify: bool = False,
    inventory: InventoryLike = None,
    on_progress: OnProgress = no_progress,
) -> SyncsReport: ...
@checked
def sync(
    actor: Names = None,
    *,
    host: Names = None,
    only: Names = None,
    dry_run: bool = False,
    verify: bool = False,
    inventory: InventoryLike = None,
    on_progress: OnProgress = no_progress,
) -> SyncReport | SyncsReport:
    """Download an actor's files from a host into its backup; nothing that is there is lost.

    Args:
        actor: one, or a list: then each from each host, and what fails stops none of the others.
        host: its name; default: the only one.
        only: one kind of files or several (checkpoints, box, ...); default: all but `sources`.
        dry_run: look at both sides and write nothing.
        verify: read every byte again on both sides, and compare.
        inventory: itself, or its file; default: that of this folder.

    Raises:
        UsageError: unknown names or kinds.
        Busy: another command holds the backup.
        NotFoundError: the host has nothing of this actor.
        HostError: no answer, or the link failed; what arrived whole is kept.

    Example:
        >>> report = sync("roman", host="a100")  # again: nothing is new
        >>> report.transferred_files, report.quarantined
        (0, ())
        >>> [one.actor for one in sync(["roman"], host=["a100"]).syncs]
        ['roman']
    """
    source, kinds = read_inventory(inventory), read_names(only)
    feedback = Feedback(on_progress)
    if (actor is None or isinstance(actor, str)) and (host is None or isinstance(host, str)):
        return workflow.sync(
            source, actor=actor, host=host, only=kinds, dry_run=dry_run, verify=verify, feedback=feedback
        )
    return workflow.sync_each(
        source,
        read_names(actor),
        read_names(host),
        only=kinds,
        dry_run=dry_run,
        verify=verify,
        feedback=feedback,
    )
