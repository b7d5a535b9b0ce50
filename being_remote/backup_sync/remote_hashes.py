"""Hashes that the host makes of its own files: which are asked for, and what they tell.

A file that has not changed (size, both times, inode) since it was hashed on the host is not hashed again; one
that only has the size and time of the local file is, so that no rewrite stays unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from being_remote.backup.history import History
from being_remote.backup_sync.remote_files import ActorListing, ActorSync
from being_remote.session import Session
from being_remote.transfer.checked_files import StoredFile
from being_remote.transfer.download_plan import RemoteFile
from being_remote.transfer.hash_comparison import ask_hashes
from being_remote.transfer.known_hashes import (
    DIGEST_BYTES,
    load_known_hashes,
    outlasts_writes,
    version_digest,
)
from being_remote.transfer.quarantine import QuarantinedFile

# So many files are hashed at a time: each answer is in memory in several forms at once.
PORTION = 10_000


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

    `entries` are what is live here. With `everything`, known hashes are asked for again.

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
    for start in range(0, len(suspects), PORTION):
        portion = suspects[start : start + PORTION]
        answer = ask_hashes(session, task.host.python, portion)
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
