"""From what is wanted to a new snapshot: fetch, check, compare with the host, commit, refresh.

A file becomes live only if the judge finds it whole and its bytes are those that the host has. What
differs is fetched once more. Knows of files only their names and bytes: whether one is whole is the
judge's word, and whether the host now holds another run than the backup is the caller's.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from being_remote.backup.history import History
from being_remote.backup.incoming import FetchGroups
from being_remote.backup.interrupted_sync import ExpectedFile, begin, end, hashed
from being_remote.backup.manifest import Manifest
from being_remote.backup.reconcile import Reconciled, Replacement, settle
from being_remote.disk import no_space, room_bytes
from being_remote.durable_files import NamedPaths, is_nearly_full, share_blocks, size_words, sync_files
from being_remote.errors import HostError
from being_remote.session import Hashed, OnProgress, Session
from being_remote.transfer.download_plan import MAX_REFUSED, DownloadPlan, RemoteFile
from being_remote.transfer.fetch import Fetch, share_room
from being_remote.transfer.file_check import Judge, wrong_ones
from being_remote.transfer.hash_comparison import Arrivals, HashQueries, compare
from being_remote.transfer.known_hashes import lasting
from being_remote.transfer.quarantine import QuarantinedFile, quarantine_checked
from being_remote.transfer.stored_file import StoredFile

# Good files that arrived (path -> where they lie now) -> why they belong to another run, or None.
IsNewRun = Callable[[Mapping[str, Path]], str | None]


@dataclass(frozen=True)
class Arrival:
    """What came of it.

    Attributes:
        manifest: the snapshot that is live now.
        transferred_files, transferred_bytes, method: what came over the link, and how.
        set_aside: torn or unsafe, in quarantine.
        missed: went away on the host meanwhile.
        being_written: torn because the host is writing them just now; they come with the next round.
        mismatched: not what the host has, even when fetched again; the earlier version stays.
        compared: how many files have the hash that was made of them on the host.
        facts: those that were learned, one behind the other; see `known`.
        certain: how many files are still as listed, and their hash tells them from any later version.
        new_run: why the live tree was replaced as a whole.
        replaced: by what it was.
        transfer_s, check_s: of the two long phases.
        left_out: for which there is no room here; not fetched.
    """

    manifest: Manifest | None
    transferred_files: int = 0
    transferred_bytes: int = 0
    method: str | None = None
    set_aside: tuple[QuarantinedFile, ...] = ()
    missed: tuple[str, ...] = ()
    being_written: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    compared: int = 0
    facts: bytes = b""
    certain: int = 0
    new_run: str | None = None
    replaced: Replacement | None = None
    transfer_s: float = 0.0
    check_s: float = 0.0
    left_out: tuple[QuarantinedFile, ...] = ()


def bring_home(
    session: Session,
    history: History,
    planned: DownloadPlan,
    live: Manifest | None,
    *,
    judge: Judge,
    is_new_run: IsNewRun,
    asking: HashQueries,
    incarnation: Mapping[str, str | int | None] | None,
    on_progress: OnProgress,
    confirmed: Mapping[str, StoredFile] = MappingProxyType({}),
) -> Arrival:
    """Fetch what is wanted, check it, and make it the newest snapshot. The caller holds the lock.

    When the link fails, what arrived whole is kept first, unless it belongs to another run.

    Args:
        session: an open way to the host.
        history: the backup.
        planned: what is wanted.
        live: the newest snapshot.
        judge: says whether a file is whole.
        is_new_run: says whether the files that came are of another run.
        asking: how the host is asked.
        incarnation: the host's, for the manifest.
        on_progress: told how far it is.
        confirmed: live files of no known host, which this one holds with the same hash: their new
            entries. Which run a file is of rests on them.

    Raises:
        HostError: the fetch failed; a repeated sync goes on where it stopped.
        NoSpace: there is room for nothing of what is to be fetched.
    """
    if not planned.wanted:
        return Arrival(_confirm(history, live, confirmed, session.host, judge, incarnation).manifest)
    here = live.files if live is not None else {}
    ways, got = FetchGroups(history, session.host, here), Arrivals()
    ways.drop_halves(planned.wanted)  # before anything is left out for want of their room
    room = ways.fitting(planned.wanted)
    if not room.fit:
        if is_nearly_full(history.root):
            raise no_space(history.root, planned.wanted_bytes)
        settled = _confirm(history, live, confirmed, session.host, judge, incarnation)
        return Arrival(settled.manifest, left_out=_not_fitting(history, room.left_out))
    planned = replace(planned, wanted=room.fit)
    wanted: Sequence[RemoteFile] = planned.wanted
    for again in (True, False):
        noted = wanted if again else (*planned.wanted, *wanted)
        _fetch(session, history, ways, wanted, noted, got, asking.clock_ns, on_progress)
        compare(ways, wanted, got, judge, asking, on_progress)
        if not got.differing or not again or got.failure is not None:
            break
        wanted, got.differing = [offer for offer, _ in got.differing], []
    overwritten = [] if again else _overwritten(ways, got, on_progress)
    mismatched = (*(offer.path for offer, rests in got.differing if rests), *overwritten)
    got.being_written += [offer.path for offer, rests in got.differing if not rests]

    new_run = is_new_run(_files(ways, got)) if live is not None else None
    if got.failure is not None and new_run is not None:
        raise got.failure
    left_out = [*room.left_out, *_without_room_to_live(history, ways, got)]
    nothing_fits = bool(left_out) and not got.good and is_nearly_full(history.root)
    if nothing_fits or (new_run is not None and _lacks_a_kind(got, left_out)):
        raise no_space(history.root, sum(offer.bytes for offer in left_out))
    aside = tuple(quarantine_checked(history, seen, offer.mtime_ns) for seen, offer in got.torn)
    if got.good:
        settled = _commit(history, planned, live, ways, got, judge, new_run, incarnation, confirmed)
    else:
        settled = _confirm(history, live, confirmed, session.host, judge, incarnation)
    end(history)
    if got.failure is not None:
        raise got.failure
    return Arrival(
        settled.manifest,
        got.files,
        got.bytes,
        ", ".join(sorted(got.methods)) or None,
        aside,
        tuple(got.missed),
        tuple(got.being_written),
        mismatched,
        got.compared,
        bytes(got.facts),
        got.certain,
        new_run,
        settled.replaced,
        got.transfer_s,
        got.check_s,
        _not_fitting(history, left_out),
    )


def _lacks_a_kind(got: Arrivals, left_out: Sequence[RemoteFile]) -> bool:
    """Whether another run would become live without any of its frames, its box, ..."""
    lacking = {offer.origin.rank for offer in left_out if offer.origin.wave == 0}
    return not lacking <= {offer.origin.rank for offer in got.came}


def _without_room_to_live(history: History, ways: FetchGroups, got: Arrivals) -> Sequence[RemoteFile]:
    """Take out of the good files those whose live copies do not fit: they stay in incoming."""
    if not got.good or share_blocks(ways.file(got.came[0]), history.scratch):
        return ()
    room = share_room(history.root, got.came, lambda offer: got.good[offer.path].bytes)
    for offer in room.left_out:
        del got.good[offer.path]
    if room.left_out:
        got.came = list(room.fit)
    return room.left_out


def _fetch(
    session: Session,
    history: History,
    ways: FetchGroups,
    wanted: Sequence[RemoteFile],
    noted: Sequence[RemoteFile],
    got: Arrivals,
    clock_ns: int,
    on_progress: OnProgress,
) -> None:
    """Fetch; a link that fails is noted, since what arrived before is looked at first."""
    started = time.monotonic()
    got.sent.clear()  # said of the versions that came before
    fetches = ways.fetches(wanted)
    first = next(fetches)  # the room on the disk is seen to before anything is noted
    begin(history, session.host, (_awaited(ways, offer) for offer in noted))
    try:
        for fetch in itertools.chain((first,), fetches):
            pulled = session.pull(fetch.request, on_progress, functools.partial(_sent, fetch, got, clock_ns))
            got.files, got.bytes = got.files + pulled.transferred_files, got.bytes + pulled.transferred_bytes
            got.methods |= set(pulled.method.split(", "))
    except HostError as e:
        got.failure = e
    got.transfer_s += time.monotonic() - started


def _sent(fetch: Fetch, got: Arrivals, clock_ns: int, name: bytes, hashed: Hashed | None) -> None:
    """Note a hash that was made of a file as it was listed, and tells it from any later version."""
    offer = fetch.offer(name)
    got.sent.pop(offer.path, None)  # what was said before was said of other bytes
    listed = (offer.bytes, offer.mtime_ns, offer.ctime_ns, offer.inode)
    if hashed is not None and hashed[:4] == listed and lasting(offer, clock_ns):
        got.sent[offer.path] = hashed.sha256


def _commit(
    history: History,
    planned: DownloadPlan,
    live: Manifest | None,
    ways: FetchGroups,
    got: Arrivals,
    judge: Judge,
    new_run: str | None,
    incarnation: Mapping[str, str | int | None] | None,
    confirmed: Mapping[str, StoredFile],
) -> Reconciled:
    """Make the good files durable, then a snapshot, then live."""
    files: Mapping[str, StoredFile] = got.good
    if live is not None:
        here = {**live.files, **confirmed}
        base = {path: here[path] for path in planned.unchanged} if new_run is not None else here
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
    return settle(history, judge, committed=(made, live))


def _not_fitting(history: History, left_out: Sequence[RemoteFile]) -> tuple[QuarantinedFile, ...]:
    """What to say of files for which there is no room."""
    if not left_out:
        return ()
    free = size_words(max(room_bytes(history.root), 0))
    told = [
        QuarantinedFile(o.path, f"not fetched: {size_words(o.bytes)} do not fit here ({free} are free)")
        for o in left_out[:MAX_REFUSED]
    ]
    more: dict[str, int] = {}
    for offer in left_out[MAX_REFUSED:]:
        more[offer.origin.home] = more.get(offer.origin.home, 0) + 1
    told += [QuarantinedFile(home, f"{count} more files do not fit here") for home, count in more.items()]
    return tuple(told)


def _overwritten(ways: FetchGroups, got: Arrivals, on_progress: OnProgress) -> Sequence[str]:
    """Take out of the good files what a second fetch, to the same folder, has written since it was read."""
    files = _files(ways, got)

    def file_of(path: str) -> tuple[Path, str]:
        return files[path], got.good[path].sha256

    wrong = wrong_ones(list(files), file_of, "checking", on_progress)
    for path in wrong:
        del got.good[path]
    if wrong:
        got.came = [offer for offer in got.came if offer.path not in wrong]
    return list(wrong)


def _confirm(
    history: History,
    live: Manifest | None,
    confirmed: Mapping[str, StoredFile],
    host: str,
    judge: Judge,
    incarnation: Mapping[str, str | int | None] | None,
) -> Reconciled:
    """The live snapshot, or a new one that says which host holds the files that were put here by hand."""
    if live is None or not confirmed:
        return Reconciled(live)
    made = history.commit(
        {**live.files, **confirmed}, why="sync", host=host, incarnation=incarnation, new_tree=False
    )
    return settle(history, judge, committed=(made, live))


def _files(ways: FetchGroups, got: Arrivals) -> NamedPaths:
    """Where the good files lie."""
    came = {offer.path: offer for offer in got.came}
    return NamedPaths(came, lambda path: ways.file(came[path]))


def _awaited(ways: FetchGroups, offer: RemoteFile) -> ExpectedFile:
    return ExpectedFile(offer.path, ways.below(offer), offer.bytes, offer.mtime_ns)
