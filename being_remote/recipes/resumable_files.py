"""From which local files of a tracking an attempt on another host continues.

The longest run of frames that are whole, safe and of one fit, with the box that they were cropped
by: the crop cannot change on the way. Every file was read by the tracker's own readers, or checked to
be whole where nothing will read it. Nothing is sent here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from being_remote.errors import BeingRemoteError
from being_remote.jobs.recipe import CarriedFiles
from being_remote.tracker.begin import (
    BESIDE,
    ResumableFiles,
    box_path,
    can_resume,
    find_resumable_files,
    least_frames,
)
from being_remote.tracker.file_check import check_file
from being_remote.tracker.layout import FRAME_SUFFIX, OUTPUT


def find_resumable(request: dict[str, Any], folders: Sequence[Path]) -> CarriedFiles | None:
    """The most that one of `folders` holds; None where none holds anything of use.

    Args:
        request: the job's `tracking.json`.
        folders: work folders, as far as they were downloaded; of equals the first counts.
    """
    found = [find_resumable_files(str(folder), request) for folder in folders]
    best = max(found, key=lambda kept: (len(kept.frames), kept.box is not None), default=None)
    if best is None:
        return None
    if not can_resume(best, request):
        few = f"only {len(best.frames)} whole frames; at least {least_frames(request)} are needed to resume"
        best = best._replace(frames=[], why=f"{few} ({best.why})")
    names = _names(best, request)
    if not names:
        return None
    folder = Path(best.folder)
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    note = {"box_sha256": hashes.get(box_path(request)), "files": hashes}
    return CarriedFiles(
        folder=folder,
        names=tuple(names),
        total_bytes=sum((folder / name).stat().st_size for name in names),
        done=len(best.frames),
        note=json.dumps(note, indent=1, sort_keys=True).encode() + b"\n",
        why=best.why,
    )


def _names(kept: ResumableFiles, request: dict[str, Any]) -> list[str]:
    """Paths below the work folder: the box, the frames, and what lies beside them."""
    names = [box_path(request)] if kept.box is not None else []
    for frame in kept.frames:
        for folder, suffix in BESIDE:
            name = os.path.join(OUTPUT, request["folder"], folder, frame.replace(FRAME_SUFFIX, suffix))
            try:
                if suffix != FRAME_SUFFIX:
                    check_file(Path(kept.folder, name))
            except BeingRemoteError:
                continue  # a crop or a mesh that is missing or torn: the tracker needs neither
            names.append(name)
    return names
