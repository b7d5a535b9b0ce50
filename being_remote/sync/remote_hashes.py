"""Hashes that the host makes of its own files: which are asked for, and what they tell.

A file that looks as it did (size, both times, inode) and was hashed over there before is not hashed
again; one that only has the size and time of the file here is, so that no rewrite stays unseen.
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

# The host is asked about so many files at a time: each answer is there in several forms at once.
PORTION = 10_000


@dataclass(frozen=True)
class HashKnowledge:
    """What is known of the host's bytes now.

    Attributes:
        offers: as they were, with the hashes that were asked for.
        facts: those that still hold, and the new ones, one behind the other; see `backup.known`.
        new, lost: whether there are such that were not known, or that hold no more.
        certain: how many files hold what is here, and their hash tells them from any later version.
        confirmed: files that were put here by hand, and that the host holds with the same hash: their
            entries, with that host.
    """

    offers: tuple[RemoteFile, ...]
    facts: bytes
    new: bool
    lost: bool
    certain: int
    confirmed: Mapping[str, StoredFile]


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


def asker(task: ActorSync, session: Session) -> AskHost:
    """Who asks this host for hashes of this actor's files."""

    def ask(wanted: Sequence[tuple[RemoteFile, int]]) -> HostFiles:
        offers = {(offer.origin.source, offer.name): offer for offer, _ in wanted}
        sizes = {(offer.origin.source, offer.name): size for offer, size in wanted}
        hashed = hash_remote_files(session, task.host.python, sizes)
        found = {offers[key].path: _as_now(offers[key], file) for key, file in hashed.files.items()}
        return HostFiles(hashed.clock_ns, found)

    return ask


def _as_now(asked: RemoteFile, file: ListedFile) -> RemoteFile:
    if (asked.bytes, asked.mtime_ns, asked.ctime_ns, asked.inode) == file[1:5]:
        return replace(asked, sha256=file.sha256)  # of so many files no figure twice in memory
    return replace(
        asked,
        bytes=file.bytes,
        mtime_ns=file.mtime_ns,
        ctime_ns=file.ctime_ns,
        inode=file.inode,
        sha256=file.sha256,
    )


def learn(
    task: ActorSync,
    session: Session,
    history: History,
    found: ActorListing,
    here: Mapping[str, StoredFile],
    torn: Mapping[str, list[QuarantinedFile]],
    *,
    everything: bool,
) -> HashKnowledge:
    """Ask for the hashes of files that look like those here, as far as they are not known.

    Args:
        task: whose files.
        session: an open way to the host.
        history: the backup, which remembers what was asked before.
        found: what the host has.
        here: what is live.
        torn: what lies in quarantine.
        everything: ask again for those that are known, too.

    Raises:
        HostError: the host could not be asked.
    """
    known = load_known_hashes(history, session.host)
    facts, sure, told = bytearray(), 0, dict[str, RemoteFile]()
    confirmed: dict[str, StoredFile] = {}
    suspects: list[tuple[RemoteFile, int]] = []
    for offer in found.offers:
        entry = here.get(offer.path)
        alike = [entry.sha256] if entry is not None and _alike(offer, entry) else []
        if torn:
            alike += [t.sha256 for t in torn.get(offer.path, ()) if _alike(offer, t)]
        if not alike:
            continue
        certain = next((s for s in alike if version_digest(offer, s) in known), None)
        if everything or certain is None:
            suspects.append((offer, offer.bytes))
        else:
            facts += version_digest(offer, certain)
            if entry is not None and certain == entry.sha256:
                sure += 1
                if entry.host is None:
                    confirmed[offer.path] = replace(entry, host=session.host)
            else:  # it looks like the file here, and is what lies in quarantine
                told[offer.path] = replace(offer, sha256=certain)
    held = len(facts)
    lost = held < DIGEST_BYTES * len(known)
    ask = asker(task, session)
    for start in range(0, len(suspects), PORTION):
        answer = ask(suspects[start : start + PORTION])
        told.update(answer.files)
        for offer, _ in suspects[start : start + PORTION]:
            now, entry = answer.files.get(offer.path), here.get(offer.path)
            # A file that grew was hashed only as far as it was listed.
            same = (
                now is not None and entry is not None and now.sha256 == entry.sha256 and now.looks_like(offer)
            )
            if same and entry is not None and entry.host is None:
                confirmed[offer.path] = replace(entry, host=session.host)
            if now is not None and now.sha256 is not None and outlasts_writes(now, answer.clock_ns):
                facts += version_digest(now, now.sha256)
                sure += entry is not None and entry.sha256 == now.sha256 and now.looks_like(offer)
    offers = tuple(told.get(o.path, o) for o in found.offers) if told else found.offers
    return HashKnowledge(offers, bytes(facts), len(facts) > held, lost, sure, confirmed)


def _alike(offer: RemoteFile, known: StoredFile | QuarantinedFile) -> bool:
    return (offer.bytes, offer.mtime_ns) == (known.bytes, known.mtime_ns)
