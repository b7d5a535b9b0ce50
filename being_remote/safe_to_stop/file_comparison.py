"""A host's files compared with the local ones: one listing, one round of hashing, all reasons."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol

from being_remote.backup_sync.remote_files import ActorSync, folder_queries
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.pod_client.disk_survey import DiskSurvey
from being_remote.pod_client.listing import FolderQuery, Listing, hash_files, list_files
from being_remote.safe_to_stop.actor_files import ActorFileGroup, SourceFiles, read_actor
from being_remote.safe_to_stop.coverage import survey_limits, uncovered_notes
from being_remote.safe_to_stop.host_files import HostFile, add_hash, skip_by_size
from being_remote.safe_to_stop.job_results import EndedJob, read_job
from being_remote.safe_to_stop.local_copies import LocalCopies
from being_remote.safe_to_stop.reasons import Findings, join_findings
from being_remote.safe_to_stop.unowned_files import (
    odd_files,
    read_unowned,
    surveyed_folders,
    unlisted_unowned,
)
from being_remote.session import Session
from being_remote.tracker import layout


class FileGroup(Protocol):
    """Files of a host that have one owner."""

    @property
    def files(self) -> Sequence[HostFile]:
        """As the host listed them."""

    def compare(self, files: Sequence[HostFile]) -> Findings:
        """What of the same files, hashed on the host, is not local."""


def compare_files(
    session: Session,
    inventory: Inventory,
    host: SshHost | LocalHost,
    survey: DiskSurvey,
    ended: Sequence[EndedJob],
    judged: Collection[str],
) -> tuple[Findings, int | None]:
    """Compare in two round trips that write nothing.

    Args:
        survey: where the host holds results.
        ended: the jobs whose results count.
        judged: ids of the other jobs.

    Returns:
        What was found, and the newest change of any of these files by the host's clock.

    Raises:
        HostError: no answer, or an invalid one.
    """
    tasks = _actor_tasks(inventory, host, layout.places_of())
    source_tasks = _actor_tasks(inventory, host, layout.places_of(layout.ON_REQUEST))
    queries = [folder_queries(task) for task in (*tasks, *source_tasks)]
    queries += [[job.query] for job in ended]
    queries.append(surveyed_folders(survey))
    parts = iter(_list_together(session, host, queries))

    local = LocalCopies(inventory)
    actors = [ActorFileGroup(read_actor(task, next(parts)), survey.now_ns) for task in tasks]
    sources = [SourceFiles(read_actor(task, next(parts)), local) for task in source_tasks]
    jobs = [read_job(job, host.name, local, next(parts)) for job in ended]
    owned_groups: list[FileGroup] = [*actors, *sources, *jobs]
    owned = [file for group in owned_groups for file in group.files]
    keys = {file.key for file in owned}
    surveyed = next(parts).folders
    unowned = read_unowned(host, local, survey, surveyed, keys, {j.job.job: j for j in jobs}, judged)
    groups = [*owned_groups, *unowned, odd_files(host.name, local, survey, keys)]

    to_hash = [file for group in groups for file in group.files if file.sha256 is None]
    skipped = skip_by_size(to_hash, lambda: local.sizes)
    # Of a file that grew only the listed bytes are hashed: with its new size it is not local anyway.
    wanted = {file.key: file.bytes for file in to_hash if file.key not in skipped}
    hashes = {**skipped, **hash_files(session, host.python, wanted)[1]}
    findings = [group.compare([add_hash(file, hashes) for file in group.files]) for group in groups]
    compared = [*owned, *(file for group in unowned for file in group.files)]
    findings += [
        Findings(unlisted_unowned(survey, surveyed), uncovered_notes(inventory, host, survey, compared)),
        survey_limits(host, survey),
    ]
    times = [file.mtime_ns for file in owned] + ([survey.newest_ns] if survey.newest_ns is not None else [])
    return join_findings(findings), max(times, default=None)


def _actor_tasks(
    inventory: Inventory, host: SshHost | LocalHost, places: tuple[layout.Place, ...]
) -> list[ActorSync]:
    return [ActorSync(actor, host, inventory.backup_of(actor), places) for actor in inventory.actors.values()]


def _list_together(
    session: Session, host: SshHost | LocalHost, queries: Sequence[Sequence[FolderQuery]]
) -> list[Listing]:
    """The listing for each of several groups of folders, in one round trip."""
    listing = list_files(session, host.python, [folder for group in queries for folder in group])
    folders = iter(listing.folders)
    return [replace(listing, folders=list(islice(folders, len(group)))) for group in queries]
