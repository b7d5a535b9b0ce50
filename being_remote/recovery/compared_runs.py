"""One side of a comparison: a run or a settings file, as it was named, with all that can be read of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from being_remote.errors import DataError, NotFoundError, UsageError
from being_remote.recovery.tracker_defaults import defaults_beside, defaults_of

if TYPE_CHECKING:
    from being_remote.inventory import Inventory
    from being_remote.recovery.local_runs import LocalRun
    from being_remote.tracker.checkout_defaults import CheckoutDefaults
    from being_remote.tracker.flame_parameters import FlameParameters
    from being_remote.tracker.sequence import Sequence as Cameras
    from being_remote.tracker.settings import Settings

SETTINGS_SUFFIXES = (".yml", ".yaml")
LISTED = 10


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """What was found under one name.

    Attributes:
        name: as it was typed.
        path: the settings file, or the folder of `.frame` files.
        settings: as `config.parse_settings` reads them; None where the run has no file of them.
        settings_path: of that file.
        defaults: what the settings leave out; None where this laptop has no word of it.
        cameras, parameters: of a run; None of a settings file.
        notes: what a person should know of this side.
    """

    name: str
    path: Path
    settings: Settings | None
    settings_path: Path | None
    defaults: CheckoutDefaults | None
    cameras: Cameras | None
    parameters: FlameParameters | None
    notes: tuple[str, ...]


def read_side(inventory: Inventory | None, name: str) -> ComparedRun:
    """Find and read one side: a .yml, a folder, an actor's name or a job.

    Raises:
        UsageError: a file that is no settings file.
        NotFoundError: nothing has that name, or nothing of it came home yet.
        DataError: frames or a settings file named directly cannot be read, or are not one run's.
    """
    path = Path(name).expanduser()
    if path.suffix.lower() in SETTINGS_SUFFIXES and not path.is_dir():
        defaults = defaults_beside(path)
        settings, notes = _read_settings(path, defaults)
        return ComparedRun(name, path, settings, path, defaults, None, None, notes)
    if path.is_file():
        raise UsageError(
            "is neither a run's folder nor a settings file (.yml)",
            where=name,
            hint="analyze FRAME looks at one file; compare takes folders, actors, jobs or .yml",
        )
    from being_remote.tracker.flame_parameters import read_parameters

    run = _find_run(inventory, name)
    cameras, parameters = read_parameters(run.checkpoints)
    defaults = defaults_of(inventory, run)
    found, settings_path, notes = _settings_of(run, defaults)
    notes = (*cameras.warnings, *notes)
    return ComparedRun(name, run.checkpoints, found, settings_path, defaults, cameras, parameters, notes)


def _find_run(inventory: Inventory | None, name: str) -> LocalRun:
    from being_remote.recovery.local_runs import find_run

    try:
        return find_run(inventory, None, name)
    except (NotFoundError, UsageError) as e:
        if e.where != "--run":
            raise
        more = "" if inventory else "; actors and jobs are known with an inventory only (--inventory FILE)"
        raise NotFoundError(
            e.what, where="compare", hint=f"name a folder of .frame files, an actor, a job, or a .yml{more}"
        ) from e


def _settings_of(
    run: LocalRun, defaults: CheckoutDefaults | None
) -> tuple[Settings | None, Path | None, tuple[str, ...]]:
    """The run's settings; a file that cannot be read costs only a note, for the frames say more."""
    path = next((p for p in run.settings_files if p.exists() or p.is_symlink()), None)
    if path is None:
        return None, None, ("no settings file of this run is here; `sync --only configs` brings it",)
    try:
        settings, notes = _read_settings(path, defaults)
    except DataError as e:
        return None, path, (f"its settings are not compared: {e.where}: {e.what.splitlines()[0]}",)
    return settings, path, notes


def _read_settings(path: Path, defaults: CheckoutDefaults | None) -> tuple[Settings, tuple[str, ...]]:
    from being_remote.tracker.frame_file import read_bytes
    from being_remote.tracker.settings import KEYS, MAX_BYTES, PATHS, parse_settings

    keys = defaults.keys if defaults is not None else KEYS
    data = read_bytes(path, MAX_BYTES)
    found, passed_over = parse_settings(data, str(path), keys, keep_unknown=True)
    known: dict[str, Any] = {key: value for key, value in found.items() if key not in PATHS}
    notes = [f"in its settings, passed over: {line}" for line in passed_over[:LISTED]]
    if more := passed_over[LISTED:]:
        notes.append(f"in its settings, {len(more)} more keys are passed over")
    return known, tuple(notes)
