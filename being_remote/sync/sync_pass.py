"""One actor brought home once: look, settle, fetch, compare. What `sync` does, and a watch repeats.

Joins the tracker's readers with the backup: whether a file is whole, and whether the host holds
another run by now. Is handed an open session; the caller holds the backup's lock. Prints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from being_remote.backup.download import Arrival, BackupTarget, download_changed
from being_remote.backup.history import History
from being_remote.backup.interrupted_sync import keep_arrived
from being_remote.backup.manifest import Manifest
from being_remote.backup.reconcile import Reconciled, settle
from being_remote.backup.verification import VerifyResult, scrub
from being_remote.durable_files import NamedPaths
from being_remote.errors import HostError, InconsistentData, NotFoundError
from being_remote.local_path import folds_case
from being_remote.pod_client.listing import ListingAnswer, digest_of
from being_remote.session import OnProgress, Session
from being_remote.sync import unchanged as standstill
from being_remote.sync.file_examples import examples_of
from being_remote.sync.remote_files import ActorListing, ActorSync, found_by, inquire, is_as_listed, look
from being_remote.sync.remote_hashes import HashKnowledge, asker, learn
from being_remote.sync.run_change import changed_cameras, other_run
from being_remote.sync.sync_report import (
    ListingSummary,
    SyncReport,
    from_home,
    from_listing,
    notes,
    rotten,
    seen_in,
)
from being_remote.transfer.checked_files import Judge, find_fault
from being_remote.transfer.download_plan import DownloadPlan, plan_download
from being_remote.transfer.hash_comparison import HashQueries
from being_remote.transfer.known_hashes import load_known_hashes, save_known_hashes, split_digests
from being_remote.transfer.quarantine import read_quarantine

NO_ROT = VerifyResult(0, 0)


def bring_actor(
    task: ActorSync,
    session: Session,
    history: History,
    *,
    verify: bool,
    partial: bool,
    on_progress: OnProgress,
    found: ActorListing | None = None,
) -> SyncReport:
    """Bring what the host holds of one actor into its backup. The caller holds the lock.

    Args:
        task: whose files, from where, to where, of which kinds.
        session: an open way to that host.
        history: the backup's history; `task.root` is its folder.
        verify: read every byte again on both sides and compare; what rotted here is repaired.
        partial: not all kinds are asked for, so another run must not come among the rest.
        on_progress: told how far it is.
        found: what the host has, if it was asked just now.

    Raises:
        NotFoundError: the host has nothing of this actor.
        HostError: the host could not be asked, or the link failed; what arrived whole is kept.
        DataError: the disk here is full; a link lies in the backup; another run while `partial`.
    """
    started = time.monotonic()
    news = _news(task, session, history) if found is None and not verify else None
    if isinstance(news, SyncReport):
        return replace(news, phases_s=_phases(time.monotonic() - started, Arrival(None)))
    home = _look_after(task, history, verify=verify, on_progress=on_progress)
    try:
        asked = _decided(task, session, history, home, found or news, verify=verify)
    except (HostError, NotFoundError) as e:
        if not verify:
            raise
        return _alone(task, history, home, e)
    found = news = None  # of a hundred thousand files only those to be fetched stay in memory
    listed_s = time.monotonic() - started
    arrival, cameras = _fetched(task, session, history, asked, home.live, partial, on_progress)
    _remember(history, session.host, asked.learned, arrival, partial=partial)
    home = replace(home, cameras={**home.cameras, **cameras})
    report = _report(task, session, history, asked, home, arrival, verify=verify)
    certain = asked.learned.certain + arrival.certain == asked.seen.files
    settled = arrival.new_run is None and not arrival.being_written and not report.exit_code
    if certain and settled:
        standstill.remember(history, task, asked.found.digest, asked.seen, arrival.manifest)
    return replace(report, phases_s=_phases(listed_s, arrival))


def verify_home(task: ActorSync, history: History, why: HostError, on_progress: OnProgress) -> SyncReport:
    """The part of a verifying sync that needs no host, where there is none. The caller holds the lock.

    Raises:
        DataError: the disk here is full; a link lies in the backup.
    """
    return _alone(task, history, _look_after(task, history, verify=True, on_progress=on_progress), why)


def the_judge() -> Judge:
    """Who says whether one of the tracker's files is whole."""
    from being_remote.tracker import file_check as completeness

    return Judge(completeness.most_bytes, completeness.check_bytes)


