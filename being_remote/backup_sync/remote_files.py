"""What a host holds of one actor: which folders are listed, and which of their files count."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from being_remote.errors import NotFoundError, UsageError
from being_remote.foreign_text import quote
from being_remote.inventory import Actor, LocalHost, SshHost
from being_remote.pod_client.listing import (
    MAX_FILES,
    FolderQuery,
    ListedFile,
    ListedFolder,
    Listing,
    ListingAnswer,
    ask_listing,
    digest_of,
    read_each,
)
from being_remote.session import Session
from being_remote.tracker.layout import FRAME_SUFFIX, KINDS, Place
from being_remote.transfer.checked_files import StoredFile
from being_remote.transfer.download_plan import RemoteFile, RemoteFolder
from being_remote.transfer.quarantine import QuarantinedFile
from being_remote.wording import list_some

# So many files of one folder are listed; logs, which any program may write, are the least precious.
MOST_FILES = 200_000
MOST_LOGS = 20_000
# What is downloaded together: frames, box, identity and settings; landmarks; pictures and meshes; the video;
# logs.
_WAVES = {"kpt": 1, "meshes": 2, "crops": 2, "sources": 3, "logs": 4}
FIRST_WAVES = (0, 1)
_NOT_PRECIOUS = ("meshes", "crops", "logs")
# What a backup on the host replaces when the tracker's own output is missing.
_FALLBACK = ("checkpoints", "bbox")


@dataclass(frozen=True)
class ActorSync:
    """Whose files, from which host, to which backup (`root`), of which kinds (`places`)."""

    actor: Actor
    host: SshHost | LocalHost
    root: Path
    places: tuple[Place, ...]

    def holds(self, path: str) -> bool:
        """Whether a live file is of the kinds asked for."""
        for place in self.places:
            name = path.removeprefix(f"{place.home}/")
            if path == place.home_path(name) and (place.home_name or place.takes(name, self.actor.output)):
                return True
        return False


@dataclass(frozen=True)
class ActorListing:
    """What the host has.

    Attributes:
        refused: files that it has, too, and that cannot be downloaded.
        clock_ns: the host's own clock when it was asked.
        digest: of this listing.
        complete: False where a folder could not be read completely.
    """

    offers: tuple[RemoteFile, ...]
    refused: tuple[QuarantinedFile, ...]
    clock_ns: int
    incarnation: Mapping[str, str | int | None]
    digest: str
    complete: bool
    warnings: tuple[str, ...]


def list_actor_files(
    task: ActorSync, session: Session, entries: Mapping[str, StoredFile] | None = None
) -> ActorListing:
    """List the actor's files on the host, in one round trip.

    Files that have an entry in the backup share its memory.

    Raises:
        UsageError: the inventory names no folder to look in.
        NotFoundError: none of them holds a file.
        HostError: no answer, or an invalid one.
    """
    return read_answer(task, ask_for_listing(task, session), entries)


def ask_for_listing(task: ActorSync, session: Session, *, unless: str | None = None) -> ListingAnswer:
    """Ask the host for `folder_queries(task)`; `unless` as for `ask_listing`.

    Raises:
        UsageError: the inventory names no folder to look in.
        HostError: no answer.
    """
    return ask_listing(session, task.host.python, require_folders(task), unless=unless)


def is_as_listed(task: ActorSync, session: Session, found: ActorListing) -> bool:
    """Whether no file in the actor's folders on the host changed since the listing.

    Raises:
        HostError: no answer.
    """
    return digest_of(ask_for_listing(task, session, unless=found.digest)) == found.digest


def require_folders(task: ActorSync) -> list[FolderQuery]:
    """`folder_queries(task)`. Raises UsageError where there are none."""
    queries = folder_queries(task)
    if not queries:
        raise UsageError(
            "the host has no tracker, and the actor no host_backups: no folder to list",
            where=task.host.name,
            hint="add `tracker: {root: ...}` to the host in the inventory",
        )
    return queries


def folder_queries(task: ActorSync) -> list[FolderQuery]:
    """The folders that may hold the actor's files; none if the inventory names none."""
    return [source.query for source in _sources(task)]


def read_listing(task: ActorSync, listing: Listing) -> ActorListing:
    """The actor's files in a listing of `folder_queries(task)`.

    Raises:
        NotFoundError: there are none.
    """
    offers = _Offers(task, {})
    for number, listed in enumerate(listing.folders):
        for file in listed.files:
            offers.add(number, file)
    return _choose_offers(task, listing, offers)


def read_answer(
    task: ActorSync, answer: ListingAnswer, entries: Mapping[str, StoredFile] | None = None
) -> ActorListing:
    """The actor's files in the answer to `ask_for_listing`; `entries` as for `list_actor_files`.

    Raises:
        NotFoundError: there are none.
        HostError: the answer is not a listing.
    """
    offers = _Offers(task, entries or {})
    return _choose_offers(task, read_each(answer, offers.add), offers)


