"""One pass of a sync: repair the backup, list the host, download, compare, report. A watch repeats it.

Joins the tracker's readers with the backup: whether a file is whole, and whether the host holds another run
by now. The caller holds the backup's lock.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from being_remote.backup.history import History
from being_remote.backup.incoming import keep_arrived
from being_remote.backup.live_tree import scan
from being_remote.backup.manifest import Manifest
from being_remote.backup.new_snapshot import Arrival, BackupTarget, download_changed
from being_remote.backup.prune import merge_snapshots
from being_remote.backup.reconcile import ReconcileResult, settle
from being_remote.backup.verification import Inspection, VerifyResult, inspect, scrub
from being_remote.backup_sync.last_pass import recall_last_pass, remember_last_pass
from being_remote.backup_sync.remote_files import (
    FIRST_WAVES,
    ActorListing,
    ActorSync,
    ask_for_listing,
    is_as_listed,
    list_actor_files,
    read_answer,
)
from being_remote.backup_sync.remote_hashes import HashKnowledge, learn_hashes
from being_remote.backup_sync.run_change import changed_cameras, other_run
from being_remote.backup_sync.sync_report import (
    ListingSummary,
    SyncReport,
    inspection_warnings,
    pass_warnings,
    report_corrupt,
    report_local,
    report_plan,
    summarize_listing,
)
from being_remote.durable_files import NamedPaths
from being_remote.errors import HostError, InconsistentData, NotFoundError
from being_remote.local_path import folds_case
from being_remote.pod_client.listing import ListingAnswer, digest_of
from being_remote.session import NO_FEEDBACK, Feedback, OnProgress, Session
from being_remote.tracker.layout import FRAME_SUFFIX, KINDS
from being_remote.transfer.checked_files import Judge, StoredFile, find_fault
from being_remote.transfer.download_plan import DownloadPlan, plan_download
from being_remote.transfer.hash_comparison import Arrivals, HashQueries, ask_hashes
from being_remote.transfer.known_hashes import load_known_hashes, save_known_hashes, split_digests
from being_remote.transfer.quarantine import quarantine_of
from being_remote.wording import count_noun, examples_of, size_words

# Meshes, pictures and logs of so many bytes are downloaded apart, once the frames are safe.
LONG_BYTES = 64 << 20


def tracker_judge() -> Judge:
    """What decides whether one of the tracker's files is whole."""
    from being_remote.tracker import file_check

    return Judge(file_check.most_bytes, file_check.check_bytes)


@dataclass(frozen=True)
class LocalBackup:
    """The backup once it is repaired: `live` is its newest snapshot.

    `cameras` are frames that arrived with another camera, each with both in words.
    """

    settled: ReconcileResult
    live: Manifest | None
    scrubbed: VerifyResult
    cameras: Mapping[str, str]


@dataclass(frozen=True)
class _PassPlan:
    """What the host has, and what to download; `found` and `learned` without their files."""

    found: ActorListing
    summary: ListingSummary
    learned: HashKnowledge
    planned: DownloadPlan