def _news(task: ActorSync, session: Session, history: History) -> ListingAnswer | SyncReport | None:
    """What the host has, not read yet: a hundred thousand files need not lie in memory while the backup is
    put in order. Or the whole report, where neither side is other than the last sync left it; None where
    only this side is.
    """
    still = standstill.recall(history, task)
    with ThreadPoolExecutor(1) as pool:
        # The host is asked here and the disk looked at there: Ctrl-C must not wait for a silent host.
        here = pool.submit(still.is_home, history) if still is not None else None
        answer = inquire(task, session, unless=still.listing if still is not None else None)
        same_here = here is not None and here.result()
    if still is None or digest_of(answer) != still.listing:
        return answer
    return still.report(task) if same_here else None


@dataclass(frozen=True)
class _PassPlan:
    """What the host has, and what is to be fetched of it; `found` and `learned` without their files."""

    found: ActorListing
    seen: ListingSummary
    learned: HashKnowledge
    planned: DownloadPlan


def _decided(
    task: ActorSync,
    session: Session,
    history: History,
    home: _LocalBackup,
    news: ActorListing | ListingAnswer | None,
    *,
    verify: bool,
) -> _PassPlan:
    """Read what the host has, or ask for it, and decide about each file.

    Raises:
        NotFoundError, HostError: as `look`.
    """
    here = home.live.files if home.live is not None else {}
    if news is None:
        found = look(task, session, here=here)
    else:
        found = found_by(task, news, here) if isinstance(news, ListingAnswer) else news
    torn = read_quarantine(history)
    learned = learn(task, session, history, found, here, torn, everything=verify)
    most_bytes = the_judge().most_bytes
    folds = folds_case(history.history_folder)
    planned = plan_download(
        learned.offers, here, torn, refused=found.refused, folds=folds, most_bytes=most_bytes
    )
    seen = seen_in(task, session.host, found, planned, home.live)
    return _PassPlan(replace(found, offers=()), seen, replace(learned, offers=()), planned)


@dataclass(frozen=True)
class _LocalBackup:
    """The backup, put in order: `live` is its newest snapshot.

    `cameras` are frames that came with another camera, each with both in words.
    """

    settled: Reconciled
    live: Manifest | None
    scrubbed: VerifyResult
    cameras: Mapping[str, str]


def _look_after(task: ActorSync, history: History, *, verify: bool, on_progress: OnProgress) -> _LocalBackup:
    """Put the backup in order before the host is believed about anything."""
    judge = the_judge()
    scrubbed = scrub(history, on_progress) if verify else NO_ROT
    settled = settle(history, judge, deep=verify)

    cameras: dict[str, str] = {}

    def another(arrived: Mapping[str, Path]) -> str | None:
        before = settled.manifest
        if before is not None:
            cameras.update(changed_cameras(arrived, _live_files(task, before), before.number))
        return other_run(arrived, _live_files(task, before), {})

    live = keep_arrived(history, judge, settled.manifest, another)
    return _LocalBackup(settled, live, scrubbed, cameras if live is not settled.manifest else {})


def _fetched(
    task: ActorSync,
    session: Session,
    history: History,
    asked: _PassPlan,
    live: Manifest | None,
    partial: bool,
    on_progress: OnProgress,
) -> tuple[Arrival, Mapping[str, str]]:
    """Fetch what is planned; also tell which frames came with another camera."""
    found, planned = asked.found, asked.planned
    cameras: dict[str, str] = {}

    def is_new_run(arrived: Mapping[str, Path]) -> str | None:
        if live is not None:
            cameras.update(changed_cameras(arrived, _live_files(task, live), live.number))
        still = NamedPaths(planned.unchanged, lambda path: task.root / path)
        why = other_run(arrived, _live_files(task, live), still)
        if why is not None and partial:
            raise InconsistentData(
                f"{session.host} holds another run than this backup ({why}); with --only they would be mixed",
                file=str(task.root),
                hint="sync without --only: the backup's run is kept in the history",
            )
        return why

    arrival = download_changed(
        session,
        BackupTarget(history, live, the_judge(), is_new_run, found.incarnation, asked.learned.confirmed),
        planned,
        HashQueries(asker(task, session), lambda: is_as_listed(task, session, found), found.clock_ns),
        on_progress,
    )
    return arrival, cameras


