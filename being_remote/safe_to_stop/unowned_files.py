"""Results that neither an actor of the inventory nor a job accounts for: are they at home?

They count by their bytes: a copy of what is at home is no loss, whatever it is called. Of an earlier
attempt of a job only the frames count that the newest one has not: it went on from the others.
"""

from __future__ import annotations

import fnmatch
import functools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from being_remote.backup.history import History
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.local_path import shown_path
from being_remote.pod import job_records as records
from being_remote.pod_client.disk_survey import RUN_FILES, RUN_FOLDERS, DiskSurvey
from being_remote.pod_client.listing import FolderQuery, ListedFolder
from being_remote.safe_to_stop import unseen_folders as unseen
from being_remote.safe_to_stop.active_jobs import EndedJob
from being_remote.safe_to_stop.local_copies import LocalResults, folders_of_all_jobs, lacking
from being_remote.safe_to_stop.reasons import Reason, RequiredFile, counted, named
from being_remote.safe_to_stop.remote_contents import HostFile, Key
from being_remote.tracker import layout

_ATTEMPT = re.compile(rf"([^/]+)/{records.ATTEMPTS}/([1-9][0-9]{{0,3}})/{records.WORK}(?:/(.*))?")


@dataclass(frozen=True)
class AttemptWork:
    """Which attempt's work a folder belongs to; `below` is the folder's path in it."""

    job: str
    number: int
    below: str


@dataclass(frozen=True)
class UnownedFolder:
    """One folder with such files."""

    folder: PurePosixPath
    attempt: AttemptWork | None
    files: tuple[HostFile, ...]


def folders(survey: DiskSurvey) -> list[FolderQuery]:
    """What to list of what the survey found."""
    return [FolderQuery(held.folder, held.folder, "*", recursive=False) for held in survey.folders]


def is_run_file(name: bytes, folder: str = "") -> bool:
    """Whether a file of this name, in a folder of this one, is a run's result.

    Example:
        >>> is_run_file(b"00000.frame"), is_run_file(b"00000.png"), is_run_file(b"00000.png", "input")
        (True, False, True)
    """
    patterns = (*RUN_FILES, *RUN_FOLDERS.get(folder, ()))
    return any(fnmatch.fnmatchcase(os.fsdecode(name), pattern) for pattern in patterns)


def strays(
    workdir: PurePosixPath,
    survey: DiskSurvey,
    listed: Sequence[ListedFolder],
    covered: Iterable[Key],
    ended: Mapping[str, tuple[EndedJob, frozenset[str]]],
    passed_over: frozenset[str],
) -> list[UnownedFolder]:
    """What nobody accounts for.

    Args:
        workdir: the host's.
        survey: where such files are.
        listed: what lies in these folders now.
        covered: the files that an actor or a job accounts for.
        ended: jobs that have ended, with the names of their newest attempt's files.
        passed_over: jobs that are judged by themselves: at work, unknown, or gone on elsewhere.
    """
    known, found = set(covered), []
    for held, here in zip(survey.folders, listed, strict=True):
        attempt = _attempt_of(workdir, held.folder)
        if attempt is not None and attempt.job in passed_over:
            continue
        files = [
            HostFile(os.fsdecode(f.name), held.folder, f.name, f.bytes, f.mtime_ns)
            for f in here.files
            if is_run_file(f.name, held.folder.name)
        ]
        files = [file for file in files if file.key not in known]
        if attempt is not None and attempt.job in ended:
            files = _worth_something(attempt, files, *ended[attempt.job])
        if files:
            found.append(UnownedFolder(held.folder, attempt, tuple(files)))
    return found


def unlisted(survey: DiskSurvey, listed: Sequence[ListedFolder]) -> list[Reason]:
    """Why such folders may hold results that were not looked at."""
    reasons = []
    for folder, here in zip(folders(survey), listed, strict=True):
        counts = functools.partial(_counts, folder.path.name)
        reasons += unseen.unlisted(folder, here, counts)
    return reasons


def _counts(folder: str, name: str) -> bool:
    return is_run_file(os.fsencode(name), folder)


