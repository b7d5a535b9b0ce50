"""What arrived is compared with what the host has: its hashes, made there, beside those made here.

Files that the host hashed as it sent them are as they were sent if nothing there has changed since it
was listed, which one question tells of all of them. The others are hashed there while they are read here.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

from being_remote.errors import HostError
from being_remote.session import OnProgress, TransferProgress
from being_remote.transfer.download_plan import RemoteFile
from being_remote.transfer.fetch import ArrivalFolder, build_on, host_time, is_listed
from being_remote.transfer.file_check import CheckedFile, Judge, check
from being_remote.transfer.known_hashes import fact, lasting
from being_remote.transfer.stored_file import StoredFile, stored_file

_T = TypeVar("_T")

# A torn file that was written so shortly before the host was asked is still being written.
SETTLE_NS = 2_000_000_000
# So many files are compared at a time, and so many times the host is asked in advance: it hashes the
# next ones while these are read here.
BATCH = 2_500
AHEAD = 2


@dataclass(frozen=True)
class HostFiles:
    """What the host has now: files by path, `sha256` being that of as many bytes as were asked for."""

    clock_ns: int
    files: Mapping[str, RemoteFile]


# Files, and of how many bytes each is to be hashed on the host.
AskHost = Callable[[Sequence[tuple[RemoteFile, int]]], HostFiles]
# Whether nothing on the host is other than it was listed.
IsAsListed = Callable[[], bool]


@dataclass(frozen=True)
class HashQueries:
    """How the host is asked; `clock_ns` is its own clock when it listed its files."""

    hashes: AskHost
    is_as_listed: IsAsListed
    clock_ns: int


@dataclass
class Arrivals:
    """What is found out while files arrive."""

    # Hashes (raw) that the host made as it sent a file, which was then as it had been listed.
    sent: dict[str, bytes] = field(default_factory=dict)
    good: dict[str, StoredFile] = field(default_factory=dict)
    came: list[RemoteFile] = field(default_factory=list)  # those of `good`, in its order
    torn: list[tuple[CheckedFile, RemoteFile]] = field(default_factory=list)
    # And whether it is at rest: whole here, and not written over there just now.
    differing: list[tuple[RemoteFile, bool]] = field(default_factory=list)
    being_written: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    facts: bytearray = field(default_factory=bytearray)
    certain: int = 0
    compared: int = 0
    files: int = 0
    bytes: int = 0
    methods: set[str] = field(default_factory=set)
    transfer_s: float = 0.0
    check_s: float = 0.0
    failure: HostError | None = None

    def take(self, offer: RemoteFile, entry: StoredFile) -> None:
        """This file is good."""
        self.good[offer.path] = entry
        self.came.append(offer)


def compare(
    ways: ArrivalFolder,
    wanted: Sequence[RemoteFile],
    got: Arrivals,
    judge: Judge,
    asking: HashQueries,
    on_progress: OnProgress,
) -> None:
    """Decide about each file that arrived, and note it in `got`."""
    started = time.monotonic()
    progress = _Count(on_progress, len(wanted))
    pool = ThreadPoolExecutor(AHEAD + 1)
    try:
        unmoved = pool.submit(asking.is_as_listed) if got.sent and got.failure is None else None
        _ask_about([o for o in wanted if o.path not in got.sent], ways, got, judge, asking, pool, progress)
        left = [o for o in wanted if o.path in got.sent]
        if unmoved is not None and got.failure is None and _answer(unmoved, got):
            listed = [o for o in left if _lies_as_listed(ways, o)]
            _take_sent(listed, ways, got, judge, asking.clock_ns, progress)
            taken = {o.path for o in listed}
            left = [o for o in left if o.path not in taken]
        _ask_about(left, ways, got, judge, asking, pool, progress)
    finally:
        # Not waited for: Ctrl-C would else last as long as a silent host; the session's end ends them.
        pool.shutdown(wait=False, cancel_futures=True)
    got.check_s += time.monotonic() - started


def _take_sent(
    offers: Sequence[RemoteFile],
    ways: ArrivalFolder,
    got: Arrivals,
    judge: Judge,
    clock_ns: int,
    progress: _Count,
) -> None:
    """Read files whose hashes the host sent along.

    What was hashed while it came may have been written since: another fetch goes to the same folder.
    """
    for start in range(0, len(offers), BATCH):
        batch = offers[start : start + BATCH]
        told = HostFiles(clock_ns, {o.path: replace(o, sha256=got.sent[o.path].hex()) for o in batch})
        seen = check({o.path: ways.file(o) for o in batch}, judge, progress.part(len(batch)))
        for each, offer in zip(seen, batch, strict=True):
            _decide(each, offer, told, ways, got, clock_ns)


def _lies_as_listed(ways: ArrivalFolder, offer: RemoteFile) -> bool:
    found = ways.lying(offer)
    return found is not None and is_listed(offer, found)


def _ask_about(
    offers: Sequence[RemoteFile],
    ways: ArrivalFolder,
    got: Arrivals,
    judge: Judge,
    asking: HashQueries,
    pool: ThreadPoolExecutor,
    progress: _Count,
) -> None:
    """Read what arrived, while the host hashes the same files; and decide about each."""
    batches = _arrived(ways, offers, got)
    asked: deque[tuple[list[tuple[RemoteFile, int]], Future[HostFiles] | None]] = deque()
    while True:
        for batch in itertools.islice(batches, AHEAD - len(asked)):
            asked.append((batch, pool.submit(asking.hashes, batch) if got.failure is None else None))
        if not asked:
            break
        batch, answer = asked.popleft()
        files = {offer.path: ways.file(offer) for offer, _ in batch}
        seen = check(files, judge, progress.part(len(batch)))
        told = _answer(answer, got) if answer is not None else None
        for each, (offer, _) in zip(seen, batch, strict=True):
            _decide(each, offer, told, ways, got, asking.clock_ns)


def _arrived(
    ways: ArrivalFolder, wanted: Sequence[RemoteFile], got: Arrivals
) -> Iterator[list[tuple[RemoteFile, int]]]:
    """What came, and how large it is; after a failure only what is the version that was listed."""
    batch: list[tuple[RemoteFile, int]] = []
    for offer in wanted:
        found = ways.lying(offer)
        if found is None:
            got.missed.append(offer.path)
        elif got.failure is None or is_listed(offer, found):
            batch.append((offer, found.st_size))
            if len(batch) == BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


def _answer(asked: Future[_T], got: Arrivals) -> _T | None:
    """What the host says; None when the link fails: then the files are kept as after a failed fetch."""
    try:
        return asked.result()
    except HostError as e:
        got.failure = e
        return None


def _decide(
    seen: CheckedFile,
    offer: RemoteFile,
    told: HostFiles | None,
    ways: ArrivalFolder,
    got: Arrivals,
    clock_ns: int,
) -> None:
    """Live, to be fetched again, still being written, or set aside."""
    now = told.files.get(offer.path) if told is not None else None
    if told is not None and now is None:
        got.missed.append(offer.path)  # the last of it that there is
    mtime_ns = host_time(offer, seen.mtime_ns)
    differs = now is not None and now.sha256 is not None and now.sha256 != seen.sha256
    changed = now is not None and (now.bytes, now.mtime_ns) != (seen.bytes, mtime_ns)
    if differs and told is not None and now is not None:
        young = abs(told.clock_ns - now.mtime_ns) < SETTLE_NS
        got.differing.append((replace(now, sha256=None), not seen.torn and not young))
        if seen.judged and seen.problem is None:
            ways.keep_copy(seen, mtime_ns)  # the host may never have a whole one again
        build_on(seen.file)
    elif seen.problem is None:
        as_listed = seen.bytes == offer.bytes
        size = offer.bytes if as_listed else seen.bytes  # the offer's own number needs no memory
        got.take(offer, stored_file(replace(seen, bytes=size), mtime_ns, host=ways.host))
        got.compared += now is not None and now.sha256 is not None
    elif seen.torn and (changed or abs(clock_ns - offer.mtime_ns) < SETTLE_NS):
        got.being_written.append(offer.path)
        seen.file.unlink()
        return
    else:
        got.torn.append((seen, offer))
    if told is not None and now is not None and not differs and not changed and lasting(now, told.clock_ns):
        got.facts += fact(now, seen.sha256)
        got.certain += now.looks_like(offer)


class _Count:
    """Progress of several parts as progress of the whole."""

    def __init__(self, on_progress: OnProgress, total: int) -> None:
        self._on_progress, self._total, self._done = on_progress, total, 0

    def part(self, files: int) -> OnProgress:
        """The progress of the next so many files."""
        before, self._done = self._done, self._done + files
        return lambda p: self._on_progress(TransferProgress(p.what, before + p.done, self._total, p.unit))
