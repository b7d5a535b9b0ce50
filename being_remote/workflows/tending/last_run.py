"""The actor's last run as far as this laptop knows it: what a new one is compared with."""

from __future__ import annotations

from being_remote.errors import DataError, NotFoundError
from being_remote.inventory import Actor, Inventory
from being_remote.jobs.ledger import Ledger
from being_remote.tracker import layout
from being_remote.workflows.tending.home import runs_of

MAX_SETTINGS_BYTES = 64 << 10


def last_settings(inventory: Inventory, ledger: Ledger, actor: Actor) -> bytes | None:
    """The settings file of the newest of our jobs whose results are here, else of the backup's run."""
    from being_remote.tracker.frame_file import read_bytes

    folders = [runs_of(inventory, actor.name) / k.job for k in ledger.jobs(actor=actor.name)]
    files = [file for folder in folders for file in sorted((folder / layout.ACTOR_CONFIGS).glob("*.yml"))]
    for file in [*files, layout.Home(inventory.backup_of(actor)).config]:
        try:
            return read_bytes(file, MAX_SETTINGS_BYTES)
        except (NotFoundError, DataError):
            continue  # the next older one will do: it is only compared with
    return None


def last_box(inventory: Inventory, actor: Actor) -> tuple[int, int, int, int] | None:
    """The crop box in the actor's backup, where there is one that can be read."""
    file = layout.Home(inventory.backup_of(actor)).bbox
    if not file.is_file():
        return None
    from being_remote.tracker.frame_file import read_box

    try:
        return read_box(file)
    except (NotFoundError, DataError):
        return None  # `find-bbox` says what is wrong with it
