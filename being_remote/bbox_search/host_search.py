"""Search hosts and this laptop for an actor's bbox.pt: one round trip each, all at once.

A host that cannot be searched has its error in its own row and delays no other beyond its time-out.
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath, PurePosixPath
from typing import Any, get_args

from being_remote.bbox_search.box_candidates import Candidate, check_candidate
from being_remote.bbox_search.owners import HostPlaces, Owners
from being_remote.bbox_search.tracked_runs import FoundRun, decode_name, read_run
from being_remote.errors import HostError, InventoryError
from being_remote.inventory import LOCAL, Actor, Inventory, LocalHost, SshHost
from being_remote.pod.job_paths import jobs_folder
from being_remote.pod_client.box_search import LIMITS, BoxSearchAnswer, Evidence, search_host
from being_remote.pod_client.many_hosts import ask_all
from being_remote.session import OnProgress, Session, TransferProgress
from being_remote.tracker import layout

PICTURES = (".png", ".jpg", ".jpeg")
# Where each kind of evidence lies below a run's, an actor's or a backup's folder.
_PLACES: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "crop_images": [(name, PICTURES) for name in (layout.CROPS, layout.IMAGES, "run/" + layout.CROPS)],
    "source_images": [(layout.SOURCE, PICTURES)],
    "landmarks": [
        (folder + name, (".npy",)) for folder in ("", "actor/") for name in (layout.KPT, layout.KPT_DENSE)
    ],
    "meshes": [(layout.MESH, (".ply",)), ("run/" + layout.MESH, (".ply",))],
    "videos": [("", (".mp4", ".mov", ".avi", ".mkv"))],
}
# What the tracker may have written elsewhere, where the input's own path holds the word "source".
_DERIVED = (
    (layout.IMAGES, "crop_images", PICTURES),
    (layout.KPT, "landmarks", (".npy",)),
    (layout.KPT_DENSE, "landmarks", (".npy",)),
)
_CONFIGS = ("config.yml", "actor/config.yml", "run/config.yml", f"../../{layout.ACTOR_CONFIGS}/{{name}}.yml")
# Folders of programs, and our own store: the live tree of a backup holds what counts of it.
SKIP_NAMES = (".git", ".history", "__pycache__", "node_modules", "site-packages")
SKIP_PATHS = ("/proc", "/sys", "/dev", "/run")
# Large and unlikely, so searched last.
_LAST_NAMES = (".cache", ".Trash", ".Trash-0", "Trash")


def make_request(
    actor: Actor,
    *,
    known: Iterable[PurePath],
    roots: Iterable[PurePath],
    of_jobs: Iterable[str] = (),
    search_time_s: float,
) -> dict[str, Any]:
    """Return the request of a search.

    Args:
        known: the folders that the inventory names; searched first.
        roots: everything below them is searched, likely places first.
        of_jobs: folders of our own jobs; searched last.
        search_time_s: the search ends after so many seconds, and names what it has not searched.
    """
    places = {kind: list(found) for kind, found in _PLACES.items()}
    for name, kind, suffixes in _DERIVED:
        beside = os.path.relpath(layout.derived_folder(actor.input, name), actor.input)
        if beside != name:
            places[kind].append((beside, suffixes))
    return {
        "box_name": layout.BBOX,
        "run_folder": layout.CHECKPOINT,
        "frame_suffix": layout.FRAME_SUFFIX,
        "known": list(dict.fromkeys(map(str, known))),
        "names": sorted({actor.name, actor.input.name, actor.output.name}),
        "places": places,
        "configs": _CONFIGS,
        "roots": list(dict.fromkeys(map(str, roots))),
        "skip_names": SKIP_NAMES,
        "skip_paths": SKIP_PATHS,
        "first_names": [layout.INPUT, layout.OUTPUT],
        "last_names": _LAST_NAMES,
        "last_paths": list(of_jobs),
        "limits": {**LIMITS, "seconds": search_time_s},
    }


ConnectHost = Callable[[SshHost | LocalHost], Session]


@dataclass(frozen=True)
class EvidenceCounts:
    """How many files of this actor the fullest folder holds; None: unknown."""

    frames: int | None = None
    crop_images: int | None = None
    source_images: int | None = None
    landmarks: int | None = None
    meshes: int | None = None
    videos: int | None = None


@dataclass(frozen=True)
class HostRow:
    """What the search of one host found."""

    host: str
    reachable: bool  # a session was opened. False where the key is not trusted.
    # why it could not be searched, the name of our error, and what to do
    error: str | None = None
    error_class: str | None = None
    next: str | None = None
    candidates: tuple[Candidate, ...] = ()
    evidence: EvidenceCounts = EvidenceCounts()  # counts, all None where the host could not be searched
    runs: tuple[FoundRun, ...] = ()
    truncated: tuple[str, ...] = ()  # the bounds that cut the search; empty when all was searched
    unfinished: tuple[str, ...] = ()  # the roots below which a box may lie unseen for that
    # search roots that do not exist. unreadable: folders that may not be read.
    missing_roots: tuple[str, ...] = ()
    unreadable: int = 0
    seconds: float = 0.0
    round_trips: int = 0  # commands sent, connecting aside

    @property
    def unseen(self) -> str | None:
        """Why a box may lie on this host unseen; None where everything was searched."""
        if self.error is not None:
            return f"{self.host} could not be searched"
        if self.unfinished:
            return f"the search of {self.host} was cut short"
        return f"{self.host} has folders that may not be read" if self.unreadable else None


@dataclass(frozen=True)
class HostSearch:
    """One search. `name` is the row's: this laptop is searched as a local host."""

    name: str
    host: SshHost | LocalHost
    actor: Actor
    places: HostPlaces
    owners: Owners
    request: dict[str, Any]

    @property
    def seconds(self) -> float:
        """The search ends after so many seconds."""
        return float(self.request["limits"]["seconds"])

    def run(self, connect: ConnectHost, contents: dict[str, bytes]) -> HostRow:
        """Search; the bytes of each box that was read go into `contents`, by their sha256."""
        started, session = time.monotonic(), None
        try:
            with connect(self.host) as session:
                timeout_s = self.seconds + self.host.answer_timeout_s / 2
                answer = search_host(session, self.request, python=self.host.python, timeout_s=timeout_s)
        except (HostError, InventoryError) as e:  # a missing key file concerns this host alone
            return HostRow(
                host=self.name,
                reachable=session is not None,
                error=e.what,
                error_class=type(e).__name__,
                next=e.hint,
                seconds=time.monotonic() - started,
                round_trips=session.round_trips if session is not None else 0,
            )
        seconds = time.monotonic() - started
        contents.update(
            {hashlib.sha256(f.content).hexdigest(): f.content for f in answer.candidates if f.content}
        )
        runs = tuple(run for folder in answer.folders if (run := read_run(folder, self.owners)) is not None)
        return HostRow(
            host=self.name,
            reachable=True,
            candidates=tuple(
                check_candidate(found, self.actor, self.places, self.owners, runs)
                for found in answer.candidates
            ),
            evidence=self._evidence(answer, runs),
            runs=runs,
            truncated=tuple(answer.truncated),
            unfinished=tuple(decode_name(root)[0] for root in answer.unfinished),
            missing_roots=tuple(decode_name(root)[0] for root in answer.missing_roots),
            unreadable=answer.unreadable,
            seconds=seconds,
            round_trips=session.round_trips,
        )

    def _evidence(self, answer: BoxSearchAnswer, runs: Sequence[FoundRun]) -> EvidenceCounts:
        owner = {run.path: run.actor for run in runs}
        own = [
            folder
            for folder in answer.folders
            if owner.get(path := decode_name(folder.path)[0], self.owners.find_actor(path)) == self.actor.name
        ]
        frames = max((f.frames.count for f in own if f.frames is not None), default=0)
        most = {kind: max((f.counts.get(kind, 0) for f in own), default=0) for kind in get_args(Evidence)}
        video = self.actor.video
        if self.name == LOCAL and video is not None and video.is_dir():
            pictures = sum(1 for p in video.iterdir() if p.suffix.lower() in PICTURES)
            most["source_images"] = max(most["source_images"], pictures)
        elif self.name == LOCAL and video is not None and video.exists():
            most["videos"] = max(most["videos"], 1)
        return EvidenceCounts(frames=frames, **most)


