"""The command `sync`: download, watch, and look after the snapshots of a backup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from being_remote.cli.command import command
from being_remote.cli.completion import complete_host, complete_kind
from being_remote.cli.options import (
    ActorsOpt,
    DryRunOpt,
    flag,
    option,
    parse_duration,
    parse_keep,
    parse_seconds,
)
from being_remote.cli.output import Out
from being_remote.errors import UsageError
from being_remote.local_lock import AT_ONCE, LockRequest
from being_remote.session import Feedback


@command
def sync(
    out: Out,
    actor: ActorsOpt = None,
    host: Annotated[
        list[str] | None,
        option("HOST", "repeatable; default: the only one of the inventory", complete=complete_host),
    ] = None,
    only: Annotated[
        list[str] | None,
        option(
            "KIND",
            "checkpoints, bbox, identity, configs, kpt, meshes, crops, logs, or sources (the video and"
            " source/, downloaded only when named); repeatable; default: all but sources",
            complete=complete_kind,
        ),
    ] = None,
    verify: Annotated[
        bool, flag("--verify", "read every file again on both sides; repair corrupt local files")
    ] = False,
    watch: Annotated[bool, flag("--watch", "keep downloading what is new, until Ctrl-C")] = False,
    every: Annotated[
        str | None, option("TIME", "time between the rounds of --watch: 90s, 20m or 8h; default: 5s")
    ] = None,
    list_all: Annotated[bool, flag("--list", "list the snapshots of the backup; contacts no host")] = False,
    restore: Annotated[
        int | None, option("N", "make snapshot N live again, as a new snapshot", min=0)
    ] = None,
    prune: Annotated[str | None, option("keep=N", "remove all snapshots but the newest N")] = None,
    wait: Annotated[
        str | None, option("TIME", "wait so long for another command that holds the backup: 90s, 20m, 1h")
    ] = None,
    break_lock: Annotated[
        bool, flag("--break-lock", "remove a lock file that a process of another machine or boot left")
    ] = False,
    force: Annotated[bool, flag("--force", "prune even if the newest snapshot lost most frames")] = False,
    dry_run: DryRunOpt = False,
) -> None:
    """Download an actor's files, verified.

    They go into the actor's backup, the most precious first. Nothing there is overwritten: each sync
    makes a snapshot, and --restore goes back to any of them.
    """
    if force and prune is None:
        raise UsageError("--force goes with --prune only", where="sync")
    lock = LockRequest(parse_duration(wait, "--wait") if wait is not None else 0.0, break_lock)
    if dry_run and lock != AT_ONCE:
        raise UsageError("--dry-run holds no lock: leave out --wait and --break-lock", where="sync")
    snapshot_options = {"--list": list_all, "--restore": restore is not None, "--prune": prune is not None}
    if any(snapshot_options.values()):
        others = {"--host": bool(host), "--only": bool(only), "--verify": verify, "--watch": watch}
        if list_all:
            others |= {"--wait": wait is not None, "--break-lock": break_lock}
        _refuse_several(snapshot_options, {**others, "--every": every is not None})
        _manage_snapshots(out, _single(actor or (), "--actor"), restore, prune, force, dry_run, lock)
    elif watch or every is not None:
        out.follows = True
        if not watch:
            raise UsageError("--every says how often --watch looks", where="sync")
        every_s = None if every is None else parse_seconds(every, "--every")
        if verify or dry_run:
            raise UsageError("--watch goes with none of --verify and --dry-run", where="sync")
        if lock != AT_ONCE:
            raise UsageError("--watch waits for the backup by itself", where="sync")
        from being_remote.cli.sync_tables import run_watch

        only_actor, only_host = _single(actor or (), "--actor"), _single(host or (), "--host")
        run_watch(out, out.inventory(), only_actor, only_host, only or (), every_s)
    else:
        options: Any = {"only": only or (), "dry_run": dry_run, "verify": verify, "lock": lock}
        _download(out, actor or (), host or (), options)


def _download(out: Out, actors: Sequence[str], hosts: Sequence[str], options: Any) -> None:
    from being_remote.cli.sync_tables import show_sync, show_syncs
    from being_remote.workflows.sync import sync as sync_one
    from being_remote.workflows.sync import sync_each

    inventory = out.inventory()
    several = len(set(actors)) > 1 or len(set(hosts)) > 1
    with out.progress() as on_progress:
        options |= {"feedback": Feedback(on_progress, out.note)}
        if several:
            syncs = sync_each(inventory, actors, hosts, **options)
        else:
            one = sync_one(inventory, actor=_single(actors), host=_single(hosts), **options)
    if several:
        out.finish(syncs, show_syncs)
    else:
        out.finish(one, show_sync)


def _single(names: Sequence[str], option: str = "") -> str | None:
    """The one that is named; None for none. Raises UsageError for several."""
    named = list(dict.fromkeys(names))
    if len(named) > 1:
        hint = "only a sync itself takes several"
        raise UsageError(f"{len(named)} are named: {', '.join(named)}", where=option, hint=hint)
    return named[0] if named else None


def _manage_snapshots(
    out: Out,
    actor: str | None,
    restore: int | None,
    prune: str | None,
    force: bool,
    dry_run: bool,
    lock: LockRequest,
) -> None:
    from being_remote.cli import sync_tables
    from being_remote.workflows import snapshots as workflow

    inventory = out.inventory()
    if restore is not None:
        with out.progress() as on_progress:
            restored = workflow.restore_snapshot(
                inventory, restore, actor=actor, dry_run=dry_run, on_progress=on_progress, lock=lock
            )
        out.finish(restored, sync_tables.show_restore)
    elif prune is not None:
        keep = parse_keep(prune)
        pruned = workflow.prune_snapshots(
            inventory, keep, actor=actor, dry_run=dry_run, force=force, lock=lock
        )
        out.finish(pruned, sync_tables.show_prune)
    else:
        out.finish(workflow.list_snapshots(inventory, actor=actor), sync_tables.show_snapshots)


def _refuse_several(snapshot_options: dict[str, bool], others: dict[str, bool]) -> None:
    """Raise UsageError where more than one option is given: one works on the snapshots, alone."""
    given = [name for name, is_given in {**snapshot_options, **others}.items() if is_given]
    if len(given) > 1:
        raise UsageError(
            f"{given[0]} and {given[1]} do not go together",
            where="sync",
            hint="--list, --restore N and --prune keep=N work on the backup: use one of them, without a host",
        )
