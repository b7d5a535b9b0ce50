"""What a host holds of one actor: which folders are asked for, and which of the answers count."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

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
    ask,
    digest_of,
    read_each,
)
from being_remote.session import Session
from being_remote.sync.file_examples import EXAMPLES
from being_remote.tracker.layout import FRAME_SUFFIX, KINDS, Place
from being_remote.transfer.download_plan import RemoteFile, RemoteFolder
from being_remote.transfer.quarantine import QuarantinedFile
from being_remote.transfer.stored_file import StoredFile

# So many files of one folder are listed; logs, which anything may write, are the least precious.
MOST_FILES = 200_000
MOST_LOGS = 20_000
# What is fetched together: what cannot be made again, pictures and meshes, logs.
_WAVES = {"meshes": 1, "crops": 1, "logs": 2}
# What a backup on the host stands in for, when the tracker's own output is gone.
_FALLBACK = ("checkpoints", "bbox")


@dataclass(frozen=True)
class ActorSync:
    """Whose files, from where, to where, of which kinds."""

    actor: Actor
    host: SshHost | LocalHost
    root: Path
    places: tuple[Place, ...]

    def belongs(self, path: str) -> bool:
        """Whether a live file is of the kinds asked for."""
        for place in self.places:
            name = path.removeprefix(f"{place.home}/")
            if path == place.home_path(name) and (place.home_name or place.takes(name, self.actor.output)):
                return True
        return False


@dataclass(frozen=True)
class ActorListing:
    """What the host has. `complete` is False where a folder could not be read whole.

    `refused` are files that it has, too, and that cannot be fetched. `clock_ns` is the host's own clock
    when it was asked; `digest` tells this listing from any other.
    """

    offers: tuple[RemoteFile, ...]
    refused: tuple[QuarantinedFile, ...]
    clock_ns: int
    incarnation: Mapping[str, str | int | None]
    digest: str
    complete: bool
    warnings: tuple[str, ...]


def look(
    task: ActorSync,
    session: Session,
    *,
    hash_bytes: int | None = None,
    here: Mapping[str, StoredFile] | None = None,
) -> ActorListing:
    """List the actor's files on the host, in one round trip (`hash_bytes`: see `list_files`).

    Files that have an entry `here` share its memory.

    Raises:
        UsageError: the inventory names no folder to look in.
        NotFoundError: there is nothing in any of them.
        HostError: the host could not be asked.
    """
    return found_by(task, inquire(task, session, hash_bytes=hash_bytes), here)


def inquire(
    task: ActorSync, session: Session, *, hash_bytes: int | None = None, unless: str | None = None
) -> ListingAnswer:
    """Ask for the listing of `folders_of(task)`; see `host_files.ask`.

    Raises:
        UsageError: the inventory names no folder to look in.
        HostError: the host could not be asked.
    """
    asked = folders_of(task)
    if not asked:
        raise UsageError(
            "has no tracker, and the actor no host_backups: there is nowhere to look",
            where=session.host,
            hint="add `tracker: {root: ...}` to the host in the inventory",
        )
    return ask(session, task.host.python, asked, hash_bytes=hash_bytes, unless=unless)


def is_as_listed(task: ActorSync, session: Session, found: ActorListing) -> bool:
    """Whether nothing in the actor's folders on the host is other than it was found, by any figure of a file.

    Raises:
        HostError: the host could not be asked.
    """
    return digest_of(inquire(task, session, unless=found.digest)) == found.digest


def folders_of(task: ActorSync) -> list[FolderQuery]:
    """Where the actor's files may lie on the host; nowhere if the inventory names no place."""
    return [folder for _, folder in _tracked(task) + _copied(task)]


def found_in(task: ActorSync, listing: Listing) -> ActorListing:
    """What of a listing of `folders_of(task)` counts.

    Raises:
        NotFoundError: there is nothing in any of them.
    """
    offers = _Offers(task)
    for number, listed in enumerate(listing.folders):
        for file in listed.files:
            offers.take(number, file)
    return _found(task, listing, offers)


def found_by(
    task: ActorSync, answer: ListingAnswer, here: Mapping[str, StoredFile] | None = None
) -> ActorListing:
    """The same of the answer to `inquire`; `here` as for `look`.

    Raises:
        NotFoundError: there is nothing in any of them.
        HostError: it is no listing.
    """
    offers = _Offers(task, here)
    return _found(task, read_each(answer, offers.take), offers)


class _Offers:
    """What each place of an actor holds on the host."""

    def __init__(self, task: ActorSync, here: Mapping[str, StoredFile] | None = None) -> None:
        self._here = here or {}
        self._places = _tracked(task) + _copied(task)
        self._origins = [
            RemoteFolder(
                place.home, folder.top, folder.path, KINDS.index(place.kind), _WAVES.get(place.kind, 0)
            )
            for place, folder in self._places
        ]
        self.of: list[list[RemoteFile]] = [[] for _ in self._places]

    def take(self, number: int, file: ListedFile) -> None:
        """Add a file of the place of this number."""
        place = self._places[number][0]
        path = place.home_path(os.fsdecode(file.name))
        entry, size, mtime_ns = self._here.get(path), file.bytes, file.mtime_ns
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
        self.of[number].append(offer)


