"""The run that a name on the command line means: an actor's backup, a folder, or the results of a job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.backup_paths import BackupPaths
from being_remote.errors import NotFoundError, UsageError
from being_remote.recovery.local_runs import LocalRun, run_in_folder
from being_remote.tracker import layout

if TYPE_CHECKING:
    from being_remote.inventory import Inventory


def find_run(inventory: Inventory | None, actor: str | None, run: str | None) -> LocalRun:
    """Find the run that was asked for: an actor's name, a folder, a job, or the inventory's only actor.

    A name that is several of these means the actor, then the folder; write `./NAME` for the folder.

    Raises:
        UsageError: nothing says which, or an unknown actor.
        NotFoundError: no such folder, actor or job; or no checkpoint of it is local yet.
    """
    if inventory is None and (actor is not None or run is None):
        raise UsageError("without an inventory a run is named by its folder", hint="--run FOLDER")
    if run is not None and (inventory is None or run not in inventory.actors):
        folder = Path(run).expanduser()
        return _run_in(folder, inventory, actor) if folder.is_dir() else _run_of_job(run, inventory, actor)
    if run is not None and actor not in (None, run):
        raise UsageError(f"--run {run} and --actor {actor} name two actors", hint="give one of them")
    assert inventory is not None  # the first two checks leave no other way here
    chosen = inventory.the_actor(run or actor)
    backup = BackupPaths(inventory.backup_of(chosen))
    if not backup.checkpoint.is_dir():
        raise NotFoundError(
            f"no checkpoints of actor {chosen.name!r} are local yet",
            where=str(backup.checkpoint),
            hint=f"being-remote sync --actor {chosen.name}",
        )
    return LocalRun(chosen.name, backup.root, backup.checkpoint, chosen)


def add_origins(run: LocalRun) -> LocalRun:
    """The run with what the newest manifest of its backup says of its files, where it lies in a backup."""
    from being_remote.backup.history import History

    if not BackupPaths(run.base).history_folder.is_dir():
        return run
    newest = History(run.base).newest()
    return replace(run, origins=newest.files if newest is not None else {})


def _run_in(folder: Path, inventory: Inventory | None, actor: str | None) -> LocalRun:
    if inventory is None:
        return run_in_folder(folder)
    if actor is not None:
        return run_in_folder(folder, inventory.the_actor(actor))
    resolved = folder.resolve()
    backups = {inventory.backup_of(a).resolve(): a for a in inventory.actors.values()}
    owner = next((a for backup, a in backups.items() if backup in (resolved, *resolved.parents)), None)
    return run_in_folder(folder, owner)


def _run_of_job(run: str, inventory: Inventory | None, actor: str | None) -> LocalRun:
    """The run that a job tracked, as `pull` downloaded it."""
    from being_remote.jobs.dispatch import files_of
    from being_remote.jobs.ledger import LAST, ledger_of
    from being_remote.jobs.result_download import runs_of
    from being_remote.recipes.tracking_files import NAME, settings_of

    names = sorted(inventory.actors) if inventory else []
    actors = f", nor one of the actors: {', '.join(names)}" if names else ""
    unknown = NotFoundError(
        f"{run!r} is neither a folder nor a job{actors}",
        where="--run",
        hint="name a folder of .frame files, an actor, or a job (being-remote jobs --all)",
    )
    if inventory is None or not run or "/" in run:
        raise unknown
    try:
        ledger = ledger_of(inventory)
        job = ledger.find(run, recipes=(NAME,), actor=actor)
    except NotFoundError as e:
        if run == LAST:
            raise NotFoundError(e.what, where="--run", hint=e.hint) from e
        raise unknown from e
    if actor not in (None, job.actor):
        raise UsageError(
            f"job {job.job} tracked {job.actor or 'no actor'}, not {actor}", hint="leave --actor out"
        )
    folder = runs_of(inventory, job.actor) / job.job
    outputs = sorted((folder / layout.OUTPUT).glob(f"*/{layout.CHECKPOINT}"))
    if len(outputs) != 1:
        raise NotFoundError(
            f"no checkpoints of job {job.job} are local yet",
            where=str(folder),
            hint=f"being-remote pull {job.job} --all",
        )
    owner = inventory.actors.get(job.actor) if job.actor is not None else None
    _, defaults = settings_of(files_of(ledger.parcel_of(job.job)))
    return LocalRun(job.job, outputs[0].parent, outputs[0], owner, job.job, defaults)
