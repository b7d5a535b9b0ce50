"""Are the results of a job that has ended at home? All that `pull --all` brings, hashed over there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from being_remote.inventory import Inventory
from being_remote.jobs.attempt_files import fits, name_refused
from being_remote.pod.job_states import JobState
from being_remote.pod_client.listing import FolderQuery, ListedFolder
from being_remote.safe_to_stop import unseen_folders as unseen
from being_remote.safe_to_stop.active_jobs import EndedJob
from being_remote.safe_to_stop.local_copies import LocalResults, folders_of_job
from being_remote.safe_to_stop.reasons import NotLocal, Reason, RequiredFile, named, not_home
from being_remote.safe_to_stop.remote_contents import HostFile


@dataclass(frozen=True)
class JobResults:
    """A job on the host, and what of its files that count is not at home."""

    job: str
    attempt: int
    state: JobState
    ours: bool
    files: int = 0
    bytes: int = 0
    not_home: NotLocal = field(default_factory=NotLocal)


def folder_of(job: EndedJob) -> FolderQuery:
    """What to list of a job."""
    return FolderQuery(job.work, job.work, "*", recursive=True)


def counting(job: EndedJob, listed: ListedFolder) -> list[HostFile]:
    """The files that should be at home.

    A tracking that failed before its first frame left nothing of worth.
    """
    files = [
        HostFile(name, job.work, file.name, file.bytes, file.mtime_ns)
        for file in listed.files
        if any(fits(name := os.fsdecode(file.name), pattern) for pattern in job.patterns)
    ]
    if (
        job.state is not JobState.SUCCEEDED
        and job.of_frames
        and not any(f.path.endswith(".frame") for f in files)
    ):
        return []
    return files


def unlisted(job: EndedJob, listed: ListedFolder) -> list[Reason]:
    """Why it is not known which files a job left."""

    def counts(name: str) -> bool:
        return any(fits(name, pattern) for pattern in job.patterns)

    reasons = unseen.unlisted(folder_of(job), listed, counts)
    links = [name for raw, _ in listed.skipped if counts(name := os.fsdecode(raw))]
    if links:
        what = (
            f"{job.job} left links or specials, which are never followed: {links[0]!r} ({len(links)} in all)"
        )
        next_step = "see where they lead; put the files themselves in their place, or remove them"
        reasons.append(Reason("jobs", "unknown", what, next_step))
    return reasons


def job_reasons(
    inventory: Inventory, host: str, job: EndedJob, files: Sequence[RequiredFile]
) -> tuple[JobResults, list[Reason], list[str]]:
    """(The job's row, why it speaks against a stop, what is worth saying)."""
    home = LocalResults(folders_of_job(inventory, job.job, job.actor))
    unread = [file for file in files if file.sha256 is None]
    left = [file for file in files if file.sha256 is not None and not home.holds(file)]
    # Whoever wrote a torn file of a job that ended without success is gone: nobody can mend it.
    torn = [file for file in left if job.state is not JobState.SUCCEEDED and home.refused(file)]
    left = [file for file in left if file not in torn]
    refused = [f for f in left if name_refused(f.path) is not None]
    rest = [file for file in left if file not in refused]
    reasons, notes = [], []
    if rest:
        changed = [file for file in rest if file.path in home.names]
        how = f"; {len(changed)} came home with other bytes" if changed else ""
        whose = job.job if job.ours else f"{job.job}, another laptop's,"
        what = f"{whose} has {job.state} and {named(rest)} not at home{how}"
        needs_all = not all(any(fits(f.path, pattern) for pattern in job.results) for f in rest)
        reasons.append(Reason("jobs", "no", what, job.next_all if needs_all else job.next))
    if refused:
        what = f"{named(refused)} of {job.job} not at home: such a name is refused"
        reasons.append(Reason("jobs", "no", what, f"rename it on {host}, then {job.next_all}"))
    if unread:
        what = f"{named(unread)} of {job.job} could not be read, or changed while we looked"
        reasons.append(Reason("jobs", "unknown", what, f"look at them on {host}, then try again"))
    if torn:
        notes.append(f"{job.job} left {named(torn)} torn when it ended: worth nothing")
    size = sum(file.bytes for file in files)
    row = JobResults(job.job, job.attempt, job.state, job.ours, len(files), size, not_home([*left, *unread]))
    return row, reasons, notes
