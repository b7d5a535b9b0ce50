"""`sync`: what a host holds of an actor comes home, checked, and nothing older is lost.

Joins the tracker's layout and readers with the backup: which folders, whether a file is whole, and
whether the host holds another run by now. Opens the session; prints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from being_remote.backup.arrivals import Arrival, Plan, bring_home, plan
from being_remote.backup.checking import Judge
from being_remote.backup.current import scan
from being_remote.backup.files import room_on_disk
from being_remote.backup.history import History
from being_remote.backup.manifest import Entry, Manifest
from being_remote.backup.names import folds_case
from being_remote.backup.quarantine import kept
from being_remote.backup.salvage import salvage
from being_remote.backup.settle import settle
from being_remote.errors import InconsistentData, UsageError
from being_remote.inventory import Inventory
from being_remote.session import OnProgress, Session, no_progress
from being_remote.tracker.layout import KINDS, PLACES
from being_remote.workflows.homecoming.actor_files import Found, Task, look
from being_remote.workflows.homecoming.report import SyncReport, compared, from_listing, notes, some
from being_remote.workflows.homecoming.run_change import other_camera, other_run


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
        only: kinds of files (`KINDS`); default: all.
        dry_run: only look, there and here; nothing is written anywhere.
        verify: afterwards read every byte again on both sides and compare; what differs is fetched.
        on_progress: told how far it is.

    Raises:
        UsageError: unknown names or kinds; the host has no tracker; another sync is at work.
        NotFoundError: the host has nothing of this actor.
        HostError: the host could not be asked, or the link failed; what arrived whole is kept.
        DataError: the disk here is full; a link lies in the backup; another run while `only` is given.
    """
    from being_remote.transport import open_session

    who, where = inventory.the_actor(actor), inventory.the_host(host)
    for kind in only:
        if kind not in KINDS:
            known = ", ".join(KINDS)
            raise UsageError(f"{kind!r} is no kind of files", where="--only", hint=f"one of: {known}")
    places = tuple(p for p in PLACES if not only or p.kind in only)
    task = Task(who, where, inventory.backup_of(who), places)
    history = History(task.root)
    started = time.monotonic()
    with ExitStack() as held:
        held.enter_context(room_on_disk(task.root))
        if not dry_run and history.folder.is_dir():
            held.enter_context(history.lock())  # before anything takes time: a second sync ends at once
        session = held.enter_context(open_session(where, inventory, remember=not dry_run))
        found, listed_s = _timed_look(task, session)
        if dry_run:
            report = _would(task, session, history, found, verify=verify)
        else:
            if not history.folder.is_dir():
                held.enter_context(history.lock())
            report = _bring(task, session, history, found, verify=verify, partial=bool(only), say=on_progress)
        return replace(
            report,
            seconds=time.monotonic() - started,
            round_trips=session.round_trips,
            phases_s={"list": listed_s, **report.phases_s},
        )


def _timed_look(task: Task, session: Session) -> tuple[Found, float]:
    started = time.monotonic()
    return look(task, session), time.monotonic() - started


def _bring(
    task: Task,
    session: Session,
    history: History,
    found: Found,
    *,
    verify: bool,
    partial: bool,
    say: OnProgress,
) -> SyncReport:
    """Settle, fetch, and with `verify` compare and fetch once more what differs."""
    from being_remote.tracker import completeness

    judge = Judge(completeness.judges, completeness.check_bytes, completeness.MAX_OTHER_BYTES)
    settled = settle(history, judge)

    def another(arrived: Mapping[str, Path]) -> str | None:
        files = settled.manifest.files if settled.manifest is not None else {}
        return other_run(arrived, {path: task.root / path for path in files})

    before = salvage(history, judge, settled.manifest, another)
    planned, arrival = _round(task, session, history, found, before, judge, partial, say)
    plans, arrivals, all_settled = [planned], [arrival], [settled]
    offers = found.offers
    if verify:
        found = look(task, session, hash_bytes=sum(o.bytes for o in offers))
        all_settled.append(settle(history, judge, deep=True))
        closing = _round(task, session, history, found, all_settled[-1].manifest, judge, partial, say)
        plans.append(closing[0])
        arrivals.append(closing[1])
    manifest = arrivals[-1].manifest
    aside = [a for s in all_settled for a in s.set_aside]
    aside += [a for p in plans for a in (*p.refused, *p.still_torn)]
    aside += [a for r in arrivals for a in r.set_aside]
    quarantined = {a.path: a for a in aside}  # the later word about a file counts
    verified, mismatched = compared(found.offers, manifest, quarantined) if verify else (None, [])
    report = from_listing(task, session.host, found, planned, before, tuple(quarantined.values()))
    return replace(
        report,
        transferred_files=sum(r.transferred_files for r in arrivals),
        transferred_bytes=sum(r.transferred_bytes for r in arrivals),
        verified=verified,
        mismatched=some(mismatched),
        snapshot=manifest.generation if manifest is not None else None,
        adopted=some([p for s in all_settled for p in s.adopted]),
        new_run=next((r.new_run for r in arrivals if r.new_run), None),
        method=next((r.method for r in arrivals if r.method), None),
        warnings=(*report.warnings, *notes(session.host, all_settled, arrivals, before, mismatched)),
        phases_s={"transfer": sum(r.transfer_s for r in arrivals), "check": sum(r.check_s for r in arrivals)},
    )


def _round(
    task: Task,
    session: Session,
    history: History,
    found: Found,
    live: Manifest | None,
    judge: Judge,
    partial: bool,
    say: OnProgress,
) -> tuple[Plan, Arrival]:
    """Plan and fetch once."""
    here = live.files if live is not None else {}
    planned = plan(found.offers, here, kept(history), folds=folds_case(history.folder))

    def is_new_run(arrived: Mapping[str, Path]) -> str | None:
        why = other_run(arrived, {path: task.root / path for path in here})
        if why is not None and partial:
            raise InconsistentData(
                f"{session.host} holds another run than this backup ({why}); with --only they would be mixed",
                file=str(task.root),
                hint="sync without --only: the backup's run is kept in the history",
            )
        if why is not None and other_camera(arrived, {o.path: task.root / o.path for o in planned.unchanged}):
            why += f"; {session.host} itself still holds frames of the earlier one among them"
        return why

    arrival = bring_home(
        session,
        history,
        planned,
        live,
        judge=judge,
        is_new_run=is_new_run,
        incarnation=found.incarnation,
        on_progress=say,
    )
    return planned, arrival


def _would(task: Task, session: Session, history: History, found: Found, *, verify: bool) -> SyncReport:
    """What a sync would do, by looking only."""
    if verify:
        found = look(task, session, hash_bytes=sum(o.bytes for o in found.offers))
    newest = history.newest()
    here = dict(newest.files) if newest is not None else {}
    for path, at in scan(task.root).items():
        if path not in here or not here[path].looks_like(at):
            here[path] = Entry(path, "", at.st_size, at.st_mtime_ns)
    planned = plan(found.offers, here, kept(history), folds=folds_case(task.root))
    live = replace(newest, files=here) if newest is not None else None
    report = from_listing(task, session.host, found, planned, live, planned.refused + planned.still_torn)
    return replace(
        report, dry_run=True, transferred_files=len(planned.wanted), transferred_bytes=planned.wanted_bytes
    )
