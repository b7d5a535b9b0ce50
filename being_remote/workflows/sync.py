"""`sync`: what a host holds of an actor comes home, checked, and nothing older is lost.

Decides whose files and from where, holds the backup's lock and opens the session; the work itself
is `homecoming.rounds`. Prints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from being_remote.backup.history import History
from being_remote.backup.live_tree import scan
from being_remote.backup.verification import Inspection, inspect
from being_remote.durable_files import room_on_disk
from being_remote.errors import HostError, UsageError
from being_remote.inventory import Inventory
from being_remote.local_path import folds_case
from being_remote.session import OnProgress, Session, no_progress
from being_remote.sync.remote_files import ActorSync, look
from being_remote.sync.remote_hashes import learn
from being_remote.sync.sync_pass import bring_actor, the_judge, verify_home
from being_remote.sync.sync_report import SyncReport, from_listing, inspected, rotten, seen_in
from being_remote.tracker.layout import KINDS, places_of
from being_remote.transfer.download_plan import plan_download
from being_remote.transfer.quarantine import read_quarantine
from being_remote.transfer.stored_file import StoredFile


def sync(
    inventory: Inventory,
    *,
    actor: str | None = None,
    host: str | None = None,
    only: Sequence[str] = (),
    dry_run: bool = False,
    verify: bool = False,
    on_progress: OnProgress = no_progress,
) -> SyncReport:
    """Bring an actor's files from a host into the backup.

    Args:
        inventory: who is who.
        actor: its name; default: the only one.
        host: its name; default: the only one.
        only: kinds of files (`KINDS`); default: all but `sources`.
        dry_run: only look, there and here; nothing is written anywhere.
        verify: read every byte again on both sides, of all snapshots here, and compare; what
            differs is fetched, what rotted is repaired. The part here is done without a host, too.
        on_progress: told how far it is.

    Raises:
        UsageError: unknown names or kinds; the host has no tracker; another sync is at work.
        NotFoundError: the host has nothing of this actor.
        HostError: the host could not be asked, or the link failed; what arrived whole is kept.
        DataError: the disk here is full; a link lies in the backup; another run while `only` is given.
    """
    from being_remote.transport import open_session

    task = task_of(inventory, actor, host, only)
    where, history = task.host, History(task.root)
    started = time.monotonic()
    with ExitStack() as held:
        held.enter_context(room_on_disk(task.root))
        first = not history.history_folder.is_dir()  # asked once: another first sync may make it meanwhile
        if not dry_run and not first:
            held.enter_context(history.lock())  # before anything takes time: a second sync ends at once
        try:
            session = held.enter_context(open_session(where, inventory, remember=not dry_run))
        except HostError as e:
            if dry_run or first or not verify:
                raise
            report = verify_home(task, history, e, on_progress)
            return replace(report, seconds=time.monotonic() - started)
        if dry_run:
            report = _would(task, session, history, verify=verify, on_progress=on_progress)
        else:
            found = None
            if first:
                found = look(task, session)  # an actor that is not there leaves no folder
                held.enter_context(history.lock())
            report = bring_actor(
                task,
                session,
                history,
                verify=verify,
                partial=bool(only),
                on_progress=on_progress,
                found=found,
            )
        return replace(report, seconds=time.monotonic() - started, round_trips=session.round_trips)


def task_of(inventory: Inventory, actor: str | None, host: str | None, only: Sequence[str]) -> ActorSync:
    """What is asked for, by name.

    Raises:
        UsageError: unknown names or kinds, or several to choose from.
    """
    who, where = inventory.the_actor(actor), inventory.the_host(host)
    for kind in only:
        if kind not in KINDS:
            known = ", ".join(KINDS)
            raise UsageError(f"{kind!r} is no kind of files", where="--only", hint=f"one of: {known}")
    return ActorSync(who, where, inventory.backup_of(who), places_of(only))


def _would(
    task: ActorSync, session: Session, history: History, *, verify: bool, on_progress: OnProgress
) -> SyncReport:
    """What a sync would do, by looking only."""
    found = look(task, session)
    damaged = list[Path]()
    newest = history.newest(damaged)
    here = dict(newest.files) if newest is not None else {}
    read = inspect(history, newest, on_progress) if verify and newest is not None else Inspection()
    for path, at in scan(task.root).items():
        if path not in here or not here[path].looks_like(at):
            here[path] = StoredFile(path, "", at.st_size, at.st_mtime_ns)
    lost = {rot.sha256 for rot in read.rots}
    for path in [path for path, entry in here.items() if entry.sha256 in lost and path not in read.sound]:
        del here[path]  # it would be fetched, unless another path's live file has the same bytes
    torn, most_bytes = read_quarantine(history), the_judge().most_bytes
    learned = learn(task, session, history, found, here, torn, everything=verify)
    folds = folds_case(task.root)
    planned = plan_download(
        learned.offers, here, torn, refused=found.refused, folds=folds, most_bytes=most_bytes
    )
    live = replace(newest, files=here) if newest is not None else None
    seen = seen_in(task, session.host, found, planned, live)
    report = from_listing(task, session.host, seen, planned, live, planned.refused + planned.still_torn)
    return replace(
        report,
        dry_run=True,
        transferred_files=len(planned.wanted),
        transferred_bytes=planned.wanted_bytes,
        verified=len(read.sound & (set(planned.unchanged) - set(planned.unhashed))) if verify else None,
        rotten=rotten(read.rots, lambda _sha256: False),
        damaged=tuple(dict.fromkeys((*read.unreadable, *damaged))),
        warnings=(*report.warnings, *inspected(read, session.host)),
    )