class _Offers:
    """The files of each folder, `of_folder` in the order of `folder_queries`."""

    def __init__(self, task: ActorSync, entries: Mapping[str, StoredFile]) -> None:
        self._entries = entries
        self.sources = _sources(task)
        self._origins = [
            RemoteFolder(
                place.home,
                query.top,
                query.path,
                KINDS.index(place.kind),
                _WAVES.get(place.kind, 0),
                place.kind not in _NOT_PRECIOUS,
            )
            for place, query, _ in self.sources
        ]
        self.of_folder: list[list[RemoteFile]] = [[] for _ in self.sources]

    def add(self, number: int, file: ListedFile) -> None:
        place = self.sources[number].place
        path = place.home_path(os.fsdecode(file.name))
        entry, size, mtime_ns = self._entries.get(path), file.bytes, file.mtime_ns
        if entry is not None:
            path = entry.path
            if (entry.bytes, entry.mtime_ns) == (size, mtime_ns):
                size, mtime_ns = entry.bytes, entry.mtime_ns
        offer = RemoteFile(
            path,
            self._origins[number],
            size,
            mtime_ns,
            file.ctime_ns,
            file.inode,
            file.sha256,
            file.name if place.home_name else None,
        )
        self.of_folder[number].append(offer)


def _choose_offers(task: ActorSync, listing: Listing, offers: _Offers) -> ActorListing:
    """The tracker's files; where its frames are missing, those of a backup on the host."""
    host, warnings = task.host.name, list[str]()
    from_tracker: dict[str, list[RemoteFile]] = {}
    from_backup: dict[str, list[RemoteFile]] = {}
    refused: list[QuarantinedFile] = []
    for source, listed, found in zip(offers.sources, listing.folders, offers.of_folder, strict=True):
        place, query, in_backup = source
        warnings += _folder_warnings(query, listed, host)
        refused += _refused_files(place, query, listed)
        if not in_backup:
            from_tracker.setdefault(place.kind, []).extend(found)
        elif found:
            from_backup.setdefault(place.kind, found)  # the first backup that has any
    frames = from_backup.get("checkpoints")
    if frames and not from_tracker.get("checkpoints"):
        # The box beside these frames is theirs; the one in the input folder may be another run's.
        from_tracker |= from_backup
        warnings.append(
            f"the tracker's output on {host} holds no frames; "
            f"{len(frames)} come from the backup in {str(frames[0].origin.source)!r} on it"
        )
    files = [offer for kind in from_tracker.values() for offer in kind]
    if not files and not refused:
        folders = ", ".join(dict.fromkeys(repr(str(source.query.path)) for source in offers.sources))
        raise NotFoundError(
            f"no files of actor {task.actor.name} on the host; searched {folders}",
            where=host,
            hint="check the actor's `input` and `output` in the inventory; `find-bbox` searches wider",
        )
    frames_asked = any(place.kind == "checkpoints" for place in task.places)
    if frames_asked and not any(offer.path.endswith(FRAME_SUFFIX) for offer in files):
        warnings.append(f"{host} holds no .frame of actor {task.actor.name}")
    complete = all(
        listed.error is None and not listed.cut and listed.malformed_count == len(listed.malformed)
        for listed in listing.folders
    )
    return ActorListing(
        tuple(files),
        tuple(refused),
        listing.clock_ns,
        listing.incarnation.model_dump(),
        listing.digest,
        complete,
        tuple(warnings),
    )


class _Source(NamedTuple):
    """A folder to list; `in_backup`: of a backup on the host, laid out as ours."""

    place: Place
    query: FolderQuery
    in_backup: bool


def _sources(task: ActorSync) -> list[_Source]:
    """Where the tracker keeps its files, then where backups on the host keep frames and box."""
    actor, host, sources = task.actor, task.host, list[_Source]()
    if host.tracker is not None:
        root = host.tracker.root
        for place in task.places:
            folder = place.folder_on(root, actor.input, actor.output)
            # An input or output may be an absolute path outside the root.
            top = root if folder.is_relative_to(root) else folder
            sources.append(_Source(place, _query(task, place, top, folder), in_backup=False))
    for backup in actor.host_backups:
        for place in task.places:
            if place.kind in _FALLBACK:
                query = _query(task, place, host.workdir, host.workdir / backup / place.home)
                sources.append(_Source(place, query, in_backup=True))
    return sources


def _query(task: ActorSync, place: Place, top: PurePosixPath, folder: PurePosixPath) -> FolderQuery:
    pattern = place.pattern.replace("{run}", glob.escape(task.actor.output.name))
    most = MOST_LOGS if place.kind == "logs" else MOST_FILES
    return FolderQuery(top, folder, pattern, place.recursive, most)


def _refused_files(place: Place, query: FolderQuery, listed: ListedFolder) -> Iterator[QuarantinedFile]:
    """Files with invalid values, and those beyond the limits."""
    for name, why in listed.malformed:
        yield QuarantinedFile(place.home_path(os.fsdecode(name)), f"not downloaded: {why}")
    more = listed.malformed_count - len(listed.malformed)
    if more:
        yield QuarantinedFile(place.home, f"{more} more files in {str(query.path)!r} not downloaded either")
    if listed.cut:
        what = f"{str(query.path)!r} holds more than {query.most} files, or all folders more than {MAX_FILES}"
        yield QuarantinedFile(place.home, f"{what}; only the first are downloaded")


def _folder_warnings(query: FolderQuery, listed: ListedFolder, host: str) -> list[str]:
    warnings = []
    if listed.error is not None:
        warnings.append(f"{str(query.path)!r} on {host} could not be read completely: {quote(listed.error)}")
    if listed.skipped:
        names = list_some([repr(os.fsdecode(name)) for name, _ in listed.skipped])
        warnings.append(f"links and specials in {str(query.path)!r} on {host} are not downloaded: {names}")
    return warnings
