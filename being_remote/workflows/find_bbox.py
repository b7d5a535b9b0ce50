"""find-bbox: is the crop box still anywhere, on the hosts or on this laptop?

Every host gets one round trip, all at once, and this laptop is searched by the same probe. A host
that cannot be asked has its error in its own row and delays nobody beyond its time-out. Nothing is
changed anywhere, except that `fetch` brings the best box to the actor's backup, never over a
different one.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from being_remote.errors import (
    BeingRemoteError,
    HostError,
    InconsistentData,
    InventoryError,
    NotFoundError,
)
from being_remote.find_bbox.box_candidates import ActorFiles, Candidate, HostCandidates, judge
from being_remote.find_bbox.box_choice import ChosenBox, choose, ways_of_recovery, with_equals
from being_remote.find_bbox.run_owners import HostPlaces, Owners, TrackedRun, text_of
from being_remote.find_bbox.search_request import PICTURES, request_for
from being_remote.inventory import LOCAL, Actor, Inventory, LocalHost, SshHost
from being_remote.jobs.status_poll import ledger_of
from being_remote.pod import job_records as records
from being_remote.pod_client.box_search import BoxSearchAnswer, search_host
from being_remote.pod_client.many_hosts import ask_all
from being_remote.session import OnProgress, TransferProgress, no_progress
from being_remote.tracker.layout import BBOX


@dataclass(frozen=True)
class HostRow:
    """What one host said.

    Attributes:
        reachable: a session came about, whatever became of it. False where the key is not trusted.
        error, error_class, next: why it could not be asked, the name of our error, and what to do.
        evidence: counts, all None where the host could not be asked.
        truncated: the bounds that cut the search; empty when all was searched.
        unfinished: the roots below which a box may lie unseen for that.
        missing_roots: search roots that are not there. unreadable: folders that may not be read.
        round_trips: commands sent, connecting aside.
    """

    host: str
    reachable: bool
    error: str | None
    error_class: str | None
    next: str | None
    candidates: tuple[Candidate, ...]
    evidence: ActorFiles
    runs: tuple[TrackedRun, ...]
    truncated: tuple[str, ...]
    unfinished: tuple[str, ...]
    missing_roots: tuple[str, ...]
    unreadable: int
    seconds: float
    round_trips: int

    @property
    def unseen(self) -> str | None:
        """Why a box may lie on this host unseen; None where all was looked at."""
        if self.error is not None:
            return f"{self.host} could not be asked"
        if self.unfinished:
            return f"the search of {self.host} was cut"
        return f"{self.host} has folders that may not be read" if self.unreadable else None


@dataclass(frozen=True)
class DownloadedBox:
    """What became of `fetch`: `done` when the box is in the actor's backup, `what` in words."""

    path: str
    done: bool
    what: str


@dataclass(frozen=True)
class FindReport:
    """All hosts' rows, this laptop's last (`host: local`), and what follows from them."""

    actor: str
    results: tuple[HostRow, ...]
    best: ChosenBox | None
    why_no_best: str | None
    recovery: tuple[str, ...]
    fetched: DownloadedBox | None

    @property
    def exit_code(self) -> int:
        """0 found; 3 not found; 4 not found where not all was looked at; 6 fetch was refused."""
        found = any(c.may_serve(self.actor) for row in self.results for c in row.candidates)
        if found:
            return InconsistentData.exit_code if self.fetched is not None and self.best is None else 0
        return HostError.exit_code if any(row.unseen for row in self.results) else NotFoundError.exit_code


@dataclass(frozen=True)
class _HostQuery:
    """What to ask of whom. `name` is the row's; this laptop is asked as a local host."""

    name: str
    host: SshHost | LocalHost
    places: HostPlaces
    owners: Owners
    request: dict[str, Any]

    @property
    def seconds(self) -> float:
        """After so many seconds the search ends."""
        return float(self.request["limits"]["seconds"])


@dataclass(frozen=True)
class _HostReply:
    answer: BoxSearchAnswer | None
    error: BeingRemoteError | None
    reachable: bool
    seconds: float
    round_trips: int


