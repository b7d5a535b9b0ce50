"""What lies on a host compared with what is at home: one listing, one round of hashing, all verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from being_remote.errors import NotFoundError
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.pod_client.disk_survey import DiskSurvey
from being_remote.pod_client.listing import ListedFile, ListedFolder, Listing
from being_remote.safe_to_stop import actor_files as actors
from being_remote.safe_to_stop import job_results as results
from being_remote.safe_to_stop import unowned_files as strays
from being_remote.safe_to_stop import unseen_folders as unseen
from being_remote.safe_to_stop.active_jobs import EndedJob
from being_remote.safe_to_stop.actor_files import ActorRow
from being_remote.safe_to_stop.local_copies import LocalResults, folders_of_job, sizes_at_home
from being_remote.safe_to_stop.reasons import Reason, RequiredFile
from being_remote.safe_to_stop.remote_contents import (
    LARGE_BYTES,
    Disk,
    HostFile,
    Key,
    by_size,
    hashed,
    hashes,
)
from being_remote.safe_to_stop.source_files import originals, source_reasons
from being_remote.safe_to_stop.unsynced_files import uncovered
from being_remote.session import Session
from being_remote.sync.remote_files import ActorListing, ActorSync, folders_of, found_in
from being_remote.tracker import layout
from being_remote.transfer.download_plan import RemoteFile


@dataclass(frozen=True)
class FileComparison:
    """What came of it. `newest_ns` is the newest change of any of these files, by the host's clock."""

    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]
    actors: tuple[ActorRow, ...] = ()
    jobs: tuple[results.JobResults, ...] = ()
    newest_ns: int | None = None


@dataclass(frozen=True)
class _ActorOnHost:
    """What the host holds of an actor; `links` are results that are links."""

    task: ActorSync
    found: ActorListing
    offers: tuple[RemoteFile, ...]
    links: tuple[PurePosixPath, ...]


@dataclass(frozen=True)
class _EndedJobFiles:
    """What an ended job left."""

    job: EndedJob
    listed: ListedFolder
    files: tuple[HostFile, ...]


def compare(
    session: Session,
    inventory: Inventory,
    host: SshHost | LocalHost,
    shown: DiskSurvey,
    ended: Sequence[EndedJob],
    passed_over: frozenset[str],
) -> FileComparison:
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
    of_tasks, of_sources = (
        [(task, disk.want(folders_of(task))) for task in _tasks(inventory, host, places)]
        for places in (layout.places_of(), layout.places_of(layout.ON_REQUEST))
    )
    of_jobs = [(job, disk.want([results.folder_of(job)])) for job in ended]
    of_strays = disk.want(strays.folders(shown))
    disk.ask(session, host)

    held = [h for task, which in of_tasks if (h := _held(task, disk.part(which))) is not None]
    sources = [h for task, which in of_sources if (h := _held(task, disk.part(which))) is not None]
    left = [_left(job, disk.part(which).folders[0]) for job, which in of_jobs]
    covered = [actors.there(o) for h in (*held, *sources) for o in h.offers]
    covered += [f for each in left for f in each.files]
    astray = strays.strays(
        host.workdir,
        shown,
        disk.part(of_strays).folders,
        {file.key for file in covered},
        {each.job.job: (each.job, frozenset(f.path for f in each.files)) for each in left},
        passed_over,
    )
    odd = strays.odd_files(shown, {file.key for file in covered})
    unhashed = [actors.there(o) for h in (*held, *sources) for o in h.offers if o.sha256 is None]
    unhashed += [f for each in left for f in each.files] + [f for stray in astray for f in stray.files]
    unhashed += odd
    refused = _refused(inventory, left)
    told = by_size([file for file in unhashed if file.key not in refused], lambda: _sizes(inventory))
    made = {**told, **hashes(session, host, [file for file in unhashed if file.key not in told])}

    said = [_of_actor(h, made, shown.now_ns) for h in held]
    said += [_of_sources(inventory, h, made) for h in sources]
    said += [_of_job(inventory, host.name, each, made) for each in left]
    said += [_of_stray(inventory, host, stray, made) for stray in astray]
    unlisted = [
        reason
        for task, which in (*of_tasks, *of_sources)
        for folder, listed in zip(folders_of(task), disk.part(which).folders, strict=True)
        for reason in unseen.unlisted(folder, listed)
    ]
    unlisted += strays.unlisted(shown, disk.part(of_strays).folders)
    said.append(FileComparison(tuple(dict.fromkeys(unlisted)), ()))  # one folder may be asked for twice
    said.append(
        FileComparison(tuple(strays.odd_reasons(inventory, host, odd, [hashed(f, made) for f in odd])), ())
    )
    looked_at = [*covered, *(file for stray in astray for file in stray.files)]
    times = [file.mtime_ns for file in covered] + ([shown.newest_ns] if shown.newest_ns is not None else [])
    return FileComparison(
        reasons=(*(reason for part in said for reason in part.reasons), *unseen.bounds(host, shown)),
        notes=(
            *(note for part in said for note in part.notes),
            *uncovered(inventory, host, shown, looked_at),
            *unseen.asides(host, shown),
        ),
        actors=tuple(row for part in said for row in part.actors),
        jobs=tuple(row for part in said for row in part.jobs),
        newest_ns=max(times, default=None),
    )


