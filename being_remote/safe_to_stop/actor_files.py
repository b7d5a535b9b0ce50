"""An actor's files on a host, as `sync` downloads them: is each of them in the backup?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from being_remote.backup.history import History
from being_remote.backup_sync.remote_files import ActorSync, folder_queries, read_listing
from being_remote.errors import NotFoundError
from being_remote.local_path import PathCollisions, folds_case
from being_remote.pod_client.listing import Listing
from being_remote.safe_to_stop.coverage import unlisted_reasons
from being_remote.safe_to_stop.host_files import NOT_HASHED, HostFile
from being_remote.safe_to_stop.local_copies import LocalCopies, find_missing
from being_remote.safe_to_stop.reasons import (
    ActorRow,
    Findings,
    Reason,
    count_files,
    describe,
    unread_reason,
)
from being_remote.safe_to_stop.result_names import is_result
from being_remote.tracker import layout
from being_remote.transfer.download_plan import RemoteFile, name_refused
from being_remote.transfer.hash_comparison import SETTLE_NS
from being_remote.transfer.known_hashes import load_known_hashes, version_digest
from being_remote.transfer.quarantine import quarantine_of


@dataclass(frozen=True)
class ListedActor:
    """What a host's listing says of one actor.

    Attributes:
        files: in the order of the listing; with the hash of those that have not changed since a sync.
        offers, warnings: the same as `sync` sees it.
        unlisted: why there may be more files.
        links: results that are links.
        exists: whether the host holds anything of the actor.
    """

    task: ActorSync
    unlisted: Sequence[Reason]
    files: Sequence[HostFile] = ()
    offers: Sequence[RemoteFile] = ()
    warnings: Sequence[str] = ()
    links: Sequence[PurePosixPath] = ()
    exists: bool = False


def read_actor(task: ActorSync, listing: Listing) -> ListedActor:
    """The actor's part of a listing of `folder_queries(task)`."""
    asked = list(zip(folder_queries(task), listing.folders, strict=True))
    unlisted = [reason for query, listed in asked for reason in unlisted_reasons(query, listed)]
    try:
        found = read_listing(task, listing)
    except NotFoundError:
        return ListedActor(task, unlisted)
    links = [
        query.path / name.decode("utf-8", "surrogateescape")
        for query, listed in asked
        for name, _ in listed.skipped
        if is_result(name.decode("utf-8", "surrogateescape"))
    ]
    history = History(task.root)
    facts, newest = load_known_hashes(history, task.host.name), history.newest()
    entries = newest.files if newest is not None else {}

    def known_hash(offer: RemoteFile) -> str | None:
        entry = entries.get(offer.path)
        return entry.sha256 if entry is not None and version_digest(offer, entry.sha256) in facts else None

    files = [
        HostFile(o.path, o.origin.source, o.name, o.bytes, o.mtime_ns, known_hash(o)) for o in found.offers
    ]
    return ListedActor(task, unlisted, files, found.offers, found.warnings, links, exists=True)


