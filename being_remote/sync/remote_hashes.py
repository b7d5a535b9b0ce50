"""Hashes that the host makes of its own files: which are asked for, and what they tell.

A file that has not changed (size, both times, inode) since it was hashed on the host is not hashed again; one
that only has the size and time of the local file is, so that no rewrite stays unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from being_remote.backup.history import History
from being_remote.pod_client.listing import ListedFile, hash_files
from being_remote.session import Session
from being_remote.sync.remote_files import ActorListing, ActorSync
from being_remote.transfer.download_plan import RemoteFile
from being_remote.transfer.hash_comparison import AskHost, HostFiles
from being_remote.transfer.known_hashes import (
    DIGEST_BYTES,
    load_known_hashes,
    outlasts_writes,
    version_digest,
)
from being_remote.transfer.quarantine import QuarantinedFile
from being_remote.transfer.stored_file import StoredFile

# So many files are hashed at a time: each answer is in memory in several forms at once.
PORTION = 10_000


@dataclass(frozen=True)
class HashedFiles:
    """Files as the host has them now, by folder and name; `clock_ns` is its clock when it began."""

    clock_ns: int
    files: Mapping[tuple[PurePosixPath, bytes], ListedFile]


def hash_remote_files(
    session: Session, python: str, sizes: Mapping[tuple[PurePosixPath, bytes], int]
) -> HashedFiles:
    """Hash the first so many bytes of files, by folder and name, in one round trip.

    Missing files are left out.

    Raises:
        HostError: no answer, or an invalid one.
    """
    if not sizes:
        return HashedFiles(0, {})
    wanted: dict[PurePosixPath, list[tuple[bytes, int | None]]] = {}
    for (folder, name), size in sizes.items():
        wanted.setdefault(folder, []).append((name, size))
    listing = hash_files(session, python, wanted, hash_bytes=sum(sizes.values()))
    files = {
        (folder, file.name): file
        for folder, listed in zip(wanted, listing.folders, strict=True)
        for file in listed.files
    }
    return HashedFiles(listing.clock_ns, files)


def hash_asker(task: ActorSync, session: Session) -> AskHost:
    """A function that asks this host for hashes of this actor's files."""

    def ask(wanted: Sequence[tuple[RemoteFile, int]]) -> HostFiles:
        offers = {(offer.origin.source, offer.name): offer for offer, _ in wanted}
        sizes = {(offer.origin.source, offer.name): size for offer, size in wanted}
        hashed = hash_remote_files(session, task.host.python, sizes)
        found = {offers[key].path: _as_hashed(offers[key], file) for key, file in hashed.files.items()}
        return HostFiles(hashed.clock_ns, found)

    return ask


def _as_hashed(offer: RemoteFile, file: ListedFile) -> RemoteFile:
    if (offer.bytes, offer.mtime_ns, offer.ctime_ns, offer.inode) == file[1:5]:
        return replace(offer, sha256=file.sha256)  # of so many files no figure twice in memory
    return replace(
        offer,
        bytes=file.bytes,
        mtime_ns=file.mtime_ns,
        ctime_ns=file.ctime_ns,
        inode=file.inode,
        sha256=file.sha256,
    )


@dataclass(frozen=True)
class HashKnowledge:
    """What is known of the host's bytes.

    Attributes:
        offers: as they were, with the hashes that were asked for.
        facts: those that still hold, and the new ones, joined; see `transfer.known_hashes`.
        new, lost: whether there are new facts, or facts that no longer hold.
        certain: how many files are as they are here, and their hash tells them from any later version.
        confirmed: files that were put here by hand, and that the host holds with the same hash: their
            entries, with that host.
    """

    offers: tuple[RemoteFile, ...]
    facts: bytes
    new: bool
    lost: bool
    certain: int
    confirmed: Mapping[str, StoredFile]


def learn_hashes(
    task: ActorSync,
    session: Session,
    history: History,
    found: ActorListing,
    entries: Mapping[str, StoredFile],
    quarantined: Mapping[str, list[QuarantinedFile]],
    *,
    everything: bool,
) -> HashKnowledge:
    """Ask for the unknown hashes of files that look like local ones.

    Args:
        history: the backup, which remembers earlier answers.
        found: what the host has.
        entries: what is live here.
        everything: ask again for those that are known, too.

    Raises:
        HostError: no answer, or an invalid one.
    """
    known = load_known_hashes(history, session.host)
    facts, certain, hashed = bytearray(), 0, dict[str, RemoteFile]()
    confirmed: dict[str, StoredFile] = {}
    suspects: list[tuple[RemoteFile, int]] = []
    for offer in found.offers:
        entry = entries.get(offer.path)
        alike = [entry.sha256] if entry is not None and _look_alike(offer, entry) else []
        if quarantined:
            alike += [q.sha256 for q in quarantined.get(offer.path, ()) if _look_alike(offer, q)]
        if not alike:
            continue
        sha256 = next((each for each in alike if version_digest(offer, each) in known), None)
        if everything or sha256 is None:
            suspects.append((offer, offer.bytes))
            continue
        facts += version_digest(offer, sha256)
        if entry is not None and sha256 == entry.sha256:
            certain += 1
            if entry.host is None:
                confirmed[offer.path] = replace(entry, host=session.host)
        else:  # it looks like the local file, and has the bytes of the quarantined one
            hashed[offer.path] = replace(offer, sha256=sha256)
    recalled = len(facts)
    ask = hash_asker(task, session)
    for start in range(0, len(suspects), PORTION):
        portion = suspects[start : start + PORTION]
        answer = ask(portion)
        hashed.update(answer.files)
        for offer, _ in portion:
            now, entry = answer.files.get(offer.path), entries.get(offer.path)
            if now is None or now.sha256 is None:
                continue
            # A file that grew was hashed only as far as it was listed.
            same = entry is not None and now.sha256 == entry.sha256 and now.looks_like(offer)
            if same and entry is not None and entry.host is None:
                confirmed[offer.path] = replace(entry, host=session.host)
            if outlasts_writes(now, answer.clock_ns):
                facts += version_digest(now, now.sha256)
                certain += same
    offers = tuple(hashed.get(o.path, o) for o in found.offers) if hashed else found.offers
    new, lost = len(facts) > recalled, recalled < DIGEST_BYTES * len(known)
    return HashKnowledge(offers, bytes(facts), new, lost, certain, confirmed)


def _look_alike(offer: RemoteFile, local: StoredFile | QuarantinedFile) -> bool:
    return (offer.bytes, offer.mtime_ns) == (local.bytes, local.mtime_ns)
