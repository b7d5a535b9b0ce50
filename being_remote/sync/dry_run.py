"""What a sync would do, found by looking only: nothing is written on either side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from being_remote.backup.history import History
from being_remote.backup.live_tree import scan
from being_remote.backup.verification import Inspection, inspect
from being_remote.local_path import folds_case
from being_remote.session import OnProgress, Session
from being_remote.sync.remote_files import ActorSync, list_actor_files
from being_remote.sync.remote_hashes import learn_hashes
from being_remote.sync.sync_pass import tracker_judge
from being_remote.sync.sync_report import (
    SyncReport,
    inspection_warnings,
    report_corrupt,
    report_plan,
    summarize_listing,
)
from being_remote.transfer.download_plan import plan_download
from being_remote.transfer.quarantine import quarantine_of
from being_remote.transfer.stored_file import StoredFile


def preview_sync(
    task: ActorSync, session: Session, history: History, *, verify: bool, on_progress: OnProgress
) -> SyncReport:
    """Plan a sync; with `verify` read everything in the backup again, too.

    Raises:
        NotFoundError: the host has nothing of this actor.
        HostError: no answer, or an invalid one.
        DataError: a link lies in the backup.
    """
    found = list_actor_files(task, session)
    damaged = list[Path]()
    newest = history.newest(damaged)
    entries = dict(newest.files) if newest is not None else {}
    read = inspect(history, newest, on_progress) if verify and newest is not None else Inspection()
    for path, stat in scan(task.root).items():
        if path not in entries or not entries[path].looks_like(stat):
            entries[path] = StoredFile(path, "", stat.st_size, stat.st_mtime_ns)
    corrupt = {rot.sha256 for rot in read.rots}
    for path in [path for path, e in entries.items() if e.sha256 in corrupt and path not in read.sound]:
        del entries[path]  # would be downloaded, unless the live file of another path has the same bytes
    quarantined = quarantine_of(history).read()
    learned = learn_hashes(task, session, history, found, entries, quarantined, everything=verify)
    planned = plan_download(
        learned.offers,
        entries,
        quarantined,
        refused=found.refused,
        folds=folds_case(task.root),
        most_bytes=tracker_judge().most_bytes,
    )
    live = replace(newest, files=entries) if newest is not None else None
    summary = summarize_listing(task, found, planned, live)
    report = report_plan(task, summary, planned, live, planned.refused + planned.still_torn)
    return replace(
        report,
        dry_run=True,
        transferred_files=len(planned.wanted),
        transferred_bytes=planned.wanted_bytes,
        verified=len(read.sound & (set(planned.unchanged) - set(planned.unhashed))) if verify else None,
        rotten=report_corrupt(read.rots, lambda _sha256: False),
        damaged=tuple(dict.fromkeys((*read.unreadable, *damaged))),
        warnings=(*report.warnings, *inspection_warnings(read, session.host)),
    )