def _found(task: ActorSync, listing: Listing, held: _Offers) -> ActorListing:
    tracked, copied = _tracked(task), _copied(task)
    asked, host = tracked + copied, task.host.name
    warnings: list[str] = []
    from_tracker: dict[str, list[RemoteFile]] = {}
    from_backup: dict[str, list[RemoteFile]] = {}
    refused: list[QuarantinedFile] = []
    for number, ((place, folder), listed) in enumerate(zip(asked, listing.folders, strict=True)):
        warnings += _said(folder, listed, host)
        refused += _not_fetched(place, folder, listed)
        offers = held.of[number]
        if number < len(tracked):
            from_tracker.setdefault(place.kind, []).extend(offers)
        elif offers:
            from_backup.setdefault(place.kind, offers)  # the first backup that has any
    files = _chosen(from_tracker, from_backup, host, warnings)
    if not files and not refused:
        folders = ", ".join(dict.fromkeys(repr(str(f.path)) for _, f in asked))
        raise NotFoundError(
            f"nothing of actor {task.actor.name} is there; looked in {folders}",
            where=host,
            hint="check the actor's `input` and `output` in the inventory; `find-bbox` searches wider",
        )
    frames_asked = any(p.kind == "checkpoints" for p in task.places)
    if frames_asked and not any(o.path.endswith(FRAME_SUFFIX) for o in files):
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


def _tracked(task: ActorSync) -> list[tuple[Place, FolderQuery]]:
    """Where the tracker keeps things."""
    if task.host.tracker is None:
        return []
    root, actor = task.host.tracker.root, task.actor
    folders = [(p, p.folder_on(root, actor.input, actor.output)) for p in task.places]
    # An input or output may be given as an absolute path elsewhere.
    return [
        (p, FolderQuery(root if f.is_relative_to(root) else f, f, _pattern(task, p), p.recursive, _most(p)))
        for p, f in folders
    ]


def _copied(task: ActorSync) -> list[tuple[Place, FolderQuery]]:
    """Where backups on the host keep frames and box; they are laid out as ours."""
    return [
        (
            p,
            FolderQuery(
                task.host.workdir,
                task.host.workdir / backup / p.home,
                _pattern(task, p),
                p.recursive,
                _most(p),
            ),
        )
        for backup in task.actor.host_backups
        for p in task.places
        if p.kind in _FALLBACK
    ]


def _most(place: Place) -> int:
    return MOST_LOGS if place.kind == "logs" else MOST_FILES


def _pattern(task: ActorSync, place: Place) -> str:
    return place.pattern.replace("{run}", glob.escape(task.actor.output.name))


def _chosen(
    tracked: dict[str, list[RemoteFile]], copied: dict[str, list[RemoteFile]], host: str, warnings: list[str]
) -> list[RemoteFile]:
    """The tracker's files; where its frames are gone, those of a backup on the host."""
    frames = copied.get("checkpoints")
    if frames and not tracked.get("checkpoints"):
        # The box that lies beside these frames is theirs; the input folder's may be another run's.
        tracked = tracked | copied
        warnings.append(
            f"the tracker's output on {host} holds no frames; "
            f"{len(frames)} come from the backup in {str(frames[0].origin.source)!r} there"
        )
    return [offer for offers in tracked.values() for offer in offers]


def _not_fetched(place: Place, folder: FolderQuery, listed: ListedFolder) -> Iterator[QuarantinedFile]:
    """Files that the host named with impossible values, and those of which there were too many to name."""
    for name, why in listed.malformed:
        yield QuarantinedFile(place.home_path(os.fsdecode(name)), f"not fetched: {why}")
    more = listed.malformed_count - len(listed.malformed)
    if more:
        yield QuarantinedFile(place.home, f"{more} more files in {str(folder.path)!r} are not fetched either")
    if listed.cut:
        what = (
            f"{str(folder.path)!r} holds more than {folder.most} files, or all folders more than {MAX_FILES}"
        )
        yield QuarantinedFile(place.home, f"{what}; only the first are fetched")


def _said(folder: FolderQuery, listed: ListedFolder, host: str) -> list[str]:
    said = []
    if listed.error is not None:
        said.append(f"{str(folder.path)!r} on {host} could not be read whole: {quote(listed.error)}")
    if listed.skipped:
        names = ", ".join(repr(os.fsdecode(name)) for name, _ in listed.skipped[:EXAMPLES])
        said.append(f"links and specials in {str(folder.path)!r} on {host} are not fetched: {names}")
    return said
