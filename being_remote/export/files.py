"""Files that appear whole or not at all, and older files that a trainer would read as part of an export.

Some trainers number frames without gaps, so that one frame more or less changes all numbers after it,
and one counts the files of a folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from being_remote.disk import FULL, describe_full
from being_remote.durable_files import write_whole
from being_remote.errors import NoSpace, UsageError
from being_remote.export.cameras import Cameras
from being_remote.export.target import Target

RECORD = "pictures.json"
MAX_RECORD_BYTES = 64 << 10
OTHER_PLACE = "name another folder (--out DIR), or move this one away"


def write_atomically(path: Path, pieces: Iterable[bytes], *, synced: bool = True) -> None:
    """Write beside `path`, then rename over it; its folder is made. `synced`: see `write_whole`.

    Raises:
        NoSpace: the disk is full; `path` is as it was.
        UsageError: the folder cannot be made or written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_whole(path, pieces, scratch=temporary, synced=synced)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as e:
        if e.errno in FULL:
            raise NoSpace(f"{describe_full(e)}; what was here before is unchanged", file=str(path)) from e
        raise UsageError(
            f"cannot be written: {e.strerror}", where=str(path), hint="name another folder: --out DIR"
        ) from e


def json_sha256(value: Any) -> str:
    """The hash of a value as JSON, in which tuples are lists."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def read_record(folder: Path) -> Any:
    """Read the record of a folder's pictures; None where there is none."""
    record = folder / RECORD
    try:
        with record.open("rb") as f:
            return json.loads(f.read(MAX_RECORD_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as e:
        raise UsageError(f"cannot be read: {e}", where=str(record), hint=OTHER_PLACE) from e


def recorded_count(record: Any, count: int) -> int:
    """How many of `count` frames a record is about: fewer where the run has grown since.

    Example:
        >>> [recorded_count(record, 7) for record in ({"pictures": 5}, {"pictures": 9}, [])]
        [5, 7, 7]
    """
    found = record.get("pictures") if isinstance(record, dict) else None
    return found if type(found) is int and 0 < found <= count else count


def refuse_left_over(target: Target, cameras: Cameras, folder: Path) -> None:
    """Refuse a target's folder that holds pictures or counted files of other frames than `cameras`.

    Pictures of only the first of these frames are accepted: the run has grown.
    """
    if target.image_names is not None:
        _refuse_pictures(target.image_names(cameras), cameras.source_numbers.tolist(), folder)
    if target.counted is not None:
        _refuse_extra_files(target.counted(cameras), folder)


def _refuse_pictures(names: list[str], source_numbers: list[int], folder: Path) -> None:
    record = read_record(folder)
    if record is None:
        return
    first = recorded_count(record, len(names))
    wanted = json_sha256([names[:first], source_numbers[:first]])
    if not isinstance(record, dict) or record.get("numbering_sha256") != wanted:
        raise UsageError(
            f"holds pictures of other frames than the {len(names)} of this export, which would pair cameras"
            " with wrong pictures",
            where=str(folder),
            hint=OTHER_PLACE,
        )


def _refuse_extra_files(names: list[str], folder: Path) -> None:
    place = (folder / names[0]).parent
    try:
        found = os.listdir(place)
    except FileNotFoundError:
        return
    except OSError as e:
        raise UsageError(f"cannot be listed: {e.strerror}", where=str(place), hint=OTHER_PLACE) from e
    extra = sorted(set(found) - {os.path.basename(name) for name in names})
    if extra:
        raise UsageError(
            f"holds other files than this export's {len(names)} ({len(extra)}, first {extra[0]!r}), and its"
            " trainer counts every file in it as a frame",
            where=str(place),
            hint=OTHER_PLACE,
        )
