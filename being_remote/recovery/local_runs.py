"""One run's files on this laptop: where its boxes, crops, landmarks, meshes and settings may lie.

Reads names, the run's settings and the defaults of its checkout; writes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from being_remote.backup_paths import BackupPaths
from being_remote.errors import DataError, NotFoundError
from being_remote.tracker import layout

if TYPE_CHECKING:
    from being_remote.inventory import Actor
    from being_remote.tracker.checkout_defaults import CheckoutDefaults
    from being_remote.tracker.run_settings import RunSettings

ASSUMED = "begin_frames: 1"  # as the tracker's own examples have it


class FileOrigin(Protocol):
    """What a backup's manifest says of one file; `host` is None for a file that no sync downloaded."""

    @property
    def sha256(self) -> str: ...

    @property
    def host(self) -> str | None: ...


@dataclass(frozen=True)
class CropPlace:
    """A folder of stored crops."""

    folder: Path
    by_source: bool = False  # its pictures are numbered like the source's, not by frame_id
    strip: bool = False  # they are strips whose left, square panel is the crop


@dataclass(frozen=True, eq=False)
class LocalRun:
    """One run: its base is an actor's backup, a tracker's output, or a plain folder."""

    name: str
    base: Path
    checkpoints: Path
    actor: Actor | None
    job: str | None = None  # the job that tracked it, where it was named by one
    job_defaults: CheckoutDefaults | None = None  # the checkout's defaults that the job was planned with
    # of each file in the backup's newest manifest; None where the base is not a backup
    origins: Mapping[str, FileOrigin] | None = None

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
        backup = BackupPaths(self.base)
        dense = (backup.kpt_dense, self._derived(settings, layout.KPT_DENSE))
        sparse = (backup.kpt, self._derived(settings, layout.KPT))
        return tuple(filter(None, dense)), tuple(filter(None, sparse))

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
        places = [BackupPaths(self.base).config]
        if self._checkout:
            places.append(self._checkout / layout.ACTOR_CONFIGS / f"{self.base.name}.yml")
        return tuple(places)

    @property
    def meshes(self) -> tuple[Path, ...]:
        """The folders in which its meshes may lie."""
        return BackupPaths(self.base).meshes, self.base / layout.MESH

    @property
    def intrinsics(self) -> Path | None:
        """Where the `intrinsics.json` of one of our own jobs lies."""
        from being_remote.tracker.finish import INTRINSICS

        return self._checkout / INTRINSICS if self.job is not None and self._checkout is not None else None

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
        on_host = PurePosixPath(folder).is_absolute() and (self.job is not None or not path.is_dir())
        return self._checkout / layout.INPUT / path.name if on_host else path

    def _derived(self, settings: RunSettings, name: str) -> Path | None:
        """A folder that the tracker writes beside `source/`; named as it names it, relative to its root."""
        actor_input = self._actor_input(settings)
        if actor_input is None or self._checkout is None:
            return None
        relative = PurePosixPath(os.path.relpath(actor_input, self._checkout))
        return self._checkout / layout.derived_folder(relative, name)


def run_in_folder(folder: Path, actor: Actor | None = None) -> LocalRun:
    """The run whose `.frame` files lie in a folder, or in its `checkpoint/`."""
    if (folder / layout.CHECKPOINT).is_dir():
        base, checkpoints = folder, folder / layout.CHECKPOINT
    else:
        base = folder.absolute().parent if folder.absolute().name == layout.CHECKPOINT else folder
        checkpoints = folder
    return LocalRun(base.absolute().name, base, checkpoints, actor)


def find_settings(run: LocalRun) -> tuple[RunSettings, tuple[str, ...]]:
    """The run's settings and, where no file holds them, a warning that says what was assumed instead.

    What the file leaves out has the default of the run's checkout, where that is known.
    """
    from being_remote.tracker.run_settings import parse_run_settings, read_run_settings

    for path in run.settings_files:
        if path.exists():
            defaults = find_defaults(run)
            return read_run_settings(path, defaults.values if defaults is not None else {}), ()
    return parse_run_settings(ASSUMED.encode(), "assumed settings"), (
        "this run has no settings file here: source file numbers assume begin_frames 1, as in the tracker's"
        " own examples, and times are left out; `sync --only configs` downloads it",
    )


def find_defaults(run: LocalRun) -> CheckoutDefaults | None:
    """The checkout's defaults for what a run's settings leave out; None where they are unknown.

    A job keeps them, a sync downloads them.
    """
    if run.job is not None:
        return run.job_defaults
    defaults = _read_defaults(BackupPaths(run.base).defaults)
    if defaults is None:
        settings = next((path for path in run.settings_files if path.exists()), None)
        defaults = defaults_beside(settings) if settings is not None else None
    return defaults


def defaults_beside(settings: Path) -> CheckoutDefaults | None:
    """The defaults of the checkout that a settings file lies in, as `configs/actors/NAME.yml`."""
    folder = settings.absolute().parent
    return _read_defaults(folder.parent / layout.DEFAULTS) if folder.match(layout.ACTOR_CONFIGS) else None


def _read_defaults(path: Path) -> CheckoutDefaults | None:
    from being_remote.tracker.checkout_defaults import MAX_BYTES, read_defaults
    from being_remote.tracker.frame_file import read_bytes

    try:
        defaults = read_defaults(read_bytes(path, MAX_BYTES), str(path))
    except (NotFoundError, DataError):
        return None
    return defaults if defaults.read else None