def find_bbox(
    inventory: Inventory,
    *,
    actor: str | None = None,
    hosts: Sequence[str] = (),
    fetch: bool = False,
    search_time_s: float | None = None,
    dry_run: bool = False,
    on_progress: OnProgress = no_progress,
) -> FindReport:
    """Search hosts and this laptop for an actor's bbox.pt, and judge all that is found.

    Args:
        inventory: the hosts and actors.
        actor: a name in it; default: its only one.
        hosts: names in it; default: all. This laptop is always searched.
        fetch: download the best one to `<backups>/<actor>/bbox.pt`.
        search_time_s: seconds after which each host's search ends, whether it has seen all or not;
            default: half of the host's `answer_timeout_s`.
        dry_run: with `fetch`, only say what would be done.
        on_progress: progress callback; counts the seconds of each search that goes on.

    Raises:
        UsageError: an unknown or ambiguous name; nothing was contacted.
        InconsistentData: `fetch`, and a different bbox.pt is in the backup.
    """
    who = _with_size(inventory.the_actor(actor))
    asked = [inventory.host(name) for name in dict.fromkeys(hosts or inventory.hosts)]
    searches = [
        *(_search_on(host, inventory, who, search_time_s) for host in asked),
        _search_here(inventory, who, search_time_s),
    ]
    said = _ask_all(searches, inventory, remember=not dry_run, on_progress=on_progress)
    judged = with_equals(
        {
            s.name: judge(answer, who, s.places, s.owners)
            for s in searches
            if (answer := said[s.name].answer) is not None
        }
    )
    evidence = {name: _with_video(name, answer.evidence, who) for name, answer in judged.items()}
    rows = tuple(
        _row(s.name, said[s.name], judged.get(s.name), evidence.get(s.name, ActorFiles())) for s in searches
    )
    best, why_no_best = choose(who.name, judged, unseen=[row.unseen for row in rows if row.unseen])
    return FindReport(
        actor=who.name,
        results=rows,
        best=best,
        why_no_best=why_no_best,
        recovery=ways_of_recovery(evidence),
        fetched=_fetch(inventory, who, best, why_no_best, judged, dry_run=dry_run) if fetch else None,
    )


def _with_size(actor: Actor) -> Actor:
    """The actor with its video's size, where the inventory names only the video."""
    if actor.source_size is not None or actor.video is None:
        return actor
    from being_remote.media.video import open_source

    try:
        with open_source(actor.video) as source:
            return actor.model_copy(update={"source_size": source.size_wh})
    except BeingRemoteError as e:
        # The search does not need it: each candidate says that the frame's size was not checked.
        logging.getLogger("being_remote").info("%s", e)
        return actor


def _search_on(
    host: SshHost | LocalHost, inventory: Inventory, actor: Actor, search_time_s: float | None
) -> _HostQuery:
    def places(who: Actor) -> HostPlaces:
        tracker = host.tracker.root if host.tracker else None
        return HostPlaces(
            input=None if tracker is None else str(tracker / who.input),
            output=None if tracker is None else str(tracker / who.output),
            backups=tuple(str(host.workdir / folder) for folder in who.host_backups),
            jobs=str(host.workdir / records.JOBS),
        )

    return _search(host.name, host, inventory, actor, places, host.roots, search_time_s)


def _search_here(inventory: Inventory, actor: Actor, search_time_s: float | None) -> _HostQuery:
    def places(who: Actor) -> HostPlaces:
        return HostPlaces(input=None, output=None, backups=(str(inventory.backup_of(who)),), jobs=None)

    # Before the first sync there is no backup folder; that is no search root gone missing.
    backups = [inventory.backups] if inventory.backups.is_dir() else []
    roots = [PurePosixPath(path) for path in (*backups, *inventory.search_roots)]
    laptop = LocalHost.model_validate(
        {"name": "this-laptop", "workdir": inventory.backups, "python": sys.executable}
    )
    return _search(LOCAL, laptop, inventory, actor, places, roots, search_time_s)


def _search(
    name: str,
    host: SshHost | LocalHost,
    inventory: Inventory,
    actor: Actor,
    places: Callable[[Actor], HostPlaces],
    roots: Sequence[PurePosixPath],
    search_time_s: float | None,
) -> _HostQuery:
    others = {name: other for name, other in inventory.actors.items() if name != actor.name}
    ours_first = {actor.name: actor, **others}
    request = request_for(
        actor,
        known=[PurePosixPath(p) for p in places(actor).all],
        roots=roots,
        of_jobs=[folder for who in ours_first.values() for folder in places(who).of_jobs],
        search_time_s=host.answer_timeout_s / 2 if search_time_s is None else search_time_s,
    )
    owners = Owners(
        {n: (a, places(a)) for n, a in ours_first.items()},
        map(str, roots),
        jobs=[known.job for known in ledger_of(inventory).jobs()],
    )
    return _HostQuery(name, host, places(actor), owners, request)


