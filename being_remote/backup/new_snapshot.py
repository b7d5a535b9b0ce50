"""From what is wanted to a new snapshot: download, check, commit, refresh the live tree.

A file becomes live only if the judge finds it whole and its bytes are those that the host has. Knows of
files only their names and bytes: whether one is whole is for the judge to say, and whether the host now
holds another run than the backup is for the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from being_remote.backup.history import History
from being_remote.backup.history_copies import copy_from_history
from being_remote.backup.incoming import IncomingFolder, note_contents, remove_note
from being_remote.backup.manifest import Manifest
from being_remote.backup.reconcile import ReconcileResult, Replacement, settle
from being_remote.disk import no_space
from being_remote.durable_files import NamedPaths, is_nearly_full, share_blocks, sync_files
from being_remote.session import OnProgress, Session
from being_remote.transfer.checked_files import Judge, StoredFile
from being_remote.transfer.disk_room import left_out_files, share_room
from being_remote.transfer.download import download
from being_remote.transfer.download_plan import DownloadPlan, RemoteFile
from being_remote.transfer.hash_comparison import Arrivals, HashQueries
from being_remote.transfer.quarantine import QuarantinedFile

# Good files that arrived (path -> where they lie now) -> why they belong to another run, or None.
IsNewRun = Callable[[Mapping[str, Path]], str | None]


@dataclass(frozen=True)
class BackupTarget:
    """The backup that files are downloaded into, and who decides about them. The caller holds the lock.

    `confirmed` are new entries of live files of no known host, which this one holds with the same hash. Which
    run a file is of rests on them.
    """

    history: History
    live: Manifest | None
    judge: Judge
    is_new_run: IsNewRun
    incarnation: Mapping[str, str | int | None] | None
    confirmed: Mapping[str, StoredFile] = field(default_factory=dict)


@dataclass(frozen=True)
class Arrival:
    """What a download changed.

    Attributes:
        manifest: the snapshot that is live now.
        got: what arrived, without its good files: those are in the snapshot.
        quarantined: torn or unsafe files.
        new_run: why the live tree was replaced as a whole, by `replaced`.
        left_out: files that do not fit on the local disk; not downloaded.
    """

    manifest: Manifest | None
    got: Arrivals = field(default_factory=Arrivals)
    quarantined: tuple[QuarantinedFile, ...] = ()
    new_run: str | None = None
    replaced: Replacement | None = None
    left_out: tuple[QuarantinedFile, ...] = ()

    def followed_by(self, later: Arrival) -> Arrival:
        """What this part of a download and a later one changed together."""
        return Arrival(
            later.manifest,
            self.got.followed_by(later.got),
            (*self.quarantined, *later.quarantined),
            self.new_run or later.new_run,
            self.replaced or later.replaced,
            (*self.left_out, *later.left_out),
        )


def download_changed(
    session: Session,
    target: BackupTarget,
    planned: DownloadPlan,
    asking: HashQueries,
    on_progress: OnProgress,
) -> Arrival:
    """Fetch what is wanted, check it, and make it the newest snapshot.

    When the link fails, what arrived whole is kept first, unless it belongs to another run.

    Raises:
        HostError: the fetch failed; a repeated sync continues where it stopped.
        NoSpace: there is room for nothing of what is to be fetched.
    """
    history, host = target.history, session.host
    if not planned.wanted:
        return Arrival(_commit_confirmed(target, host).manifest)
    folder = IncomingFolder(history, host, target.live.files if target.live is not None else {})
    folder.drop_halves(planned.wanted)  # before anything is left out for want of their room
    room = folder.share_room(planned.wanted)
    if not room.fit:
        if is_nearly_full(history.root):
            raise no_space(history.root, planned.wanted_bytes)
        manifest = _commit_confirmed(target, host).manifest
        return Arrival(manifest, left_out=left_out_files(history.root, room.left_out))
    planned = replace(planned, wanted=room.fit)
    if target.live is not None and target.live.why == "restored":
        copy_from_history(history, folder, planned.wanted)
    got = download(session, folder, planned.wanted, target.judge, asking, on_progress)

    new_run = target.is_new_run(_good_files(folder, got)) if target.live is not None else None
    if got.failure is not None and new_run is not None:
        raise got.failure
    left_out = [*room.left_out, *_leave_out_what_cannot_live(history, folder, got)]
    nothing_fits = bool(left_out) and not got.good and is_nearly_full(history.root)
    if nothing_fits or (new_run is not None and _lacks_a_kind(got, left_out)):
        raise no_space(history.root, sum(offer.bytes for offer in left_out))
    quarantined = tuple(folder.quarantine.keep(seen, offer.mtime_ns) for seen, offer in got.torn)
    settled = _commit(target, planned, folder, got, new_run) if got.good else _commit_confirmed(target, host)
    remove_note(history)
    if got.failure is not None:
        raise got.failure
    got.forget_good()
    left_out_rows = left_out_files(history.root, left_out)
    return Arrival(settled.manifest, got, quarantined, new_run, settled.replaced, left_out_rows)


def _lacks_a_kind(got: Arrivals, left_out: Sequence[RemoteFile]) -> bool:
    """Whether another run would become live without any of its frames, its box, ..."""
    lacking = {offer.origin.rank for offer in left_out if offer.origin.is_precious}
    return not lacking <= {offer.origin.rank for offer in got.good_offers}


def _leave_out_what_cannot_live(
    history: History, folder: IncomingFolder, got: Arrivals
) -> Sequence[RemoteFile]:
    """Take out of the good files those whose live copies do not fit: they stay in incoming."""
    if not got.good or share_blocks(folder.file(got.good_offers[0]), history.scratch):
        return ()
    room = share_room(history.root, got.good_offers, lambda offer: got.good[offer.path].bytes)
    got.drop_good([offer.path for offer in room.left_out])
    return room.left_out


def _commit(
    target: BackupTarget, planned: DownloadPlan, folder: IncomingFolder, got: Arrivals, new_run: str | None
) -> ReconcileResult:
    """Make the good files durable, then a snapshot, then live."""
    history, live = target.history, target.live
    files: Mapping[str, StoredFile] = got.good
    if live is not None:
        here = {**live.files, **target.confirmed}
        base = {path: here[path] for path in planned.unchanged} if new_run is not None else here
        files = {**base, **got.good}
    contents = [
        (offer, entry.sha256) for offer, entry in zip(got.good_offers, got.good.values(), strict=True)
    ]
    note_contents(history, ((offer.path, sha256) for offer, sha256 in contents))
    sync_files(history.root, (folder.file(offer) for offer, _ in contents))
    history.keep((folder.file(offer), sha256) for offer, sha256 in contents)
    made = history.commit(
        files, why="sync", host=folder.host, incarnation=target.incarnation, new_tree=new_run is not None
    )
    return settle(history, target.judge, committed=(made, live))


def _commit_confirmed(target: BackupTarget, host: str) -> ReconcileResult:
    """The live snapshot, or a new one that says which host holds the files that were put here by hand."""
    if target.live is None or not target.confirmed:
        return ReconcileResult(target.live)
    files = {**target.live.files, **target.confirmed}
    made = target.history.commit(files, why="sync", host=host, incarnation=target.incarnation)
    return settle(target.history, target.judge, committed=(made, target.live))


def _good_files(folder: IncomingFolder, got: Arrivals) -> NamedPaths:
    """Where the good files lie."""
    offers = {offer.path: offer for offer in got.good_offers}
    return NamedPaths(offers, lambda path: folder.file(offers[path]))
