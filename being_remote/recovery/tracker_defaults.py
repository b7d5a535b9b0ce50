"""The defaults of the checkout that tracked a run, as far as this laptop knows them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.backup_paths import BackupPaths
from being_remote.errors import DataError, NotFoundError
from being_remote.tracker.layout import ACTOR_CONFIGS, DEFAULTS

if TYPE_CHECKING:
    from being_remote.inventory import Inventory
    from being_remote.recovery.local_runs import LocalRun
    from being_remote.tracker.checkout_defaults import CheckoutDefaults


def defaults_of(inventory: Inventory | None, run: LocalRun) -> CheckoutDefaults | None:
    """The defaults that a run's settings leave out: a job keeps them, a sync brings them.

    None where nothing here says.
    """
    if run.job is not None and inventory is not None:
        from being_remote.jobs.dispatch import files_of
        from being_remote.jobs.status_poll import ledger_of
        from being_remote.recipes.tracking_files import settings_of

        _, defaults = settings_of(files_of(ledger_of(inventory).find(run.job).parcel))
        return defaults
    found = _read(BackupPaths(run.base).defaults)
    if found is None:
        settings = next((path for path in run.settings_files if path.exists()), None)
        found = defaults_beside(settings) if settings is not None else None
    return found


def defaults_beside(settings: Path) -> CheckoutDefaults | None:
    """Of the checkout that a settings file lies in, as `configs/actors/NAME.yml`."""
    folder = settings.absolute().parent
    return _read(folder.parent / DEFAULTS) if folder.match(ACTOR_CONFIGS) else None


def _read(path: Path) -> CheckoutDefaults | None:
    from being_remote.tracker.checkout_defaults import MAX_BYTES, read_defaults
    from being_remote.tracker.frame_file import read_bytes

    try:
        found = read_defaults(read_bytes(path, MAX_BYTES), str(path))
    except (NotFoundError, DataError):
        return None
    return found if found.read else None
