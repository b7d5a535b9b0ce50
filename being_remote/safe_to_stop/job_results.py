"""The results of a job that has ended: is all that `pull --all` downloads local?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath

from being_remote.jobs.attempt_files import matches, name_refused
from being_remote.pod.job_states import JobState
from being_remote.pod_client.listing import FolderQuery, Listing
from being_remote.safe_to_stop.coverage import unlisted_reasons
from being_remote.safe_to_stop.host_files import HostFile
from being_remote.safe_to_stop.local_copies import LocalCopies, LocalResults
from being_remote.safe_to_stop.reasons import (
    Findings,
    JobResults,
    Reason,
    count_files,
    describe,
    unread_reason,
)
from being_remote.tracker import layout


@dataclass(frozen=True)
class ResultPatterns:
    """What `pull` downloads of a job, and what `pull --all` adds, as globs below `work`."""

    results: tuple[str, ...]
    more: tuple[str, ...]

    def take(self, name: str) -> bool:
        """Whether a file counts."""
        return any(matches(name, pattern) for pattern in (*self.results, *self.more))

    @property
    def have_frames(self) -> bool:
        """Whether the job makes frames: a run that failed before the first one left nothing of worth."""
        return any(pattern.endswith(layout.FRAME_SUFFIX) for pattern in (*self.results, *self.more))


ALL_FILES = ResultPatterns((), ("**",))


@dataclass(frozen=True)
class EndedJob:
    """A job on the host that has ended, and which of its files count.

    Attributes:
        attempt: the newest one on this host.
        next, next_all: the command that downloads the results, and the one that downloads all files.
    """

    job: str
    attempt: int
    state: JobState
    ours: bool
    actor: str | None
    work: PurePosixPath
    patterns: ResultPatterns
    next: str
    next_all: str

    @property
    def query(self) -> FolderQuery:
        """What to list of it."""
        return FolderQuery(self.work, self.work, "*", recursive=True)


@dataclass(frozen=True)
class JobFiles:
    """The files of an ended job that count; `unlisted` says why there may be more."""

    job: EndedJob
    host: str
    local: LocalResults
    files: Sequence[HostFile]
    unlisted: Sequence[Reason]

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(file.path for file in self.files)

    def compare(self, files: Sequence[HostFile]) -> Findings:
        """What of the hashed files is not local, and why."""
        job = self.job
        unread = [file for file in files if file.sha256 is None]
        missing = [file for file in files if file.sha256 is not None and not self.local.holds(file)]
        # The writer of a torn file has ended without success: nothing will complete it.
        torn = [file for file in missing if job.state is not JobState.SUCCEEDED and self.local.refused(file)]
        missing = [file for file in missing if file not in torn]
        refused = [file for file in missing if name_refused(file.path) is not None]
        to_pull = [file for file in missing if file not in refused]
        reasons, notes = [], []
        if to_pull:
            changed = sum(file.path in self.local.names for file in to_pull)
            differ = f"; {changed} differ from the local files" if changed else ""
            whose = job.job if job.ours else f"{job.job} of another laptop"
            what = f"{whose} ({job.state}) has files that are not local: {describe(to_pull)}{differ}"
            results = replace(job.patterns, more=())
            is_result = all(results.take(file.path) for file in to_pull)
            reasons.append(Reason("jobs", "no", what, job.next if is_result else job.next_all))
        if refused:
            what = f"{job.job} has files that are not local, because their names are refused: "
            next_step = f"rename it on {self.host}, then {job.next_all}"
            reasons.append(Reason("jobs", "no", what + describe(refused), next_step))
        reasons += unread_reason("jobs", unread, f"of {job.job}", self.host)
        if torn:
            notes.append(
                f"{job.job} left torn files when it ended, which are worth nothing: {describe(torn)}"
            )
        size, not_local = sum(file.bytes for file in files), count_files([*missing, *unread])
        row = JobResults(job.job, job.attempt, job.state, job.ours, len(files), size, not_local)
        return Findings((*self.unlisted, *reasons), notes, jobs=(row,))


def read_job(job: EndedJob, host: str, local: LocalCopies, listing: Listing) -> JobFiles:
    """The job's part of a listing of its `query`."""
    (listed,) = listing.folders
    results = local.results_of(job.job, job.actor)
    files = []
    for file in listed.files:
        name = os.fsdecode(file.name)
        if job.patterns.take(name):
            # The size of a refused file is not kept here, so its size alone proves nothing.
            size_tells = name not in results.refused_names
            files.append(
                HostFile(name, job.work, file.name, file.bytes, file.mtime_ns, size_tells=size_tells)
            )
    if job.state is not JobState.SUCCEEDED and job.patterns.have_frames:
        files = files if any(file.path.endswith(layout.FRAME_SUFFIX) for file in files) else []
    reasons = unlisted_reasons(job.query, listed, job.patterns.take)
    links = [name for raw, _ in listed.skipped if job.patterns.take(name := os.fsdecode(raw))]
    if links:
        what = f"{job.job} left links or specials, which are not followed: {links[0]!r} ({len(links)} in all)"
        next_step = "put the files themselves in their place, or remove the links"
        reasons.append(Reason("jobs", "unknown", what, next_step))
    return JobFiles(job, host, results, files, reasons)