@dataclass(frozen=True)
class ActorFileGroup:
    """The kinds of files that a sync downloads. `now_ns` is the host's clock."""

    listed: ListedActor
    now_ns: int

    @property
    def files(self) -> Sequence[HostFile]:
        return self.listed.files

    def compare(self, files: Sequence[HostFile]) -> Findings:
        """What of the hashed files is not local, and why."""
        task, history = self.listed.task, History(self.listed.task.root)
        name, host = task.actor.name, task.host.name
        sync = f"sync --actor {name} --host {host}"
        unread = [file for file in files if file.sha256 is None]
        missing = find_missing(history, [f for f in files if f.sha256 is not None], by_path=True)
        refusals = _name_refusals(task, self.listed.offers, history)
        quarantined = {
            (path, one.sha256) for path, ones in quarantine_of(history).read().items() for one in ones
        }
        refused = [file for file in missing if file.path in refusals]
        torn = [f for f in missing if (f.path, f.sha256) in quarantined and f not in refused]
        young = [file for file in torn if self.now_ns - file.mtime_ns < SETTLE_NS]
        old = [file for file in torn if file not in young]
        to_sync = [file for file in missing if file not in refused and file not in torn]
        reasons = []
        if to_sync:
            reasons.append(Reason("files", "no", f"not local: {describe(to_sync)} of {name}", sync))
        if young:
            what = f"still being written on {host}: {describe(young)} of {name}"
            reasons.append(Reason("files", "no", what, f"wait a moment, then {sync}"))
        if old:
            what = f"torn on {host}, and quarantined here with the same bytes: {describe(old)} of {name}"
            next_step = f"track them again; or remove them on {host} if nothing can repair them"
            reasons.append(Reason("files", "no", what, next_step))
        if refused:
            why = refusals[refused[0].path]
            what = f"not local, because the name is refused: {describe(refused)} of {name}: {why}"
            reasons.append(Reason("files", "no", what, f"rename it on {host}, then {sync}"))
        if links := self.listed.links:
            what = f"{str(links[0])!r} is a link, and links are not followed ({len(links)} of {name})"
            reasons.append(Reason("files", "no", what, "put the file itself in the place of the link"))
        reasons += unread_reason("files", unread, f"of {name}", host)
        size = sum(file.bytes for file in files)
        row = ActorRow(name, len(files), size, count_files([*missing, *unread]))
        actors = (row,) if self.listed.exists else ()
        return Findings((*reasons, *self.listed.unlisted), self.listed.warnings, actors=actors)


@dataclass(frozen=True)
class SourceFiles:
    """Source pictures and videos, which a sync downloads only on request: can they be had elsewhere?

    Pictures in `source/` are cut from the video beside them, so they are no loss where that video is local.
    """

    listed: ListedActor
    local: LocalCopies

    @property
    def files(self) -> Sequence[HostFile]:
        return self.listed.files

    def compare(self, files: Sequence[HostFile]) -> Findings:
        """What of the hashed files is not local and cannot be made again."""
        task = self.listed.task
        name, host = task.actor.name, task.host.name
        unread = [file for file in files if file.sha256 is None]
        hashed = [file for file in files if file.sha256 is not None]
        missing = self.local.find_missing(self.local.find_unlike_original(task.actor, hashed))
        # What is torn on the host, too, is kept in quarantine with the same bytes.
        quarantined = {
            one.sha256 for ones in quarantine_of(History(task.root)).read().values() for one in ones
        }
        missing = [file for file in missing if file.sha256 not in quarantined - {NOT_HASHED}]
        videos = [file for file in files if PurePosixPath(file.path).name == layout.VIDEO]
        pictures = [file for file in missing if file not in videos]
        if pictures and any(video not in missing and video not in unread for video in videos):
            note = f"{describe(pictures)} of {name} not local, but the video that they were cut from is"
            return Findings(self.listed.unlisted, (note, *self.listed.warnings))
        has_pictures = any(file not in videos for file in files)
        lost = pictures if has_pictures else missing
        reasons = []
        if lost:
            what = f"not local: {describe(lost)} of {name}" + (
                ", and no local video to cut them from" if has_pictures else ""
            )
            reasons.append(Reason("files", "no", what, f"sync --actor {name} --host {host} --only sources"))
        reasons += unread_reason("files", unread, f"of {name}", host)
        return Findings((*reasons, *self.listed.unlisted), self.listed.warnings)


def _name_refusals(task: ActorSync, offers: Sequence[RemoteFile], history: History) -> dict[str, str]:
    """The files that cannot be stored here under their names, and why."""
    newest = history.newest()
    entries = newest.files if newest is not None else {}
    taken, refusals = PathCollisions(entries, folds=folds_case(task.root)), {}
    for offer in sorted(offers, key=lambda o: (o.path not in entries, o.path)):
        why = name_refused(offer) or taken.clash(offer.path)
        if why is None:
            taken.add(offer.path)
        else:
            refusals[offer.path] = why
    return refusals
