"""What a look at a host's disk did not see, or saw elsewhere. Pure."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import PurePosixPath

from being_remote.foreign_text import quote
from being_remote.inventory import LocalHost, SshHost
from being_remote.pod_client.disk_survey import DiskSurvey, main_folder
from being_remote.pod_client.listing import MAX_FILES, FolderQuery, ListedFolder
from being_remote.safe_to_stop.reasons import EXAMPLES, Reason, counted

_NAMED = 6


def unlisted(
    folder: FolderQuery, listed: ListedFolder, counts: Callable[[str], bool] = lambda _name: True
) -> list[Reason]:
    """Why a folder may hold files that its listing does not tell of.

    Args:
        folder: what was asked for.
        listed: the answer.
        counts: whether a file of this name matters.
    """
    where, found = repr(str(folder.path)), []
    if listed.error is not None:
        what = f"{where} could not be read whole: {quote(listed.error)}"
        found.append(Reason("files", "unknown", what, "see who may read it, then try again"))
    if listed.cut:
        what = f"{where} holds more than {folder.most} files, or all folders more than {MAX_FILES}"
        next_step = "remove what is worth nothing, or look at the rest yourself"
        found.append(Reason("files", "unknown", what, next_step))
    odd = [f"{name!r}: {why}" for raw, why in listed.malformed if counts(name := os.fsdecode(raw))]
    more = listed.malformed_count - len(listed.malformed)
    if odd or more:
        named = "; ".join(odd[:EXAMPLES]) + ("; ..." if more or len(odd) > EXAMPLES else "")
        what = f"{counted(len(odd) + more, 'file')} in {where} cannot be compared ({named})"
        next_step = "give it a size and a time of this world (`touch` sets the time), then try again"
        found.append(Reason("files", "unknown", what, next_step))
    return found


def bounds(host: SshHost | LocalHost, shown: DiskSurvey) -> list[Reason]:
    """Why more may lie there than was seen."""
    found = []
    if shown.truncated:
        what = f"its disk was not looked through to the end: {', '.join(shown.truncated)}"
        found.append(
            Reason("files", "unknown", what, "give the host a `workdir` that holds only what is ours")
        )
    if shown.unreadable.count:
        what = f"{counted(shown.unreadable.count, 'folder')} could not be listed: {shown.unreadable.named()}"
        next_step = f"see on {host.name} who may read them and whether their disk is mounted, then try again"
        found.append(Reason("files", "unknown", what, next_step))
    return found


def asides(host: SshHost | LocalHost, shown: DiskSurvey) -> list[str]:
    """What is worth knowing of where it looked."""
    notes = []
    main, walked = main_folder(host), PurePosixPath(os.fsdecode(shown.main_walked))
    if walked != main:
        notes.append(f"there is no {str(main)!r} on {host.name}; {str(walked)!r} was looked through instead")
    if shown.outside.count:
        notes.append(
            f"links lead to {counted(shown.outside.count, 'folder')} outside the workdir and the tracker,"
            f" looked through as well: {shown.outside.named()}"
        )
    if shown.away.count:
        notes.append(f"not followed into the kernel's own files: {shown.away.named()}")
    if shown.others:
        largest = sorted(shown.others, key=lambda held: -held.bytes)
        files, size = sum(h.files for h in largest), sum(h.bytes for h in largest)
        parts = [f"{h.files:,} in {str(h.folder)!r} ({h.bytes / 1e6:.1f} MB)" for h in largest[:_NAMED]]
        more = f", and {len(largest) - _NAMED} more folders" if len(largest) > _NAMED else ""
        notes.append(
            f"{counted(files, 'archive or temporary file')} ({size / 1e6:.1f} MB) may hold results;"
            f" nothing looked inside: {', '.join(parts)}{more}"
        )
    return notes
