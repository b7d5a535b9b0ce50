"""Which run `recover` works on, and where that run's files lie on this laptop.

A run is named by an actor, by a folder, or by one of our own jobs. Nothing here is read but names
and the run's settings; nothing is written.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from being_remote.backup_paths import BackupPaths
from being_remote.errors import NotFoundError, UsageError
from being_remote.tracker import layout

if TYPE_CHECKING:
    from being_remote.inventory import Actor, Inventory
    from being_remote.tracker.run_settings import RunSettings

ASSUMED = "begin_frames: 1"  # as the tracker's own examples have it


@dataclass(frozen=True)
class LocalRun:
    """One run's files on this laptop: `base` is an actor's backup, a tracker's output, or a plain folder.

    `job` is the job it came from, where it was named by one.
    """

    name: str
    base: Path
    checkpoints: Path
    actor: Actor | None
    job: str | None = None

    def boxes(self, settings: RunSettings) -> tuple[Path, ...]:
        """Where its bbox.pt may lie, the likeliest place first."""
        places = (
            BackupPaths(self.base).bbox,
            self.trackers_box(settings),
            self.checkpoints / layout.BBOX,
        )
        return tuple(dict.fromkeys(p for p in places if p is not None))

    def trackers_box(self, settings: RunSettings) -> Path | None:
        """Where the tracker itself writes the box of this run, where this is one of its output folders."""
        actor_input = self._actor_input(settings)
        return None if actor_input is None else actor_input / layout.BBOX

    def crops(self, settings: RunSettings) -> tuple[CropPlace, ...]:
        """Where the pictures that the tracker fitted to may lie, the best first.

        Its `images/` are the same pictures as the output's `input/`, under the source's numbers; the
        strips of its `video/` show them once more, as JPEG, at their left.
        """
        places = [CropPlace(BackupPaths(self.base).crops), CropPlace(self.base / layout.CROPS)]
        images = self._derived(settings, layout.IMAGES)
        if images is not None:
            places.append(CropPlace(images, by_source=True))
        return (*places, CropPlace(self.base / layout.STRIPS, strip=True))

    def landmark_folders(self, settings: RunSettings) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        """Where its 478 and its 68 landmarks a frame may lie; crop pixels, under the source's numbers."""
        home = BackupPaths(self.base)
        places = [(home.kpt_dense, layout.KPT_DENSE), (home.kpt, layout.KPT)]
        dense, sparse = (
            tuple(f for f in (there, self._derived(settings, name)) if f is not None)
            for there, name in places
        )
        return dense, sparse

    def frames_in_checkout(self, settings: RunSettings) -> Path | None:
        """The frames that the tracker read, or the video they were cut from, where they lie in a checkout."""
        actor_input = self._actor_input(settings)
        if actor_input is None:
            return None
        source, video = actor_input / layout.SOURCE, actor_input / layout.VIDEO
        if source.is_dir() and any(p.suffix in (".png", ".jpg") for p in source.iterdir()):
            return source
        return video if video.is_file() else None

    @property
    def settings_files(self) -> tuple[Path, ...]:
        """Where its settings may lie."""
        config = f"{self.base.name}.yml"
        there = (self._checkout / layout.ACTOR_CONFIGS / config,) if self._checkout else ()
        return (BackupPaths(self.base).config, *there)

    @property
    def meshes(self) -> tuple[Path, ...]:
        """The folders in which its meshes may lie."""
        return BackupPaths(self.base).meshes, self.base / layout.MESH

    @property
    def _checkout(self) -> Path | None:
        """The tracker's checkout, where this is one of its output folders."""
        folder = self.base.absolute().parent
        return folder.parent if folder.name == layout.OUTPUT else None

    def _actor_input(self, settings: RunSettings) -> Path | None:
        """The run's input folder in the checkout.

        An output is named after its settings file, and several may read one input folder: the
        settings say which.
        """
        if self._checkout is None:
            return None
        folder = settings.actor if settings.actor.strip("./") else f"{layout.INPUT}/{self.base.name}"
        path = Path(os.path.normpath(self._checkout / folder))
        # A job's settings name its folder on the host, which is not a folder of this machine.
        elsewhere = PurePosixPath(folder).is_absolute() and (self.job is not None or not path.is_dir())
        return self._checkout / layout.INPUT / path.name if elsewhere else path

    @property
    def intrinsics(self) -> Path | None:
        """Where the `intrinsics.json` of one of our own jobs lies."""
        from being_remote.tracker.finish import INTRINSICS

        return self._checkout / INTRINSICS if self.job is not None and self._checkout is not None else None

    def _derived(self, settings: RunSettings, name: str) -> Path | None:
        """A folder that the tracker writes beside `source/`; named as it names it, relative to its root."""
        actor_input = self._actor_input(settings)
        if actor_input is None or self._checkout is None:
            return None
        relative = PurePosixPath(os.path.relpath(actor_input, self._checkout))
        return self._checkout / layout.derived_folder(relative, name)


