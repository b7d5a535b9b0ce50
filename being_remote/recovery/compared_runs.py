"""One side of a comparison: a run or a settings file, as it was named, with all that can be read of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from being_remote.errors import DataError
from being_remote.recovery.local_runs import defaults_beside, find_defaults

if TYPE_CHECKING:
    from being_remote.recovery.local_runs import LocalRun
    from being_remote.tracker.checkout_defaults import CheckoutDefaults
    from being_remote.tracker.flame_parameters import FlameParameters
    from being_remote.tracker.sequence import Sequence as Cameras
    from being_remote.tracker.settings import Keys, Settings

LISTED = 10


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """What was found under one name.

    Attributes:
        name: as it was typed.
        path: the settings file, or the folder of `.frame` files.
        settings: None where the run has no file of them.
        defaults: what the settings leave out; None where that is unknown.
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

    @property
    def keys(self) -> Keys:
        """The settings that its checkout knows; those of the tracker where that is unknown."""
        from being_remote.tracker.settings import KEYS

        return self.defaults.keys if self.defaults is not None else KEYS


def read_settings_file(name: str, path: Path) -> ComparedRun:
    """Read a settings file as one side. Raises NotFoundError, DataError."""
    defaults = defaults_beside(path)
    settings, notes = _read_settings(path, defaults)
    return ComparedRun(name, path, settings, path, defaults, None, None, notes)


def read_run(name: str, run: LocalRun) -> ComparedRun:
    """Read a run as one side. Raises NotFoundError, DataError."""
    from being_remote.tracker.flame_parameters import read_parameters

    cameras, parameters = read_parameters(run.checkpoints)
    defaults = find_defaults(run)
    settings, path, notes = _find_settings(run, defaults)
    notes = (*cameras.warnings, *notes)
    return ComparedRun(name, run.checkpoints, settings, path, defaults, cameras, parameters, notes)


def _find_settings(
    run: LocalRun, defaults: CheckoutDefaults | None
) -> tuple[Settings | None, Path | None, tuple[str, ...]]:
    """The run's settings; a file that cannot be read costs only a note, for the frames say more."""
    path = next((p for p in run.settings_files if p.exists() or p.is_symlink()), None)
    if path is None:
        return None, None, ("this run has no settings file here; `sync --only configs` downloads it",)
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
    settings: dict[str, Any] = {key: value for key, value in found.items() if key not in PATHS}
    notes = [f"in its settings, passed over: {line}" for line in passed_over[:LISTED]]
    if more := passed_over[LISTED:]:
        notes.append(f"in its settings, {len(more)} more keys are passed over")
    return settings, tuple(notes)