def _live_files(task: ActorSync, live: Manifest | None) -> Mapping[str, Path]:
    return NamedPaths(live.files if live is not None else {}, lambda path: task.root / path)


def _remember(
    history: History, host: str, learned: HashKnowledge, arrival: Arrival, *, partial: bool
) -> None:
    """Keep what is known of the host's bytes; of the kinds that were not asked for, what was known."""
    if not arrival.facts and not learned.new and (partial or not learned.lost):
        return
    now = learned.facts + arrival.facts
    save_known_hashes(
        history, host, load_known_hashes(history, host).union(split_digests(now)) if partial else (now,)
    )


def _phases(listed_s: float, arrival: Arrival) -> dict[str, float]:
    return {"list": listed_s, "transfer": arrival.transfer_s, "check": arrival.check_s}


def _report(
    task: ActorSync,
    session: Session,
    history: History,
    asked: _PassPlan,
    home: _LocalBackup,
    arrival: Arrival,
    *,
    verify: bool,
) -> SyncReport:
    planned = asked.planned
    damaged = tuple(dict.fromkeys((*home.scrubbed.unreadable, *home.settled.damaged)))
    aside = (
        *home.settled.set_aside,
        *planned.refused,
        *planned.still_torn,
        *arrival.set_aside,
        *arrival.left_out,
    )
    quarantined = {a.path: a for a in aside}  # the later word about a file counts
    untold = planned.unhashed if verify else ()
    mismatched = [*arrival.mismatched, *untold]
    rots = rotten(home.scrubbed.rots, lambda sha256: find_fault(history.object(sha256), sha256) is None)
    unsound = {a.path for a in home.settled.unsound}
    report = from_listing(task, session.host, asked.seen, planned, home.live, tuple(quarantined.values()))
    manifest = arrival.manifest
    return replace(
        report,
        transferred_files=arrival.transferred_files,
        transferred_bytes=arrival.transferred_bytes,
        verified=len(set(planned.unchanged).difference(untold, unsound)) + arrival.compared
        if verify
        else None,
        mismatched=examples_of(mismatched),
        being_written=examples_of(arrival.being_written),
        rotten=rots,
        damaged=damaged,
        snapshot=manifest.number if manifest is not None else None,
        adopted=examples_of(home.settled.adopted),
        new_run=arrival.new_run,
        replaced=arrival.replaced or home.settled.replaced,
        camera_changed=examples_of(list(home.cameras)),
        unsound=examples_of(sorted(unsound)),
        method=arrival.method,
        warnings=(
            *report.warnings,
            *notes(session.host, home.settled, arrival, home.live, mismatched, rots, home.cameras),
        ),
    )


def _alone(
    task: ActorSync, history: History, home: _LocalBackup, why: HostError | NotFoundError
) -> SyncReport:
    """What there is to say when the host could not be asked."""
    rots = rotten(home.scrubbed.rots, lambda sha256: find_fault(history.object(sha256), sha256) is None)
    report = from_home(task, home.live, home.settled.set_aside)
    return replace(
        report,
        adopted=examples_of(home.settled.adopted),
        rotten=rots,
        damaged=tuple(dict.fromkeys((*home.scrubbed.unreadable, *home.settled.damaged))),
        host_error=str(why),
        replaced=home.settled.replaced,
        camera_changed=examples_of(list(home.cameras)),
        unsound=examples_of([a.path for a in home.settled.unsound]),
        warnings=tuple(notes(task.host.name, home.settled, None, home.live, (), rots, home.cameras)),
    )