@dataclass(frozen=True)
class SyncPass:
    """One actor's files on one host, and their backup.

    Attributes:
        this_machine: a session of this machine, which looks at the live tree while the host answers.
        verify: read every byte again on both sides and compare; corrupt files here are repaired.
        partial: not all kinds are asked for, so another run must not be mixed with the rest.
        feedback: is told, too, once the frames are safe, where the rest takes long.
    """

    task: ActorSync
    session: Session
    this_machine: Session
    history: History
    verify: bool = False
    partial: bool = False
    feedback: Feedback = NO_FEEDBACK

    def run(self, found: ActorListing | None = None) -> SyncReport:
        """Download what the host has. `found` is its listing, if it was just made.

        Raises:
            NotFoundError: the host has nothing of this actor.
            HostError: no answer, or the link failed; what arrived whole is kept.
            DataError: the disk here is full; a link lies in the backup; another run while `partial`.
        """
        started = time.monotonic()
        news = self._ask_for_news() if found is None and not self.verify else None
        if isinstance(news, SyncReport):
            return replace(news, phases_s=_phases(time.monotonic() - started, Arrivals()))
        backup = repair_backup(
            self.task, self.history, verify=self.verify, on_progress=self.feedback.on_progress
        )
        try:
            planned = self._plan(backup.live, found or news)
        except (HostError, NotFoundError) as e:
            if not self.verify:
                raise
            return report_without_host(self.task, self.history, backup, e)
        found = news = None  # of a hundred thousand files only those to download stay in memory
        listed_s = time.monotonic() - started
        arrival, cameras = self._download(planned, backup.live)
        self._remember_hashes(planned.learned, arrival.got)
        backup = replace(backup, cameras={**backup.cameras, **cameras})
        report = self._report(planned, backup, arrival)
        certain = planned.learned.certain + arrival.got.certain == planned.summary.files
        if certain and arrival.new_run is None and not arrival.got.unfinished and not report.exit_code:
            digest, live = planned.found.digest, arrival.manifest
            remember_last_pass(self.history, self.task, self.this_machine, digest, planned.summary, live)
        return replace(report, phases_s=_phases(listed_s, arrival.got))

    def _ask_for_news(self) -> ListingAnswer | SyncReport | None:
        """What the host answers, not read yet, so that a hundred thousand files need no memory meanwhile.

        Or the whole report, where nothing changed on either side since the last pass; None where only this
        side changed.
        """
        last = recall_last_pass(self.history, self.task)
        with ThreadPoolExecutor(1) as pool:
            # The disk is looked at in the thread and the host asked here: Ctrl-C must not wait for the host.
            same = pool.submit(last.is_unchanged, self.history, self.this_machine) if last else None
            answer = ask_for_listing(self.task, self.session, unless=last.listing if last else None)
            same_here = same is not None and same.result()
        if last is None or digest_of(answer) != last.listing:
            return answer
        return last.report(self.task) if same_here else None

    def _plan(self, live: Manifest | None, news: ActorListing | ListingAnswer | None) -> _PassPlan:
        """Read or ask what the host has, and decide about each file."""
        entries = live.files if live is not None else {}
        if news is None:
            found = list_actor_files(self.task, self.session, entries)
        elif isinstance(news, ListingAnswer):
            found = read_answer(self.task, news, entries)
        else:
            found = news
        history, verify = self.history, self.verify
        learned, planned = plan_files(self.task, self.session, history, found, entries, everything=verify)
        summary = summarize_listing(self.task, found, planned, live)
        return _PassPlan(replace(found, offers=()), summary, replace(learned, offers=()), planned)

    def _download(self, planned: _PassPlan, live: Manifest | None) -> tuple[Arrival, Mapping[str, str]]:
        """Download what is planned, and say which frames arrived with another camera.

        Where the rest takes long, what cannot be made again becomes a snapshot of its own first.
        """
        cameras: dict[str, str] = {}
        parts = split_plan(planned.planned)
        arrival = self._download_part(planned, parts[0], live, cameras)
        for part in parts[1:]:
            safe = arrival.manifest
            self.feedback.say(_describe_safe(safe, part))
            arrival = arrival.followed_by(self._download_part(planned, _after(part, safe), safe, cameras))
            if safe is not live and safe is not None and arrival.manifest is not None:
                merge_snapshots(self.history, safe, arrival.manifest)
        return arrival, cameras

    def _download_part(
        self, planned: _PassPlan, part: DownloadPlan, live: Manifest | None, cameras: dict[str, str]
    ) -> Arrival:
        def is_new_run(arrived: Mapping[str, Path]) -> str | None:
            if live is not None:
                cameras.update(changed_cameras(arrived, _live_files(self.task, live), live.number))
            still = NamedPaths(part.unchanged, lambda path: self.task.root / path)
            why = other_run(arrived, _live_files(self.task, live), still)
            if why is not None and self.partial:
                raise InconsistentData(
                    f"{self.session.host} holds another run than this backup ({why}); --only would mix them",
                    file=str(self.task.root),
                    hint="sync without --only: the earlier run is kept in the history",
                )
            return why

        found, judge = planned.found, tracker_judge()
        target = BackupTarget(
            self.history, live, judge, is_new_run, found.incarnation, planned.learned.confirmed
        )
        queries = HashQueries(
            functools.partial(ask_hashes, self.session, self.task.host.python),
            lambda: is_as_listed(self.task, self.session, found),
            found.clock_ns,
        )
        return download_changed(self.session, target, part, queries, self.feedback.on_progress)

    def _remember_hashes(self, learned: HashKnowledge, got: Arrivals) -> None:
        """Keep what is known of the host's bytes; of the kinds that were not asked for, what was known."""
        if not got.facts and not learned.new and (self.partial or not learned.lost):
            return
        now, host = learned.facts + got.facts, self.session.host
        earlier = load_known_hashes(self.history, host) if self.partial else frozenset[bytes]()
        save_known_hashes(self.history, host, earlier.union(split_digests(now)) if self.partial else (now,))

    def _report(self, planned: _PassPlan, backup: LocalBackup, arrival: Arrival) -> SyncReport:
        settled, files, got = backup.settled, planned.planned, arrival.got
        refused = (
            *settled.quarantined,
            *files.refused,
            *files.still_torn,
            *arrival.quarantined,
            *arrival.left_out,
        )
        quarantined = tuple({file.path: file for file in refused}.values())  # the last word on a file counts
        unhashed = files.unhashed if self.verify else ()
        mismatched = [*got.mismatched, *unhashed]
        report = report_plan(self.task, planned.summary, files, backup.live, quarantined)
        report = _add_backup(report, self.history, backup, arrival, mismatched)
        unsound = {file.path for file in settled.unsound}
        same = len(set(files.unchanged).difference(unhashed, unsound)) + got.compared
        return replace(
            report,
            transferred_files=got.transferred_files,
            transferred_bytes=got.transferred_bytes,
            verified=same if self.verify else None,
            mismatched=examples_of(mismatched),
            being_written=examples_of(got.unfinished),
            snapshot=arrival.manifest.number if arrival.manifest is not None else None,
            new_run=arrival.new_run,
            replaced=arrival.replaced or settled.replaced,
            method=got.method,
        )


