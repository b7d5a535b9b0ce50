"""Parts of a host's disk that a check did not read, or read elsewhere than named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import PurePosixPath

from being_remote.foreign_text import quote
from being_remote.inventory import LocalHost, SshHost
from being_remote.pod_client.disk_survey import DiskSurvey
from being_remote.pod_client.listing import MAX_FILES, FolderQuery, ListedFolder
from being_remote.safe_to_stop.reasons import Findings, Reason
from being_remote.safe_to_stop.result_names import main_folder
from being_remote.sync.file_examples import EXAMPLES, count_noun

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
        named = "; ".join(malformed[:EXAMPLES]) + ("; ..." if more or len(malformed) > EXAMPLES else "")
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
        names = [
            f"{f.files:,} in {str(f.folder)!r} ({f.bytes / 1e6:.1f} MB)" for f in largest[:_NAMED_FOLDERS]
        ]
        if len(largest) > _NAMED_FOLDERS:
            names.append(f"and {len(largest) - _NAMED_FOLDERS} more folders")
        notes.append(
            f"{count_noun(files, 'archive or temporary file')} ({size / 1e6:.1f} MB) may hold results and"
            f" were not opened: {', '.join(names)}"
        )
    return Findings(reasons, notes)
