"""What this laptop knows of an actor's runs: its settings and crop box, and its last successful job."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from being_remote.backup_paths import BackupPaths
from being_remote.errors import DataError, NotFoundError
from being_remote.inventory import Actor, Inventory
from being_remote.jobs.dispatch import files_of
from being_remote.jobs.ledger import Ledger, LedgerJob, ledger_of
from being_remote.jobs.spec import JobSpec
from being_remote.pod.job_states import JobState
from being_remote.recipes.tracking_files import NAME, full_settings_of

MAX_SETTINGS_BYTES = 64 << 10


@dataclass(frozen=True)
class LastJob:
    """An earlier job of the actor and all its settings."""

    job: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class LocalRuns:
    """What is local of one actor.

    Attributes:
        settings: the bytes of the settings file in the backup.
        box: x_min, x_max, y_min, y_max of the bbox.pt in the backup.
        last_job: the newest tracking that succeeded.
    """

    settings: bytes | None = None
    box: tuple[int, int, int, int] | None = None
    last_job: LastJob | None = None


def read_local_runs(inventory: Inventory, actor: Actor) -> LocalRuns:
    """Read what is local of `actor`; what cannot be read counts as missing."""
    from being_remote.tracker.box_file import read_box
    from being_remote.tracker.frame_file import read_bytes

    backup = BackupPaths(inventory.backup_of(actor))
    settings = box = None
    with suppress(NotFoundError, DataError):  # the plan's notes say that the tracker's defaults are taken
        settings = read_bytes(backup.config, MAX_SETTINGS_BYTES)
    with suppress(NotFoundError, DataError):  # `find-bbox` says what is wrong with it
        box = read_box(backup.bbox)
    return LocalRuns(settings, box, _last_job(ledger_of(inventory), actor))


def settings_of_job(ledger: Ledger, job: LedgerJob) -> Mapping[str, Any]:
    """All settings of a job, with the defaults of the checkout that it was planned for.

    Where the ledger has no files of the job, only what it set: its intent holds a table's defaults,
    which its checkout need not have had.
    """
    if files := files_of(ledger.parcel_of(job.job)):
        return full_settings_of(files)
    found: Mapping[str, Any] = JobSpec.from_bytes(job.spec).intent.get("settings", {})
    return found


def _last_job(ledger: Ledger, actor: Actor) -> LastJob | None:
    for job in ledger.jobs(actor=actor.name):
        if job.recipe == NAME and job.state is JobState.SUCCEEDED:
            return LastJob(job.job, settings_of_job(ledger, job))
    return None