def stray_reasons(
    inventory: Inventory, host: SshHost | LocalHost, stray: UnownedFolder, files: Sequence[RequiredFile]
) -> tuple[list[Reason], list[str]]:
    """(Why a folder speaks against a stop, what is worth saying of it)."""
    where = repr(str(stray.folder))
    unread = [file for file in files if file.sha256 is None]
    left = lacking_anywhere(inventory, [file for file in files if file.sha256 is not None])
    reasons = []
    if unread:
        what = f"{named(unread)} in {where} could not be read, or changed while we looked"
        reasons.append(Reason("files", "unknown", what, f"look at them on {host.name}, then try again"))
    if left and stray.attempt is not None:
        whose = f"attempt {stray.attempt.number} of {stray.attempt.job}"
        what = f"{whose} left {named(left)} in {where}: not at home"
        next_step = f"copy them home yourself, or remove them on {host.name} if they are worth nothing"
        reasons.append(Reason("jobs", "no", what, next_step))
    elif left:
        what = f"{where} holds {named(left)} that no actor of the inventory names: not at home"
        reasons.append(Reason("files", "no", what, _adopt(host, stray.folder)))
    same = len(files) - len(left) - len(unread)
    notes = [f"{where} holds {counted(same, 'file')} whose bytes are at home"] if same else []
    return reasons, notes


def odd_files(survey: DiskSurvey, covered: Iterable[Key]) -> list[HostFile]:
    """What is nearly called as a result is, and is nobody's."""
    known = set(covered)
    files = [
        HostFile(odd.file.name, odd.file.parent, os.fsencode(odd.file.name), odd.bytes, odd.mtime_ns)
        for odd in survey.odd
    ]
    return [file for file in files if file.key not in known]


def odd_reasons(
    inventory: Inventory, host: SshHost | LocalHost, files: Sequence[HostFile], wanted: Sequence[RequiredFile]
) -> list[Reason]:
    """What such files may hold is not known, unless their bytes are local."""
    left = lacking_anywhere(inventory, wanted)
    places = {(one.path, one.sha256): file for one, file in zip(wanted, files, strict=True)}
    if not left:
        return []
    first = places[left[0].path, left[0].sha256]
    what = (
        f"{named(left)} not local; by the name it may be a frame or a box under another spelling,"
        f" in {str(first.folder)!r}{' and elsewhere' if len(left) > 1 else ''}"
    )
    return [Reason("files", "unknown", what, f"see what it is; rename or remove it on {host.name}")]


def lacking_anywhere(inventory: Inventory, files: Sequence[RequiredFile]) -> list[RequiredFile]:
    """Those whose bytes are in no backup and in no job's folder, whatever they are called there."""
    left = list(files)
    for actor in inventory.actors.values():
        left = lacking(History(inventory.backup_of(actor)), left, by_path=False)
    if left:
        contents = LocalResults(folders_of_all_jobs(inventory)).contents
        left = [file for file in left if file.sha256 not in contents]
    return left


def _adopt(host: SshHost | LocalHost, folder: PurePosixPath) -> str:
    """How `sync` would take care of a folder."""
    of_a_run = (layout.CHECKPOINT, *RUN_FOLDERS)
    key, run = "output", folder.parent if folder.name in of_a_run else folder
    root = host.tracker.root if host.tracker is not None else None
    if root is not None and run.is_relative_to(root):
        run = run.relative_to(root)
        key = "input" if run.parts[:1] == (layout.INPUT,) else "output"
    line = f"{key}: {shown_path(str(run))[0]}"
    return f"add an actor with `{line}` to the inventory and sync it, or remove them on {host.name}"


def _attempt_of(workdir: PurePosixPath, folder: PurePosixPath) -> AttemptWork | None:
    jobs = workdir / records.JOBS
    found = _ATTEMPT.fullmatch(str(folder.relative_to(jobs))) if folder.is_relative_to(jobs) else None
    return None if found is None else AttemptWork(found[1], int(found[2]), found[3] or "")


def _worth_something(
    attempt: AttemptWork, files: Sequence[HostFile], job: EndedJob, newest: frozenset[str]
) -> list[HostFile]:
    """Of what a job left besides its results: frames, for a box without them is worth nothing."""
    frames = [file for file in files if file.path.endswith(layout.FRAME_SUFFIX)]
    if attempt.number == job.attempt:
        return frames
    prefix = f"{attempt.below}/" if attempt.below else ""
    return [f for f in frames if job.state != "succeeded" and prefix + f.path not in newest]