def _tasks(
    inventory: Inventory, host: SshHost | LocalHost, places: tuple[layout.Place, ...]
) -> list[ActorSync]:
    return [ActorSync(actor, host, inventory.backup_of(actor), places) for actor in inventory.actors.values()]


def _refused(inventory: Inventory, left: Sequence[_EndedJobFiles]) -> set[Key]:
    """Large results whose bytes were refused: only their hash is kept here, not their size."""
    large = [(each.job, file) for each in left for file in each.files if file.bytes >= LARGE_BYTES]
    return {
        file.key
        for job, file in large
        if file.path in LocalResults(folders_of_job(inventory, job.job, job.actor)).refused_names
    }


def _sizes(inventory: Inventory) -> frozenset[int]:
    """The sizes of all that is local."""
    return sizes_at_home(inventory).union(*(originals(actor).sizes for actor in inventory.actors.values()))


def _wanted(held: _ActorOnHost, made: Mapping[Key, ListedFile]) -> list[RequiredFile]:
    return [
        hashed(actors.there(o), made)
        if o.sha256 is None
        else RequiredFile(o.path, o.bytes, o.mtime_ns, o.sha256)
        for o in held.offers
    ]


def _of_sources(inventory: Inventory, held: _ActorOnHost, made: Mapping[Key, ListedFile]) -> FileComparison:
    why, notes, _ = source_reasons(inventory, held.task, _wanted(held, made))
    return FileComparison(tuple(why), (*notes, *held.found.warnings))


def _of_actor(held: _ActorOnHost, made: Mapping[Key, ListedFile], now_ns: int) -> FileComparison:
    wanted = _wanted(held, made)
    row, why = actors.actor_reasons(held.task, held.offers, wanted, now_ns)
    return FileComparison(
        (*why, *actors.link_reasons(held.task, held.links)), held.found.warnings, actors=(row,)
    )


def _of_job(
    inventory: Inventory, host: str, left: _EndedJobFiles, made: Mapping[Key, ListedFile]
) -> FileComparison:
    wanted = [hashed(file, made) for file in left.files]
    row, why, notes = results.job_reasons(inventory, host, left.job, wanted)
    return FileComparison((*results.unlisted(left.job, left.listed), *why), tuple(notes), jobs=(row,))


def _of_stray(
    inventory: Inventory,
    host: SshHost | LocalHost,
    stray: strays.UnownedFolder,
    made: Mapping[Key, ListedFile],
) -> FileComparison:
    wanted = [hashed(file, made) for file in stray.files]
    why, notes = strays.stray_reasons(inventory, host, stray, wanted)
    return FileComparison(tuple(why), tuple(notes))


def _held(task: ActorSync, listing: Listing) -> _ActorOnHost | None:
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
    return _ActorOnHost(task, found, tuple(actors.known_already(task, found.offers)), links)


def _left(job: EndedJob, listed: ListedFolder) -> _EndedJobFiles:
    return _EndedJobFiles(job, listed, tuple(results.counting(job, listed)))