def split_plan(planned: DownloadPlan) -> tuple[DownloadPlan, ...]:
    """What cannot be made again and the rest, where that takes long; else the plan as it is."""
    first = tuple(offer for offer in planned.wanted if offer.origin.wave in FIRST_WAVES)
    rest = tuple(offer for offer in planned.wanted if offer.origin.wave not in FIRST_WAVES)
    if not first or sum(offer.bytes for offer in rest) < LONG_BYTES:
        return (planned,)
    return replace(planned, wanted=first), replace(planned, wanted=rest)


def _after(rest: DownloadPlan, safe: Manifest | None) -> DownloadPlan:
    """The rest of a plan once `safe` is live: what came before it is unchanged now."""
    return replace(rest, unchanged=tuple(safe.files) if safe is not None else ())


def _describe_safe(safe: Manifest | None, rest: DownloadPlan) -> str:
    kinds = ", ".join(KINDS[rank] for rank in sorted({offer.origin.rank for offer in rest.wanted}))
    follow = f"{kinds} follow ({size_words(rest.wanted_bytes)}); Ctrl-C leaves them to the next sync"
    if safe is None:
        return follow
    frames = sum(path.endswith(FRAME_SUFFIX) for path in safe.files)
    what = count_noun(frames, "frame") if frames else count_noun(len(safe.files), "file")
    return f"safe in snapshot {safe.number}: {what}; {follow}"


