"""What this laptop knows of an actor's runs: its own settings and box, and its last job of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from being_remote.errors import DataError, NotFoundError
from being_remote.inventory import Actor, Inventory
from being_remote.jobs.dispatch import files_of
from being_remote.jobs.ledger import Ledger, LedgerJob
from being_remote.jobs.spec import JobSpec
from being_remote.recipes import LastJob
from being_remote.recipes.metrical_tracker import NAME as TRACKING
from being_remote.recipes.metrical_tracker import settings_of
from being_remote.tracker import layout

MAX_SETTINGS_BYTES = 64 << 10


def own_settings(inventory: Inventory, actor: Actor) -> bytes | None:
    """The actor's settings file as it came home with the run in its backup."""
    from being_remote.tracker.frame_file import read_bytes

    try:
        return read_bytes(layout.LocalLayout(inventory.backup_of(actor)).config, MAX_SETTINGS_BYTES)
    except (NotFoundError, DataError):
        return None  # the tracker's defaults are then taken for its own, and that is said


def last_job(ledger: Ledger, actor: Actor, recipe: str) -> LastJob | None:
    """The actor's newest job of that recipe that succeeded, as the ledger has it."""
    for known in ledger.jobs(actor=actor.name):
        if known.recipe == recipe and known.state == "succeeded":
            return LastJob(known.job, settings_of_job(known))
    return None


def settings_of_job(known: LedgerJob) -> Mapping[str, Any]:
    """All settings of a job, with the defaults of the checkout that it was planned for.

    Where that was not written down, only what it set: its intent holds a table's defaults, which its
    checkout need not have had.
    """
    if known.recipe != TRACKING or not (files := files_of(known.parcel)):
        found: Mapping[str, Any] = JobSpec.from_bytes(known.spec).intent.get("settings", {})
        return found
    settings, defaults = settings_of(files)
    return {**(defaults.values if defaults is not None else {}), **settings}


def own_box(inventory: Inventory, actor: Actor) -> tuple[int, int, int, int] | None:
    """The crop box in the actor's backup, where there is one that can be read."""
    file = layout.LocalLayout(inventory.backup_of(actor)).bbox
    if not file.is_file():
        return None
    from being_remote.tracker.box_file import read_box

    try:
        return read_box(file)
    except (NotFoundError, DataError):
        return None  # `find-bbox` says what is wrong with it
