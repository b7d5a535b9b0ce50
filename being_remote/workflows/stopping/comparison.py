"""What lies on a host compared with what is at home: one listing, one round of hashing, all verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from being_remote.backup.planning import Offer
from being_remote.errors import NotFoundError
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.session import Session
from being_remote.tracker import layout
from being_remote.workflows.homecoming.actor_files import Found, Task, folders_of, found_in
from being_remote.workflows.homecoming.host_files import File, Listed, Listing
from being_remote.workflows.stopping import actors, results, strays
from being_remote.workflows.stopping.actors import ActorRow
from being_remote.workflows.stopping.disk import Disk, Key, There, hashed, hashes
from being_remote.workflows.stopping.jobs import EndedJob
from being_remote.workflows.stopping.reasons import Reason, Wanted
from being_remote.workflows.stopping.survey import Survey, missing
from being_remote.workflows.stopping.uncovered import uncovered


@dataclass(frozen=True)
class Compared:
    """What came of it. `newest_ns` is the newest change of any of these files, by the host's clock."""

    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]
    actors: tuple[ActorRow, ...] = ()
    jobs: tuple[results.JobRow, ...] = ()
    newest_ns: int | None = None


@dataclass(frozen=True)
class _Held:
    """What the host holds of an actor; `links` are results that are links."""

    task: Task
    found: Found
    offers: tuple[Offer, ...]
    links: tuple[PurePosixPath, ...]


@dataclass(frozen=True)
class _Left:
    """What an ended job left."""

    job: EndedJob
    listed: Listed
    files: tuple[There, ...]


def compare(
    session: Session,
    inventory: Inventory,
    host: SshHost | LocalHost,
    shown: Survey,
    ended: Sequence[EndedJob],
    passed_over: frozenset[str],
) -> Compared:
    """Two round trips; nothing is written, here or there.

    Args:
        session: an open way to the host.
        inventory: whose actors count, and where home is.
        host: which host.
        shown: where frames and boxes lie there.
        ended: the jobs whose results count.
        passed_over: jobs that are judged already.

    Raises:
        HostError: it could not be asked.
    """
    disk = Disk()
    tasks = [Task(a, host, inventory.backup_of(a), layout.PLACES) for a in inventory.actors.values()]
    of_tasks = [(task, disk.want(folders_of(task))) for task in tasks]
    of_jobs = [(job, disk.want([results.folder_of(job)])) for job in ended]
    of_strays = disk.want(strays.folders(shown))
    disk.ask(session, host)

    held = [h for task, which in of_tasks if (h := _held(task, disk.part(which))) is not None]
    left = [_left(job, disk.part(which).folders[0]) for job, which in of_jobs]
    covered = [actors.there(o) for h in held for o in h.offers] + [f for each in left for f in each.files]
    astray = strays.strays(
        host.workdir,
        shown,
        disk.part(of_strays).folders,
        {file.key for file in covered},
        {each.job.job: (each.job, frozenset(f.path for f in each.files)) for each in left},
        passed_over,
    )
    unhashed = [actors.there(o) for h in held for o in h.offers if o.sha256 is None]
    unhashed += [f for each in left for f in each.files] + [f for stray in astray for f in stray.files]
    made = hashes(session, host, unhashed)

    said = [_of_actor(h, made, shown.now_ns) for h in held]
    said += [_of_job(inventory, host.name, each, made) for each in left]
    said += [_of_stray(inventory, host, stray, made) for stray in astray]
    looked_at = [*covered, *(file for stray in astray for file in stray.files)]
    times = [file.mtime_ns for file in covered] + ([shown.newest_ns] if shown.newest_ns is not None else [])
    return Compared(
        reasons=(*(reason for part in said for reason in part.reasons), *_bounds(host, shown)),
        notes=(
            *(note for part in said for note in part.notes),
            *uncovered(inventory, host, shown, looked_at),
        ),
        actors=tuple(row for part in said for row in part.actors),
        jobs=tuple(row for part in said for row in part.jobs),
        newest_ns=max(times, default=None),
    )


def _of_actor(held: _Held, made: Mapping[Key, File], now_ns: int) -> Compared:
    wanted = [
        hashed(actors.there(o), made) if o.sha256 is None else Wanted(o.path, o.bytes, o.mtime_ns, o.sha256)
        for o in held.offers
    ]
    row, why = actors.actor_reasons(held.task, held.offers, wanted, now_ns)
    listed = actors.listing_reasons(held.task, held.found, held.links)
    return Compared((*why, *listed), held.found.warnings, actors=(row,))


def _of_job(inventory: Inventory, host: str, left: _Left, made: Mapping[Key, File]) -> Compared:
    wanted = [hashed(file, made) for file in left.files]
    row, why, notes = results.job_reasons(inventory, host, left.job, wanted)
    return Compared((*results.unlisted(left.job, left.listed), *why), tuple(notes), jobs=(row,))


def _of_stray(
    inventory: Inventory, host: SshHost | LocalHost, stray: strays.Stray, made: Mapping[Key, File]
) -> Compared:
    wanted = [hashed(file, made) for file in stray.files]
    why, notes = strays.stray_reasons(inventory, host, stray, wanted)
    return Compared(tuple(why), tuple(notes))


def _held(task: Task, listing: Listing) -> _Held | None:
    """What the host holds of the actor; None if that is nothing."""
    try:
        found = found_in(task, listing)
    except NotFoundError:
        return None
    links = tuple(
        folder.path / name.decode("utf-8", "surrogateescape")
        for folder, listed in zip(folders_of(task), listing.folders, strict=True)
        for name, _ in listed.skipped
        if strays.is_run_file(name)
    )
    return _Held(task, found, tuple(actors.known_already(task, found.offers)), links)


def _left(job: EndedJob, listed: Listed) -> _Left:
    return _Left(job, listed, tuple(results.counting(job, listed)))


def _bounds(host: SshHost | LocalHost, shown: Survey) -> list[Reason]:
    """Why more may lie there than was seen."""
    found = []
    if (main := missing(host, shown)) is not None:
        what = f"there is no {str(main)!r}, so what lies elsewhere was not seen"
        found.append(Reason("files", "unknown", what, f"correct it in the inventory, if {host.name} has one"))
    if shown.truncated:
        what = f"its disk was not looked through to the end: {', '.join(shown.truncated)}"
        found.append(
            Reason("files", "unknown", what, "give the host a `workdir` that holds only what is ours")
        )
    if shown.unreadable:
        what = f"{shown.unreadable} folders below its workdir and tracker could not be read"
        found.append(Reason("files", "unknown", what, "see who may read them, then try again"))
    return found