@dataclass(frozen=True)
class CropPlace:
    """A folder of stored crops.

    Attributes:
        by_source: its pictures are numbered like the source's, not by frame_id.
        strip: they are strips whose left, square panel is the crop.
    """

    folder: Path
    by_source: bool = False
    strip: bool = False


def find_run(inventory: Inventory | None, actor: str | None, run: str | None) -> LocalRun:
    """The run that was asked for: an actor's name, a folder, a job, or the inventory's only actor.

    A name that is several of these means the actor, then the folder; write `./NAME` for the folder.

    Raises:
        UsageError: nothing says which, or an unknown actor.
        NotFoundError: no such folder, actor or job; or nothing of it came home yet.
    """
    if inventory is None and (actor is not None or run is None):
        raise UsageError("without an inventory a run is named by its folder", hint="--run FOLDER")
    if run is not None and (inventory is None or run not in inventory.actors):
        folder = Path(run).expanduser()
        if folder.is_dir():
            return _run_in(folder, inventory, actor)
        return _run_of_job(run, inventory, actor)
    if run is not None and actor not in (None, run):
        raise UsageError(f"--run {run} and --actor {actor} name two actors", hint="give one of them")
    assert inventory is not None  # the first two checks leave no other way here
    chosen = inventory.the_actor(run or actor)
    home = BackupPaths(inventory.backup_of(chosen))
    if not home.checkpoint.is_dir():
        raise NotFoundError(
            f"no checkpoints of actor {chosen.name!r} are here yet",
            where=str(home.checkpoint),
            hint=f"being-remote sync --actor {chosen.name}",
        )
    return LocalRun(chosen.name, home.root, home.checkpoint, chosen)


def _run_in(folder: Path, inventory: Inventory | None, actor: str | None) -> LocalRun:
    if (folder / layout.CHECKPOINT).is_dir():
        base, checkpoints = folder, folder / layout.CHECKPOINT
    else:
        base = folder.absolute().parent if folder.absolute().name == layout.CHECKPOINT else folder
        checkpoints = folder
    owner = None
    if inventory is not None:
        here = folder.resolve()
        backups = {inventory.backup_of(a).resolve(): a for a in inventory.actors.values()}
        owner = next((a for home, a in backups.items() if home in (here, *here.parents)), None)
        owner = inventory.the_actor(actor) if actor is not None else owner
    return LocalRun(base.absolute().name, base, checkpoints, owner)


def _run_of_job(word: str, inventory: Inventory | None, actor: str | None) -> LocalRun:
    """The run that a job tracked, from what `pull` brought home of it."""
    from being_remote.jobs.ledger import LAST
    from being_remote.jobs.result_download import runs_of
    from being_remote.jobs.status_poll import ledger_of
    from being_remote.recipes.tracking_files import NAME

    known = f", nor one of the actors: {', '.join(sorted(inventory.actors))}" if inventory else ""
    nobody = NotFoundError(
        f"{word!r} is neither a folder nor a job{known}",
        where="--run",
        hint="name a folder of .frame files, an actor, or a job (being-remote jobs --all)",
    )
    if inventory is None or not word or "/" in word:
        raise nobody
    try:
        job = ledger_of(inventory).find(word, recipes=(NAME,), actor=actor)
    except NotFoundError as e:
        if word == LAST:
            raise NotFoundError(e.what, where="--run", hint=e.hint) from e
        raise nobody from e
    if actor not in (None, job.actor):
        raise UsageError(
            f"job {job.job} tracked {job.actor or 'no actor'}, not {actor}", hint="leave --actor out"
        )
    folder = runs_of(inventory, job.actor) / job.job
    outputs = sorted((folder / layout.OUTPUT).glob(f"*/{layout.CHECKPOINT}"))
    if len(outputs) != 1:
        raise NotFoundError(
            f"no checkpoints of job {job.job} are here yet",
            where=str(folder),
            hint=f"being-remote pull {job.job} --all",
        )
    owner = inventory.actors.get(job.actor) if job.actor is not None else None
    return LocalRun(job.job, outputs[0].parent, outputs[0], owner, job.job)


def find_settings(run: LocalRun, inventory: Inventory | None = None) -> tuple[RunSettings, tuple[str, ...]]:
    """The run's settings and, where no file holds them, a warning that says what was assumed instead.

    What the file leaves out has the default of the run's checkout, where that is here.

    Raises:
        DataError: the file is there and cannot be read.
    """
    from being_remote.recovery.tracker_defaults import defaults_of
    from being_remote.tracker.run_settings import parse_run_settings, read_run_settings

    for path in run.settings_files:
        if path.exists():
            defaults = defaults_of(inventory, run)
            return read_run_settings(path, defaults.values if defaults is not None else {}), ()
    return parse_run_settings(ASSUMED.encode(), "assumed settings"), (
        "no settings file of this run is here: source file numbers assume begin_frames 1, as in the"
        " tracker's own examples, and times are left out; `sync --only configs` brings it",
    )