def _ask_all(
    searches: Sequence[_HostQuery], inventory: Inventory, *, remember: bool, on_progress: OnProgress
) -> dict[str, _HostReply]:
    def load_the_reader() -> None:
        import being_remote.tracker.frame_file  # noqa: F401 - slow to load; the answers are under way

    def on_wait(pending: Sequence[_HostQuery], seconds: float) -> None:
        for search in pending:
            on_progress(
                TransferProgress(f"searching {search.name}", int(seconds), math.ceil(search.seconds), "s")
            )

    answers = ask_all(
        searches,
        lambda s: _ask(s, inventory, remember=remember),
        meanwhile=load_the_reader,
        on_wait=on_wait,
    )
    return {search.name: said for search, said in zip(searches, answers, strict=True)}


def _ask(search: _HostQuery, inventory: Inventory, *, remember: bool) -> _HostReply:
    from being_remote.transport import open_session

    started, session = time.monotonic(), None
    try:
        with open_session(search.host, inventory, remember=remember) as session:
            timeout_s = search.seconds + search.host.answer_timeout_s / 2
            answer, error = (
                search_host(session, search.request, python=search.host.python, timeout_s=timeout_s),
                None,
            )
    except (HostError, InventoryError) as e:  # a key file that is not there concerns this host alone
        answer, error = None, e
    return _HostReply(
        answer=answer,
        error=error,
        reachable=session is not None,
        seconds=time.monotonic() - started,
        round_trips=session.round_trips if session is not None else 0,
    )


def _with_video(name: str, evidence: ActorFiles, actor: Actor) -> ActorFiles:
    """This laptop's evidence also has the original that the inventory names: a video or its frames."""
    if name != LOCAL or actor.video is None or not actor.video.exists():
        return evidence
    if not actor.video.is_dir():
        return replace(evidence, videos=max(evidence.videos or 0, 1))
    pictures = sum(1 for p in actor.video.iterdir() if p.suffix.lower() in PICTURES)
    return replace(evidence, source_images=max(evidence.source_images or 0, pictures))


def _row(name: str, said: _HostReply, judged: HostCandidates | None, evidence: ActorFiles) -> HostRow:
    return HostRow(
        host=name,
        reachable=said.reachable,
        error=said.error.what if said.error else None,
        error_class=type(said.error).__name__ if said.error else None,
        next=said.error.hint if said.error else None,
        candidates=judged.candidates if judged else (),
        evidence=evidence,
        runs=judged.runs if judged else (),
        truncated=tuple(said.answer.truncated) if said.answer else (),
        unfinished=tuple(text_of(r)[0] for r in said.answer.unfinished) if said.answer else (),
        missing_roots=tuple(text_of(r)[0] for r in said.answer.missing_roots) if said.answer else (),
        unreadable=said.answer.unreadable if said.answer else 0,
        seconds=said.seconds,
        round_trips=said.round_trips,
    )


def _fetch(
    inventory: Inventory,
    actor: Actor,
    best: ChosenBox | None,
    why_no_best: str | None,
    judged: Mapping[str, HostCandidates],
    *,
    dry_run: bool,
) -> DownloadedBox:
    home = inventory.backup_of(actor)
    path = str(home / BBOX)
    if best is None:
        return DownloadedBox(path, done=False, what=f"nothing to fetch: {why_no_best}")
    here = judged[LOCAL].candidates if LOCAL in judged else ()
    if any(c.path == path and c.bbox == best.bbox for c in here):
        return DownloadedBox(path, done=True, what="it is in the backup already")
    data = judged[best.host].contents[best.sha256]
    source = f"{len(data)} bytes from {best.host}:{best.path!r}"
    if dry_run:
        there = os.path.lexists(path)
        what = "would be refused: a different one is in the backup" if there else f"would bring {source}"
        return DownloadedBox(path, done=False, what=what)
    from being_remote.backup import put_file

    put_file(home, BBOX, data, host=best.host)
    return DownloadedBox(path, done=True, what=f"brought {source}")