def plan_searches(
    inventory: Inventory,
    actor: Actor,
    hosts: Sequence[SshHost | LocalHost],
    *,
    known_jobs: Collection[str],
    search_time_s: float | None,
) -> list[HostSearch]:
    """Plan a search of each host and, last, of this laptop.

    Args:
        known_jobs: the ids of all jobs in the ledger.
        search_time_s: when each search ends; None: half of the host's `answer_timeout_s`.
    """
    actors = {actor.name: actor} | {n: a for n, a in inventory.actors.items() if n != actor.name}

    def plan(
        name: str,
        host: SshHost | LocalHost,
        places_of: Callable[[Actor], HostPlaces],
        roots: Sequence[PurePosixPath],
    ) -> HostSearch:
        places = {n: (a, places_of(a)) for n, a in actors.items()}
        own = places[actor.name][1]
        request = make_request(
            actor,
            known=[PurePosixPath(path) for path in own.all],
            roots=roots,
            of_jobs=[folder for _, each in places.values() for folder in each.of_jobs],
            search_time_s=host.answer_timeout_s / 2 if search_time_s is None else search_time_s,
        )
        return HostSearch(name, host, actor, own, Owners(places, map(str, roots), known_jobs), request)

    searches = [plan(h.name, h, partial(_places_on, h), h.roots) for h in hosts]
    # Without a first sync the backup folder does not exist; that is not a missing search root.
    backups = [inventory.backups] if inventory.backups.is_dir() else []
    laptop = LocalHost.model_validate(
        {"name": "this-laptop", "workdir": inventory.backups, "python": sys.executable}
    )
    searches.append(
        plan(
            LOCAL,
            laptop,
            lambda a: HostPlaces(input=None, output=None, backups=(str(inventory.backup_of(a)),), jobs=None),
            [PurePosixPath(path) for path in (*backups, *inventory.search_roots)],
        )
    )
    return searches


def search_hosts(
    searches: Sequence[HostSearch], connect: ConnectHost, on_progress: OnProgress
) -> tuple[list[HostRow], dict[str, bytes]]:
    """Run all searches at once; the rows, and the bytes of each box that was read, by their sha256."""
    contents: dict[str, bytes] = {}

    def import_reader() -> None:
        import being_remote.tracker.frame_file  # noqa: F401 - slow to import; the answers are under way

    def show_pending(pending: Sequence[HostSearch], seconds: float) -> None:
        for search in pending:
            on_progress(
                TransferProgress(f"searching {search.name}", int(seconds), math.ceil(search.seconds), "s")
            )

    rows = ask_all(
        searches,
        lambda search: search.run(connect, contents),
        meanwhile=import_reader,
        on_wait=show_pending,
    )
    return rows, contents


def _places_on(host: SshHost | LocalHost, actor: Actor) -> HostPlaces:
    tracker = host.tracker.root if host.tracker else None
    return HostPlaces(
        input=None if tracker is None else str(tracker / actor.input),
        output=None if tracker is None else str(tracker / actor.output),
        backups=tuple(str(host.workdir / folder) for folder in actor.host_backups),
        jobs=jobs_folder(host.workdir),
    )
