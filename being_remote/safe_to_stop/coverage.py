"""What a check does not cover: folders that it could not read, and files that no sync downloads."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from being_remote.foreign_text import quote
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.pod_client.disk_survey import DiskSurvey
from being_remote.pod_client.listing import MAX_FILES, FolderQuery, ListedFolder
from being_remote.safe_to_stop.host_files import HostFile
from being_remote.safe_to_stop.reasons import Findings, Reason
from being_remote.safe_to_stop.result_names import actor_folders, main_folder
from being_remote.wording import count_noun, list_some, size_words

_NAMED_FOLDERS = 6


def unlisted_reasons(
    query: FolderQuery, listed: ListedFolder, counts: Callable[[str], bool] = lambda _name: True
) -> list[Reason]:
    """Why a folder may hold more files than its listing; `counts` says whether a file's name matters."""
    where, reasons = repr(str(query.path)), []
    if listed.error is not None:
        what = f"{where} could not be read completely: {quote(listed.error)}"
        reasons.append(Reason("files", "unknown", what, "check its permissions, then try again"))
    if listed.cut:
        what = f"{where} holds more than {query.most} files, or all folders more than {MAX_FILES}"
        next_step = "remove what is worth nothing, or check the rest by hand"
        reasons.append(Reason("files", "unknown", what, next_step))
    malformed = [f"{name!r}: {why}" for raw, why in listed.malformed if counts(name := os.fsdecode(raw))]
    more = listed.malformed_count - len(listed.malformed)
    if malformed or more:
        named = list_some([*malformed, *(["..."] if more else [])], between="; ")
        what = f"{count_noun(len(malformed) + more, 'file')} in {where} cannot be compared ({named})"
        next_step = "give it a valid size and time (`touch` sets the time), then try again"
        reasons.append(Reason("files", "unknown", what, next_step))
    return reasons


def survey_limits(host: SshHost | LocalHost, survey: DiskSurvey) -> Findings:
    """What a survey could not read, and which other folders it read."""
    reasons, notes = [], []
    if survey.truncated:
        what = f"the survey of its disk ended early: {', '.join(survey.truncated)}"
        next_step = "give the host a `workdir` with fewer files"
        reasons.append(Reason("files", "unknown", what, next_step))
    if survey.unreadable.count:
        what = f"{count_noun(survey.unreadable.count, 'folder')} could not be listed: {survey.unreadable}"
        next_step = f"check on {host.name} their permissions and whether their disk is mounted"
        reasons.append(Reason("files", "unknown", what, f"{next_step}, then try again"))
    main, walked = main_folder(host), PurePosixPath(os.fsdecode(survey.main_walked))
    if walked != main:
        notes.append(f"{str(main)!r} is missing on {host.name}; {str(walked)!r} was searched instead")
    if survey.outside.count:
        notes.append(
            f"links lead to {count_noun(survey.outside.count, 'folder')} outside the workdir and the tracker,"
            f" which were searched, too: {survey.outside}"
        )
    if survey.away.count:
        notes.append(f"not followed into the kernel's own files: {survey.away}")
    if survey.others:
        largest = sorted(survey.others, key=lambda folder: -folder.bytes)
        files, size = sum(f.files for f in largest), sum(f.bytes for f in largest)
        names = [f"{f.files:,} in {str(f.folder)!r} ({size_words(f.bytes)})" for f in largest]
        notes.append(
            f"{count_noun(files, 'archive or temporary file')} ({size_words(size)}) may hold results and"
            f" were not opened: {list_some(names, _NAMED_FOLDERS)}"
        )
    return Findings(reasons, notes)


def uncovered_notes(
    inventory: Inventory, host: SshHost | LocalHost, survey: DiskSurvey, compared: Iterable[HostFile]
) -> list[str]:
    """A sentence for each actor with such files; `compared` are those that were looked at one by one."""
    seen: dict[PurePosixPath, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for (folder, _), size in {file.key: file.bytes for file in compared}.items():
        files, total = seen[folder]
        seen[folder] = (files + 1, total + size)
    notes = []
    for actor in inventory.actors.values():
        uncovered: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for base in actor_folders(actor, host):
            for counted in (one for one in survey.counted if one.folder.is_relative_to(base)):
                files, size = seen.get(counted.folder, (0, 0))
                if counted.files > files:
                    part = str(base.joinpath(*counted.folder.relative_to(base).parts[:1]))
                    before = uncovered[part]
                    more_bytes = max(0, counted.bytes - size)
                    uncovered[part] = (before[0] + counted.files - files, before[1] + more_bytes)
        if uncovered:
            notes.append(f"{actor.name}: sync does not cover {_list_folders(uncovered)}")
    return notes


def _list_folders(folders: dict[str, tuple[int, int]]) -> str:
    largest = sorted(folders.items(), key=lambda item: -item[1][1])
    names = [
        f"{count_noun(files, 'file')} in {path!r} ({size_words(size)})" for path, (files, size) in largest
    ]
    return list_some(names, _NAMED_FOLDERS)
