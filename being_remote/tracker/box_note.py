"""Write a bbox.pt, and beside it `bbox.found.json`: how the box was found.

An existing box is never replaced: an equal one is left as it is, another one is an error. Both files
appear whole or not at all, and the box is read back by our own reader first.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from being_remote.disk import FULL, describe_full
from being_remote.durable_files import rename_new, sync_folder, write_whole
from being_remote.errors import DataError, InconsistentData, NoSpace, NotFoundError, UsageError
from being_remote.tracker.box_file import Box, box_bytes, box_text, parse_box, read_box
from being_remote.tracker.frame_file import read_bytes

MAX_NOTE_BYTES = 1 << 20


class BoxNote(BaseModel):
    """How a box was found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["being-remote box note 1"] = "being-remote box note 1"
    box: Box  # x_min, x_max, y_min, y_max, as in the bbox.pt that the note lies beside
    grade: Annotated[str, Field(max_length=40)]  # `exact`, `verified`, `estimated` or `landmark`
    method: Annotated[str, Field(max_length=1000)]  # in words
    evidence: Mapping[str, JsonValue] = {}  # figures, for people and for later checks


def write_box(path: Path, note: BoxNote) -> bool:
    """Write the note's box to `path`, and the note beside it.

    Returns:
        False where an equal box exists: nothing was written, and its note is as it was.

    Raises:
        InconsistentData: another box exists; or these are not four numbers of a box.
        DataError: the existing file cannot be read; it is left alone.
        UsageError, NoSpace: the folder cannot be written, or the disk is full.
    """
    data = box_bytes(note.box)
    if parse_box(data, str(path)) != note.box:
        raise InconsistentData(f"the box {note.box} does not read back as written", file=str(path))
    if os.path.lexists(path):
        return _keep_existing(path, note.box)
    text = note.model_dump_json(indent=2).encode() + b"\n"
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The note first: a note without a box does no harm.
        write_whole(note_path(path), text, scratch=scratch)
        write_whole(scratch, data, scratch=scratch)
        try:
            rename_new(scratch, path)
        except FileExistsError:  # another process was faster
            return _keep_existing(path, note.box)
        sync_folder(path.parent)
    except OSError as e:
        if e.errno in FULL:
            raise NoSpace(f"{describe_full(e)}; no box was written", file=str(path)) from e
        raise UsageError(f"cannot be written: {e.strerror}", where=str(path)) from e
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink()
    return True


def read_note(path: Path) -> BoxNote | None:
    """The note beside the bbox.pt at `path`; None where there is none, or it is of another box.

    Raises:
        DataError: the note or the box cannot be read.
        NotFoundError: the box is missing.
    """
    box, place = read_box(path), note_path(path)
    try:
        note = BoxNote.model_validate_json(read_bytes(place, MAX_NOTE_BYTES))
    except NotFoundError:
        return None
    except ValidationError as e:
        raise InconsistentData("is not a note of how a box was found", file=str(place)) from e
    return note if note.box == box else None


def note_path(path: Path) -> Path:
    """Where the note of a bbox.pt lies.

    Example:
        >>> note_path(Path("roman/bbox.pt")).as_posix()
        'roman/bbox.found.json'
    """
    return path.with_name(path.stem + ".found.json")


def _keep_existing(path: Path, box: Box) -> Literal[False]:
    try:
        existing = read_box(path)
    except DataError as e:
        e.hint = f"move it away if it is of no use: an existing file is never replaced. {e.hint}".strip()
        raise
    if existing != box:
        raise InconsistentData(
            f"holds the box {box_text(existing)}, not {box_text(box)}, and is not replaced",
            file=str(path),
            hint="if it is another run's, move it away and run the command again",
        )
    return False
