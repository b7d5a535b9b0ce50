"""What this laptop knows of an actor's runs: its own settings and box, and its last job of ours."""

from __future__ import annotations

from being_remote.errors import DataError, NotFoundError
from being_remote.inventory import Actor, Inventory
from being_remote.jobs.ledger import Ledger
from being_remote.jobs.spec import JobSpec
from being_remote.recipes import LastJob
from being_remote.tracker import layout

MAX_SETTINGS_BYTES = 64 << 10


def own_settings(inventory: Inventory, actor: Actor) -> bytes | None:
    """The actor's settings file as it came home with the run in its backup."""
    from being_remote.tracker.frame_file import read_bytes

    try:
        return read_bytes(layout.Home(inventory.backup_of(actor)).config, MAX_SETTINGS_BYTES)
    except (NotFoundError, DataError):
        return None  # the tracker's defaults are then taken for its own, and that is said


def last_job(ledger: Ledger, actor: Actor, recipe: str) -> LastJob | None:
    """The actor's newest job of that recipe that succeeded, as the ledger has it."""
    for known in ledger.jobs(actor=actor.name):
        if known.recipe == recipe and known.state == "succeeded":
            return LastJob(known.job, JobSpec.from_bytes(known.spec).intent.get("settings", {}))
    return None


def own_box(inventory: Inventory, actor: Actor) -> tuple[int, int, int, int] | None:
    """The crop box in the actor's backup, where there is one that can be read."""
    file = layout.Home(inventory.backup_of(actor)).bbox
    if not file.is_file():
        return None
    from being_remote.tracker.frame_file import read_box

    try:
        return read_box(file)
    except (NotFoundError, DataError):
        return None  # `find-bbox` says what is wrong with it
