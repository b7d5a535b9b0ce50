"""From what is wanted to a new generation: fetch, check, compare with the host, commit, refresh.

A file becomes live only if the judge finds it whole and its bytes are those that the host has. What
differs is fetched once more. Knows of files only their names and bytes: whether one is whole is the
judge's word, and whether the host now holds another run than the backup is the caller's.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from being_remote.backup.checking import Checked, Judge, check
from being_remote.backup.fetching import Ways, build_on, host_time, is_listed
from being_remote.backup.files import Paths, see_room, share_blocks, sync_files
from being_remote.backup.history import History
from being_remote.backup.known import fact, lasting
from being_remote.backup.manifest import Entry, Manifest
from being_remote.backup.planning import Offer, Plan
from being_remote.backup.quarantine import SetAside
from being_remote.backup.salvage import Awaited, begin, end, hashed
from being_remote.backup.settle import entry_of, put_aside, settle
from being_remote.errors import HostError
from being_remote.session import OnProgress, Progress, Session

# A torn file that was written so shortly before the host was asked is still being written.
SETTLE_NS = 2_000_000_000
# So many files are compared at a time, and so many times the host is asked in advance: it hashes the
# next ones while these are read here.
BATCH = 2_500
AHEAD = 2

# Good files that arrived (path -> where they lie now) -> why they belong to another run, or None.
IsNewRun = Callable[[Mapping[str, Path]], str | None]


@dataclass(frozen=True)
class Told:
    """What the host has now: files by path, `sha256` being that of as many bytes as were asked for."""

    clock_ns: int
    files: Mapping[str, Offer]


# Files, and of how many bytes each is to be hashed on the host.
AskHost = Callable[[Sequence[tuple[Offer, int]]], Told]


@dataclass(frozen=True)
class Arrival:
    """What came of it.

    Attributes:
        manifest: the generation that is live now.
        transferred_files, transferred_bytes, method: what came over the link, and how.
        set_aside: torn or unsafe, in quarantine.
        missed: went away on the host meanwhile.
        being_written: torn because the host is writing them just now; they come with the next round.
        mismatched: not what the host has, even when fetched again; the earlier version stays.
        compared: how many files have the hash that was made of them on the host.
        facts: those that were learned, one behind the other; see `known`.
        certain: how many files are still as listed, and their hash tells them from any later version.
        new_run: why the live tree was replaced as a whole.
        transfer_s, check_s: of the two long phases.
    """

    manifest: Manifest | None
    transferred_files: int = 0
    transferred_bytes: int = 0
    method: str | None = None
    set_aside: tuple[SetAside, ...] = ()
    missed: tuple[str, ...] = ()
    being_written: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    compared: int = 0
    facts: bytes = b""
    certain: int = 0
    new_run: str | None = None
    transfer_s: float = 0.0
    check_s: float = 0.0


@dataclass
class _Gathered:
    """What is found out while files arrive."""

    good: dict[str, Entry] = field(default_factory=dict)
    came: list[Offer] = field(default_factory=list)  # those of `good`, in its order
    torn: list[tuple[Checked, Offer]] = field(default_factory=list)
    # And whether it is at rest: whole here, and not written over there just now.
    differing: list[tuple[Offer, bool]] = field(default_factory=list)
    being_written: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    facts: bytearray = field(default_factory=bytearray)
    certain: int = 0
    compared: int = 0
    files: int = 0
    bytes: int = 0
    method: str | None = None
    transfer_s: float = 0.0
    check_s: float = 0.0
    failure: HostError | None = None


def bring_home(
    session: Session,
    history: History,
    planned: Plan,
    live: Manifest | None,
    *,
    judge: Judge,
    is_new_run: IsNewRun,
    ask: AskHost,
    clock_ns: int,
    incarnation: Mapping[str, str | int | None] | None,
    on_progress: OnProgress,
) -> Arrival:
    """Fetch what is wanted, check it, and make it the newest generation. The caller holds the lock.

    When the link fails, what arrived whole is kept first, unless it belongs to another run.

    Args:
        session: an open way to the host.
        history: the backup.
        planned: what is wanted.
        live: the newest generation.
        judge: says whether a file is whole.
        is_new_run: says whether the files that came are of another run.
        ask: has files hashed on the host.
        clock_ns: the host's own clock when it listed its files.
        incarnation: the host's, for the manifest.
        on_progress: told how far it is.

    Raises:
        HostError: the fetch failed; a repeated sync goes on where it stopped.
        NoSpace: there is not even room for what is to be fetched.
    """
    if not planned.wanted:
        return Arrival(live)
    here = live.files if live is not None else {}
    ways, got = Ways(history, session.host, here), _Gathered()
    wanted: Sequence[Offer] = planned.wanted
    for again in (True, False):
        noted = wanted if again else (*planned.wanted, *wanted)
        _fetch(session, history, ways, wanted, noted, got, on_progress)
        _compare(ways, wanted, got, judge, ask, clock_ns, on_progress)
        if not got.differing or not again or got.failure is not None:
            break
        wanted, got.differing = [offer for offer, _ in got.differing], []
    mismatched = tuple(offer.path for offer, rests in got.differing if rests)
    got.being_written += [offer.path for offer, rests in got.differing if not rests]

    new_run = is_new_run(_files(ways, got)) if live is not None else None
    if got.failure is not None and new_run is not None:
        raise got.failure
    if got.good and not share_blocks(ways.file(got.came[0]), history.scratch):
        # The live copies must fit as well; if not, nothing is changed and all stays in incoming.
        see_room(history.root, (entry.bytes for entry in got.good.values()))
    aside = tuple(put_aside(history, seen, offer.mtime_ns) for seen, offer in got.torn)
    manifest = live
    if got.good:
        manifest = _commit(history, planned, live, ways, got, judge, new_run, incarnation)
    end(history)
    if got.failure is not None:
        raise got.failure
    return Arrival(
        manifest,
        got.files,
        got.bytes,
        got.method,
        aside,
        tuple(got.missed),
        tuple(got.being_written),
        mismatched,
        got.compared,
        bytes(got.facts),
        got.certain,
        new_run,
        got.transfer_s,
        got.check_s,
    )


def _fetch(
    session: Session,
    history: History,
    ways: Ways,
    wanted: Sequence[Offer],
    noted: Sequence[Offer],
    got: _Gathered,
    on_progress: OnProgress,
) -> None:
    """Fetch; a link that fails is noted, since what arrived before is looked at first."""
    started = time.monotonic()
    requests = ways.pulls(wanted)
    first = next(requests)  # the room on the disk is seen to before anything is noted
    begin(history, session.host, (_awaited(ways, offer) for offer in noted))
    try:
        for request in itertools.chain((first,), requests):
            pulled = session.pull(request, on_progress)
            got.files, got.bytes = got.files + pulled.transferred_files, got.bytes + pulled.transferred_bytes
            got.method = pulled.method
    except HostError as e:
        got.failure = e
    got.transfer_s += time.monotonic() - started


def _compare(
    ways: Ways,
    wanted: Sequence[Offer],
    got: _Gathered,
    judge: Judge,
    ask: AskHost,
    clock_ns: int,
    on_progress: OnProgress,
) -> None:
    """Read what arrived, while the host hashes the same files; and decide about each."""
    started, done = time.monotonic(), 0
    pool = ThreadPoolExecutor(AHEAD)
    try:
        batches = _arrived(ways, wanted, got)
        asked: deque[tuple[list[tuple[Offer, int]], Future[Told] | None]] = deque()
        while True:
            for batch in itertools.islice(batches, AHEAD - len(asked)):
                asked.append((batch, pool.submit(ask, batch) if got.failure is None else None))
            if not asked:
                break
            batch, answer = asked.popleft()
            files = {offer.path: ways.file(offer) for offer, _ in batch}
            seen = check(files, judge, _part(on_progress, done, len(wanted)))
            told = _answer(answer, got)
            for each, (offer, _) in zip(seen, batch, strict=True):
                _decide(each, offer, told, ways, got, clock_ns)
            done += len(batch)
    finally:
        # Not waited for: Ctrl-C would else last as long as a silent host; the session's end ends them.
        pool.shutdown(wait=False, cancel_futures=True)
    got.check_s += time.monotonic() - started


def _arrived(ways: Ways, wanted: Sequence[Offer], got: _Gathered) -> Iterator[list[tuple[Offer, int]]]:
    """What came, and how large it is; after a failure only what is the version that was listed."""
    batch: list[tuple[Offer, int]] = []
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


def _answer(asked: Future[Told] | None, got: _Gathered) -> Told | None:
    """What the host says; None when the link fails: then the files are kept as after a failed fetch."""
    if asked is None:
        return None
    try:
        return asked.result()
    except HostError as e:
        got.failure = e
        return None


def _decide(
    seen: Checked, offer: Offer, told: Told | None, ways: Ways, got: _Gathered, clock_ns: int
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
        got.good[offer.path] = entry_of(replace(seen, bytes=size), mtime_ns, host=ways.host)
        got.came.append(offer)
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


def _commit(
    history: History,
    planned: Plan,
    live: Manifest | None,
    ways: Ways,
    got: _Gathered,
    judge: Judge,
    new_run: str | None,
    incarnation: Mapping[str, str | int | None] | None,
) -> Manifest | None:
    """Make the good files durable, then a generation, then live."""
    files: Mapping[str, Entry] = got.good
    if live is not None:
        here = live.files
        base = {o.path: here[o.path] for o in planned.unchanged} if new_run is not None else here
        files = {**base, **got.good}
    hashed(
        history,
        ((offer.path, entry.sha256) for offer, entry in zip(got.came, got.good.values(), strict=True)),
    )
    sync_files(history.root, (ways.file(offer) for offer in got.came))
    history.keep(
        (ways.file(offer), entry.sha256) for offer, entry in zip(got.came, got.good.values(), strict=True)
    )
    made = history.commit(
        files, why="sync", host=ways.host, incarnation=incarnation, new_tree=new_run is not None
    )
    return settle(history, judge, committed=(made, live)).manifest


def _files(ways: Ways, got: _Gathered) -> Paths:
    """Where the good files lie."""
    came = {offer.path: offer for offer in got.came}
    return Paths(came, lambda path: ways.file(came[path]))


def _awaited(ways: Ways, offer: Offer) -> Awaited:
    return Awaited(offer.path, ways.below(offer), offer.bytes, offer.mtime_ns)


def _part(on_progress: OnProgress, done: int, total: int) -> OnProgress:
    """Progress of one batch as progress of the whole."""
    return lambda p: on_progress(Progress(p.what, done + p.done, total, p.unit))
