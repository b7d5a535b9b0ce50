"""Results that belong to no actor of the inventory and no job: are their bytes local?

They count by their bytes: a copy of a local file loses nothing, under any name. Of an earlier attempt
only the frames count that the newest one lacks, since that one continued from the others.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from being_remote.inventory import LocalHost, SshHost
from being_remote.local_path import shown_path
from being_remote.pod.job_paths import ATTEMPTS, WORK, jobs_folder
from being_remote.pod.job_states import JobState
from being_remote.pod_client.disk_survey import DiskSurvey
from being_remote.pod_client.listing import FileKey, FolderQuery, ListedFolder
from being_remote.safe_to_stop.coverage import unlisted_reasons
from being_remote.safe_to_stop.host_files import HostFile
from being_remote.safe_to_stop.job_results import JobFiles
from being_remote.safe_to_stop.local_copies import LocalCopies
from being_remote.safe_to_stop.reasons import Findings, Reason, describe, unread_reason
from being_remote.safe_to_stop.result_names import RESULT_FOLDERS, is_result
from being_remote.tracker import layout
from being_remote.wording import count_noun

_ATTEMPT = re.compile(rf"([^/]+)/{ATTEMPTS}/([1-9][0-9]{{0,3}})/{WORK}(?:/(.*))?")


@dataclass(frozen=True)
class AttemptWork:
    """The attempt that a folder belongs to; `below` is the folder's path in its work folder."""

    job: str
    number: int
    below: str


@dataclass(frozen=True)
class UnownedFolder:
    """One folder with such files."""

    host: SshHost | LocalHost
    local: LocalCopies
    folder: PurePosixPath
    attempt: AttemptWork | None
    files: Sequence[HostFile]

    def compare(self, files: Sequence[HostFile]) -> Findings:
        """What of the hashed files is not local."""
        where, host = repr(str(self.folder)), self.host.name
        unread = [file for file in files if file.sha256 is None]
        missing = self.local.find_missing(file for file in files if file.sha256 is not None)
        reasons = unread_reason("files", unread, f"in {where}", host)
        if missing and self.attempt is not None:
            whose = f"attempt {self.attempt.number} of {self.attempt.job}"
            what = f"{whose} left files that are not local: {describe(missing)} in {where}"
            next_step = f"download them by hand, or remove them on {host} if they are worth nothing"
            reasons.append(Reason("jobs", "no", what, next_step))
        elif missing:
            what = f"{where} holds {describe(missing)} that no actor of the inventory names: not local"
            reasons.append(Reason("files", "no", what, _name_as_actor(self.host, self.folder)))
        local = len(files) - len(missing) - len(unread)
        return Findings(
            reasons, [f"{where} holds {count_noun(local, 'file')} whose bytes are local"] if local else []
        )


@dataclass(frozen=True)
class OddFiles:
    """Files whose names resemble a result's."""

    host: str
    local: LocalCopies
    files: Sequence[HostFile]

    def compare(self, files: Sequence[HostFile]) -> Findings:
        """What they are is unknown, unless their bytes are local."""
        unknown = self.local.find_missing(files)
        if not unknown:
            return Findings()
        elsewhere = " and elsewhere" if len(unknown) > 1 else ""
        what = (
            f"not local: {describe(unknown)} in {str(unknown[0].folder)!r}{elsewhere}; by the name it may be"
            " a frame or a box under another spelling"
        )
        next_step = f"check what it is; rename or remove it on {self.host}"
        return Findings([Reason("files", "unknown", what, next_step)])


def surveyed_folders(survey: DiskSurvey) -> list[FolderQuery]:
    """What to list: the folders in which the survey found results."""
    return [FolderQuery(one.folder, one.folder, "*", recursive=False) for one in survey.folders]


def read_unowned(
    host: SshHost | LocalHost,
    local: LocalCopies,
    survey: DiskSurvey,
    listed: Sequence[ListedFolder],
    owned: Collection[FileKey],
    ended: Mapping[str, JobFiles],
    judged: Collection[str],
) -> list[UnownedFolder]:
    """The results that no actor and no job accounts for.

    Args:
        survey: where there are results.
        listed: what lies in these folders.
        owned: the files that an actor or a job accounts for.
        ended: jobs that have ended, by id.
        judged: ids of jobs that are judged by themselves: at work, unknown, or moved to another host.
    """
    found = []
    for surveyed, folder in zip(survey.folders, listed, strict=True):
        attempt = _attempt_of(host.workdir, surveyed.folder)
        if attempt is not None and attempt.job in judged:
            continue
        files = [
            HostFile(name, surveyed.folder, file.name, file.bytes, file.mtime_ns)
            for file in folder.files
            if is_result(name := os.fsdecode(file.name), surveyed.folder.name)
        ]
        files = [file for file in files if file.key not in owned]
        if attempt is not None and attempt.job in ended:
            files = _worth_keeping(attempt, files, ended[attempt.job])
        if files:
            found.append(UnownedFolder(host, local, surveyed.folder, attempt, files))
    return found


def unlisted_unowned(survey: DiskSurvey, listed: Sequence[ListedFolder]) -> list[Reason]:
    """Why the surveyed folders may hold more results than were listed."""
    return [
        reason
        for query, folder in zip(surveyed_folders(survey), listed, strict=True)
        for reason in unlisted_reasons(query, folder, functools.partial(is_result, folder=query.path.name))
    ]


def odd_files(host: str, local: LocalCopies, survey: DiskSurvey, owned: Collection[FileKey]) -> OddFiles:
    """The files that the survey found by a name that resembles a result's, and that belong to nothing."""
    files = [
        HostFile(odd.file.name, odd.file.parent, os.fsencode(odd.file.name), odd.bytes, odd.mtime_ns)
        for odd in survey.odd
    ]
    return OddFiles(host, local, [file for file in files if file.key not in owned])


def _name_as_actor(host: SshHost | LocalHost, folder: PurePosixPath) -> str:
    """How `sync` would download the folder."""
    run = folder.parent if folder.name in RESULT_FOLDERS else folder
    root, key = host.tracker.root if host.tracker is not None else None, "output"
    if root is not None and run.is_relative_to(root):
        run = run.relative_to(root)
        key = "input" if run.parts[:1] == (layout.INPUT,) else "output"
    line = f"{key}: {shown_path(str(run))[0]}"
    return f"add an actor with `{line}` to the inventory and sync it, or remove them on {host.name}"


def _attempt_of(workdir: PurePosixPath, folder: PurePosixPath) -> AttemptWork | None:
    jobs = PurePosixPath(jobs_folder(workdir))
    found = _ATTEMPT.fullmatch(str(folder.relative_to(jobs))) if folder.is_relative_to(jobs) else None
    return None if found is None else AttemptWork(found[1], int(found[2]), found[3] or "")


def _worth_keeping(attempt: AttemptWork, files: Sequence[HostFile], job: JobFiles) -> list[HostFile]:
    """Of what a job left besides its results: its frames, since a box without frames is worth nothing."""
    frames = [file for file in files if file.path.endswith(layout.FRAME_SUFFIX)]
    if attempt.number == job.job.attempt:
        return frames
    below = f"{attempt.below}/" if attempt.below else ""
    return [f for f in frames if job.job.state is not JobState.SUCCEEDED and below + f.path not in job.names]