def plan_files(
    task: ActorSync,
    session: Session,
    history: History,
    found: ActorListing,
    entries: Mapping[str, StoredFile],
    *,
    everything: bool,
) -> tuple[HashKnowledge, DownloadPlan]:
    """Ask for the hashes that are needed, and decide about each file; as `learn_hashes`."""
    quarantined = quarantine_of(history).read()
    learned = learn_hashes(task, session, history, found, entries, quarantined, everything=everything)
    planned = plan_download(
        learned.offers,
        entries,
        quarantined,
        refused=found.refused,
        folds=folds_case(history.history_folder),
        most_bytes=tracker_judge().most_bytes,
    )
    return learned, planned


def repair_backup(task: ActorSync, history: History, *, verify: bool, on_progress: OnProgress) -> LocalBackup:
    """Repair the backup before anything from the host is used. The caller holds the lock.

    Raises:
        DataError: the disk here is full; a link lies in the backup.
    """
    judge = tracker_judge()
    scrubbed = scrub(history, on_progress) if verify else VerifyResult(0, 0)
    settled = settle(history, judge, deep=verify)
    before, cameras = settled.manifest, dict[str, str]()

    def is_new_run(arrived: Mapping[str, Path]) -> str | None:
        if before is not None:
            cameras.update(changed_cameras(arrived, _live_files(task, before), before.number))
        return other_run(arrived, _live_files(task, before), {})

    live = keep_arrived(history, judge, before, is_new_run)
    return LocalBackup(settled, live, scrubbed, cameras if live is not before else {})


def report_without_host(
    task: ActorSync, history: History, backup: LocalBackup, why: HostError | NotFoundError
) -> SyncReport:
    """The part of a verifying sync that needs no host."""
    report = report_local(task, backup.live, backup.settled.quarantined)
    return _add_backup(replace(report, host_error=str(why)), history, backup, None, ())


def _add_backup(
    report: SyncReport,
    history: History,
    backup: LocalBackup,
    arrival: Arrival | None,
    mismatched: Sequence[str],
) -> SyncReport:
    """Add what was found in the backup, and all warnings."""
    settled, scrubbed = backup.settled, backup.scrubbed
    corrupt = report_corrupt(
        scrubbed.corrupt, lambda sha256: find_fault(history.object(sha256), sha256) is None
    )
    warnings = pass_warnings(report.host, settled, arrival, backup.live, mismatched, corrupt, backup.cameras)
    return replace(
        report,
        rotten=corrupt,
        damaged=tuple(dict.fromkeys((*scrubbed.unreadable, *settled.damaged))),
        adopted=examples_of(settled.adopted),
        replaced=settled.replaced,
        camera_changed=examples_of(list(backup.cameras)),
        unsound=examples_of(sorted({file.path for file in settled.unsound})),
        warnings=(*report.warnings, *warnings),
    )


def _live_files(task: ActorSync, live: Manifest | None) -> Mapping[str, Path]:
    return NamedPaths(live.files if live is not None else {}, lambda path: task.root / path)


def _phases(listed_s: float, got: Arrivals) -> dict[str, float]:
    return {"list": listed_s, "transfer": got.transfer_s, "check": got.check_s}


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
    corrupt = {one.sha256 for one in read.corrupt}
    for path in [path for path, e in entries.items() if e.sha256 in corrupt and path not in read.sound]:
        del entries[path]  # would be downloaded, unless the live file of another path has the same bytes
    _, planned = plan_files(task, session, history, found, entries, everything=verify)
    live = replace(newest, files=entries) if newest is not None else None
    summary = summarize_listing(task, found, planned, live)
    report = report_plan(task, summary, planned, live, planned.refused + planned.still_torn)
    return replace(
        report,
        dry_run=True,
        transferred_files=len(planned.wanted),
        transferred_bytes=planned.wanted_bytes,
        verified=len(read.sound & (set(planned.unchanged) - set(planned.unhashed))) if verify else None,
        rotten=report_corrupt(read.corrupt, lambda _sha256: False),
        damaged=tuple(dict.fromkeys((*read.unreadable, *damaged))),
        warnings=(*report.warnings, *inspection_warnings(read, session.host)),
    )
