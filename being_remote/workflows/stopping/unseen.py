"""What a walk over a host's disk did not see, or saw elsewhere. Pure."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

from being_remote.inventory import LocalHost, SshHost
from being_remote.workflows.stopping.reasons import Reason, counted
from being_remote.workflows.stopping.survey import Survey, main_folder

_NAMED = 6


def bounds(host: SshHost | LocalHost, shown: Survey) -> list[Reason]:
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


def asides(host: SshHost | LocalHost, shown: Survey) -> list[str]:
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
