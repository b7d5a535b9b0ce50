"""Hashes that the host makes of its own files: which are asked for, and what they tell.

A file that looks as it did (size, both times, inode) and was hashed over there before is not hashed
again; one that only has the size and time of the file here is, so that no rewrite stays unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from being_remote.backup.comparing import AskHost, Told
from being_remote.backup.history import History
from being_remote.backup.known import DIGEST_BYTES, fact, lasting, recall
from being_remote.backup.manifest import Entry
from being_remote.backup.planning import Offer
from being_remote.backup.quarantine import SetAside
from being_remote.session import Session
from being_remote.workflows.homecoming.actor_files import Found, Task
from being_remote.workflows.homecoming.host_files import hash_files


@dataclass(frozen=True)
class Learned:
    """What is known of the host's bytes now.

    Attributes:
        offers: as they were, with the hashes that were asked for.
        facts: those that still hold, and the new ones, one behind the other; see `backup.known`.
        new, lost: whether there are such that were not known, or that hold no more.
        certain: how many files hold what is here, and their hash tells them from any later version.
    """

    offers: tuple[Offer, ...]
    facts: bytes
    new: bool
    lost: bool
    certain: int


def asker(task: Task, session: Session) -> AskHost:
    """Who asks this host for hashes of this actor's files."""

    def ask(wanted: Sequence[tuple[Offer, int]]) -> Told:
        names: dict[PurePosixPath, list[tuple[bytes, int | None]]] = {}
        offers: dict[PurePosixPath, dict[bytes, Offer]] = {}
        for offer, size in wanted:
            source, name = offer.origin.source, offer.name
            names.setdefault(source, []).append((name, size))
            offers.setdefault(source, {})[name] = offer
        listing = hash_files(session, task.host.python, names, hash_bytes=sum(size for _, size in wanted))
        told = {}
        for source, listed in zip(names, listing.folders, strict=True):
            for file in listed.files:
                asked = offers[source].get(file.name)
                if asked is not None:
                    told[asked.path] = replace(
                        asked,
                        bytes=file.bytes,
                        mtime_ns=file.mtime_ns,
                        ctime_ns=file.ctime_ns,
                        inode=file.inode,
                        sha256=file.sha256,
                    )
        return Told(listing.clock_ns, told)

    return ask


def learn(
    task: Task,
    session: Session,
    history: History,
    found: Found,
    here: Mapping[str, Entry],
    torn: Mapping[str, list[SetAside]],
    *,
    everything: bool,
) -> Learned:
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
    known = recall(history, session.host)
    facts, sure = bytearray(), 0
    suspects: list[tuple[Offer, int]] = []
    for offer in found.offers:
        entry = here.get(offer.path)
        alike = [entry.sha256] if entry is not None and _alike(offer, entry) else []
        if torn:
            alike += [t.sha256 for t in torn.get(offer.path, ()) if _alike(offer, t)]
        if not alike:
            continue
        certain = b"".join(f for f in (fact(offer, sha256) for sha256 in alike) if f in known)
        if everything or not certain:
            suspects.append((offer, offer.bytes))
        else:
            facts += certain
            sure += entry is not None
    held = len(facts)
    lost = held < DIGEST_BYTES * len(known)
    if not suspects:
        return Learned(found.offers, bytes(facts), False, lost, sure)
    told = asker(task, session)(suspects)
    asked = {offer.path: offer for offer, _ in suspects}
    for now in told.files.values():
        if now.sha256 is not None and lasting(now, told.clock_ns):
            facts += fact(now, now.sha256)
            entry = here.get(now.path)
            sure += entry is not None and entry.sha256 == now.sha256 and now.looks_like(asked[now.path])
    offers = tuple(told.files.get(o.path, o) for o in found.offers)
    return Learned(offers, bytes(facts), len(facts) > held, lost, sure)


def _alike(offer: Offer, known: Entry | SetAside) -> bool:
    return (offer.bytes, offer.mtime_ns) == (known.bytes, known.mtime_ns)
