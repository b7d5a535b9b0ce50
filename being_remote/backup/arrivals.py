"""From what a host has to a new generation: plan, fetch, check, commit, refresh.

Knows of files only their names and bytes. Whether one is whole is the judge's word, and whether
the host now holds another run than the backup is the caller's.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from being_remote.backup.checking import NO_JUDGE, Judge, check
from being_remote.backup.files import see_room, share_blocks, sync_files
from being_remote.backup.history import History
from being_remote.backup.manifest import Entry, Manifest
from being_remote.backup.names import Taken, refusal
from being_remote.backup.quarantine import SetAside
from being_remote.backup.salvage import Awaited, begin, end
from being_remote.backup.settle import entry_of, put_aside, settle
from being_remote.errors import HostError
from being_remote.session import OnProgress, Pull, Session, no_progress

SECOND_NS = 1_000_000_000

# Good files that arrived (path -> where they lie now) -> why they belong to another run, or None.
IsNewRun = Callable[[Mapping[str, Path]], str | None]


@dataclass(frozen=True)
class Offer:
    """One file that the host has, and where it belongs here.

    Attributes:
        path: where it comes to lie, below the backup.
        home: the folder of `path`, or where it begins if `name` has folders of its own.
        top: the folder on the host that all this actor's folders are below.
        source: the file's folder on the host, `top` or below it.
        name: below `source`, as the host spells it.
    """

    path: str
    home: str
    top: PurePosixPath
    source: PurePosixPath
    name: bytes
    bytes: int
    mtime_ns: int
    sha256: str | None = None


@dataclass(frozen=True)
class Plan:
    """What to fetch, and what stays where it is and why."""

    wanted: tuple[Offer, ...]
    unchanged: tuple[Offer, ...]
    refused: tuple[SetAside, ...]
    still_torn: tuple[SetAside, ...]

    @property
    def wanted_bytes(self) -> int:
        """Bytes to fetch at most; rsync may need fewer."""
        return sum(offer.bytes for offer in self.wanted)


@dataclass(frozen=True)
class Arrival:
    """What came of it. `missed` went away on the host meanwhile; seconds are of the two long phases."""

    manifest: Manifest | None
    transferred_files: int = 0
    transferred_bytes: int = 0
    method: str | None = None
    set_aside: tuple[SetAside, ...] = ()
    missed: tuple[str, ...] = ()
    new_run: str | None = None
    transfer_s: float = 0.0
    check_s: float = 0.0


def plan(
    offers: Iterable[Offer],
    here: Mapping[str, Entry],
    torn: Mapping[str, list[SetAside]],
    *,
    folds: bool,
) -> Plan:
    """Decide about each file.

    Args:
        offers: what the host has.
        here: what is live.
        torn: what lies in quarantine; not fetched again while the host's file is the same.
        folds: this laptop's file system takes `A` and `a` for one name.
    """
    wanted, unchanged, refused, still_torn = [], [], [], []
    taken, placed = Taken(here, folds=folds), set()
    for offer in sorted(offers, key=lambda o: (o.path not in here, o.path)):
        why = refusal(offer.name) or taken.clash(offer.path)
        if why is None and offer.path in placed:
            why = "another file of the host has its place already"
        if why is not None:
            refused.append(SetAside(offer.path, f"its name is refused: {why}"))
            continue
        taken.add(offer.path)
        placed.add(offer.path)
        same = [t for t in torn.get(offer.path, ()) if _same(offer, t.bytes, t.mtime_ns, t.sha256)]
        entry = here.get(offer.path)
        if entry is not None and _same(offer, entry.bytes, entry.mtime_ns, entry.sha256):
            unchanged.append(offer)
        elif same:
            still_torn.append(same[0])
        else:
            wanted.append(offer)
    return Plan(tuple(wanted), tuple(unchanged), tuple(refused), tuple(still_torn))


def _same(offer: Offer, size: int, mtime_ns: int, sha256: str) -> bool:
    """By hash where both sides have one; a rewrite may keep size and time."""
    if offer.sha256 is not None and sha256:
        return offer.sha256 == sha256
    return (offer.bytes, offer.mtime_ns) == (size, mtime_ns)


def bring_home(
    session: Session,
    history: History,
    planned: Plan,
    live: Manifest | None,
    *,
    judge: Judge,
    is_new_run: IsNewRun,
    incarnation: Mapping[str, str | int | None] | None,
    on_progress: OnProgress,
) -> Arrival:
    """Fetch what is wanted, check it, and make it the newest generation. The caller holds the lock.

    When the link fails, what arrived whole is kept first, unless it belongs to another run.

    Raises:
        HostError: the fetch failed; a repeated sync goes on where it stopped.
        NoSpace: there is not even room for what is to be fetched.
    """
    if not planned.wanted:
        return Arrival(live)
    here = live.files if live is not None else {}
    started = time.monotonic()
    ways = _ways(history, planned.wanted, here)
    failure: HostError | None = None
    files, size, method = 0, 0, None
    requests = _pulls(history, ways)
    begin(history, session.host, [_awaited(history, offer, way) for offer, way in ways.items()])
    try:
        for request in requests:
            pulled = session.pull(request, on_progress)
            files, size = files + pulled.transferred_files, size + pulled.transferred_bytes
            method = pulled.method
    except HostError as e:
        failure = e
    transferred = time.monotonic()

    lying = _lying(history.incoming)
    arrived = {
        offer.path: offer
        for offer, way in ways.items()
        if (found := lying.get(str(way.file(offer)))) and (failure is None or _is_listed(offer, found))
    }
    seen = check({path: ways[o].file(o) for path, o in arrived.items()}, judge, on_progress)
    checked = time.monotonic()
    good = [s for s in seen if s.problem is None]
    new_run = is_new_run({s.path: s.file for s in good}) if live is not None else None
    if failure is not None and new_run is not None:
        raise failure

    if good and not share_blocks(good[0].file, history.scratch):
        # The live copies must fit as well; if not, nothing is changed and all stays in incoming.
        see_room(history.root, (s.found.st_size for s in good))
    aside = [put_aside(history, s, arrived[s.path].mtime_ns) for s in seen if s.problem is not None]
    entries = {s.path: entry_of(s, _mtime_ns(arrived[s.path], s.found), host=session.host) for s in good}
    base = {o.path: here[o.path] for o in planned.unchanged} if new_run is not None else dict(here)
    manifest = live
    if entries:
        sync_files(history.root, [s.file for s in good])
        history.keep({s.file: s.sha256 for s in good})
        history.commit(
            {**base, **entries},
            why="sync",
            host=session.host,
            incarnation=incarnation,
            new_tree=new_run is not None,
        )
        manifest = settle(history, judge).manifest
    end(history)
    if failure is not None:
        raise failure
    missed = tuple(o.path for o in planned.wanted if o.path not in arrived)
    return Arrival(
        manifest,
        files,
        size,
        method,
        tuple(aside),
        missed,
        new_run,
        transferred - started,
        checked - transferred,
    )


@dataclass(frozen=True)
class _Way:
    """How files come: names begin with `prefix` below `source` on the host, and arrive below `into`."""

    source: PurePosixPath
    prefix: bytes
    into: Path
    unless_in: Path

    def name(self, offer: Offer) -> bytes:
        return self.prefix + offer.name

    def file(self, offer: Offer) -> Path:
        return self.into / os.fsdecode(self.prefix + offer.name)


def _ways(history: History, wanted: Iterable[Offer], here: Mapping[str, Entry]) -> dict[Offer, _Way]:
    """A changed file comes by its folder, so that rsync can build on the live one.

    All others come together: each request costs several round trips. So do those that rsync would
    take for unchanged, because size and second are the same.
    """

    @cache
    def way(top: PurePosixPath, source: PurePosixPath, home: str, together: bool) -> _Way:
        if not together:
            return _Way(source, b"", history.incoming / "changed" / home, history.root / home)
        below = source.relative_to(top)
        aside = hashlib.sha256(os.fsencode(top)).hexdigest()[:8]
        prefix = os.fsencode(below) + b"/" if below.parts else b""
        return _Way(top, prefix, history.incoming / aside / "files", history.nothing)

    def together(offer: Offer) -> bool:
        entry, second = here.get(offer.path), offer.mtime_ns // SECOND_NS
        return entry is None or (entry.bytes, entry.mtime_ns // SECOND_NS) == (offer.bytes, second)

    return {o: way(o.top, o.source, o.home, together(o)) for o in wanted}


def _pulls(history: History, ways: Mapping[Offer, _Way]) -> list[Pull]:
    """The requests, and room made for them: no leftover of another version, enough free space."""
    groups: dict[tuple[PurePosixPath, Path, Path], list[Offer]] = {}
    for offer, way in ways.items():
        groups.setdefault((way.source, way.into, way.unless_in), []).append(offer)
    lying = _lying(history.incoming)
    missing, stale = [], dict[str, Path]()
    for offer, way in ways.items():
        found = lying.get(str(way.file(offer))) if lying else None
        if found is None or not _is_listed(offer, found):
            missing.append(offer.bytes)
            if found is not None:
                stale[offer.path] = way.file(offer)
    if stale:
        # What an interrupted sync left of another version must not pass for this one; nor be lost.
        seen = check(stale, NO_JUDGE, no_progress)
        sync_files(history.root, [s.file for s in seen])
        history.keep({s.file: s.sha256 for s in seen})
    see_room(history.root, missing)
    return [
        Pull(
            source=source,
            names=tuple(sorted(ways[o].name(o) for o in offers)),  # by folder: rsync is faster so
            into=into,
            unless_in=unless_in,
            total_bytes=sum(o.bytes for o in offers),
        )
        for (source, into, unless_in), offers in groups.items()
    ]


def _awaited(history: History, offer: Offer, way: _Way) -> Awaited:
    file = way.file(offer).relative_to(history.incoming)
    return Awaited(offer.path, str(file), offer.bytes, offer.mtime_ns)


def _lying(folder: Path) -> dict[str, os.stat_result]:
    """Every file below the folder, by its path."""
    paths = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    return {path: os.lstat(path) for path in paths}


def _is_listed(offer: Offer, found: os.stat_result) -> bool:
    """Whether a file in incoming is the version that was listed."""
    return (found.st_size, _mtime_ns(offer, found)) == (offer.bytes, offer.mtime_ns)


def _mtime_ns(offer: Offer, arrived: os.stat_result) -> int:
    """The host's time, where the way here or this file system kept whole seconds only."""
    rounded = arrived.st_mtime_ns == offer.mtime_ns // SECOND_NS * SECOND_NS
    return offer.mtime_ns if rounded else arrived.st_mtime_ns
