"""Fetch files, compare them with the host, fetch once more what differs. Used by sync, pull and follow.

What becomes of good, torn and differing files is the caller's: see `Arrivals`.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

from being_remote.errors import HostError
from being_remote.session import Hashed, OnProgress, Session
from being_remote.transfer.arrival_folder import ArrivalFolder, Fetch
from being_remote.transfer.checked_files import Judge, find_faults
from being_remote.transfer.download_plan import RemoteFile
from being_remote.transfer.hash_comparison import Arrivals, HashComparison, HashQueries
from being_remote.transfer.known_hashes import outlasts_writes


def download(
    session: Session,
    folder: ArrivalFolder,
    wanted: Sequence[RemoteFile],
    judge: Judge,
    asking: HashQueries,
    on_progress: OnProgress,
    *,
    retry: bool = True,
) -> Arrivals:
    """Fetch `wanted` into `folder`, and compare what arrived with what the host has.

    There is room for them. With `retry`, what differs from what the host has now is fetched once more. A link
    that failed is in `Arrivals.failure`, since what arrived before counts.
    """
    got = Arrivals()
    _fetch(session, folder, wanted, wanted, got, asking.clock_ns, on_progress)
    HashComparison(folder, got, judge, asking, on_progress).compare(wanted)
    if retry and got.differing and got.failure is None:
        again, got.differing = [offer for offer, _ in got.differing], []
        _fetch(session, folder, again, (*wanted, *again), got, asking.clock_ns, on_progress)
        HashComparison(folder, got, judge, asking, on_progress).compare(again)
        _drop_overwritten(folder, got, on_progress)
    return got


def _fetch(
    session: Session,
    folder: ArrivalFolder,
    wanted: Sequence[RemoteFile],
    noted: Sequence[RemoteFile],
    got: Arrivals,
    clock_ns: int,
    on_progress: OnProgress,
) -> None:
    started = time.monotonic()
    got.sent.clear()  # said of the versions that came before
    fetches = folder.make_fetches(wanted)
    first = next(fetches, None)  # the room on the disk is seen to before anything is noted
    if first is None:
        return
    folder.note_fetching(noted)
    try:
        for fetch in itertools.chain((first,), fetches):
            on_hashed = functools.partial(note_sent, fetch, got, clock_ns)
            pulled = session.pull(fetch.request, on_progress, on_hashed)
            got.transferred_files += pulled.transferred_files
            got.transferred_bytes += pulled.transferred_bytes
            got.methods |= set(pulled.method.split(", "))
    except HostError as e:
        got.failure = e
    got.transfer_s += time.monotonic() - started


def note_sent(fetch: Fetch, got: Arrivals, clock_ns: int, name: bytes, hashed: Hashed | None) -> None:
    """Note a hash that was made of a file as it was listed, and tells it from any later version."""
    offer = fetch.offer(name)
    got.sent.pop(offer.path, None)  # what was said before was said of other bytes
    if hashed is not None and hashed[:4] == offer.figures and outlasts_writes(offer, clock_ns):
        got.sent[offer.path] = hashed.sha256


def _drop_overwritten(folder: ArrivalFolder, got: Arrivals, on_progress: OnProgress) -> None:
    """Take out of the good files what the second fetch, to the same folder, wrote after it was read."""
    offers = {offer.path: offer for offer in got.good_offers}

    def file_of(path: str) -> tuple[Path, str]:
        return folder.file(offers[path]), got.good[path].sha256

    wrong = list(find_faults(list(offers), file_of, "checking", on_progress))
    got.differing += [(offers[path], True) for path in wrong]
    got.drop_good(wrong)
