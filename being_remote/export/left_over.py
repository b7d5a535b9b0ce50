"""What an older export of the same run left in a target's folder, and would be taken for this one's.

Some trainers want frames numbered without gaps, so that one frame more or less moves all numbers
after it; and one counts the files of a folder. Such a folder is refused before the first byte.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from being_remote.errors import UsageError
from being_remote.export.cameras import Cameras
from being_remote.export.target import Target

RECORD = "pictures.json"
MAX_RECORD_BYTES = 64 << 10
OTHER_PLACE = "name another folder (--out DIR), or move this one away"


def numbering_sha256(names: Sequence[str], source_numbers: Sequence[int]) -> str:
    """Which picture shows which source frame, in short.

    Example:
        >>> numbering_sha256(("images/00001.png",), (1,))[:8]
        '387a01e1'
    """
    return hashlib.sha256(json.dumps([names, source_numbers]).encode()).hexdigest()


def read_record(folder: Path) -> Any:
    """What the record of a folder's pictures says; None where there is none.

    Raises:
        UsageError: it cannot be read.
    """
    record = folder / RECORD
    try:
        with record.open("rb") as f:
            return json.loads(f.read(MAX_RECORD_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as e:
        raise UsageError(f"cannot be read: {e}", where=str(record), hint=OTHER_PLACE) from e


def recorded_count(record: Any, count: int) -> int:
    """Of how many of `count` frames a record's pictures are: fewer where the run has grown since.

    Example:
        >>> [recorded_count(said, 7) for said in ({"pictures": 5}, {"pictures": 9}, [])]
        [5, 7, 7]
    """
    found = record.get("pictures") if isinstance(record, dict) else None
    return found if type(found) is int and 0 < found <= count else count


def refuse_left_over(target: Target, cameras: Cameras, folder: Path) -> None:
    """Refuse a target's folder whose pictures or counted files are of other frames than `cameras`.

    Pictures of the first of these frames alone do no harm: the run has grown.

    Raises:
        UsageError: files of other frames lie there, or it cannot be listed.
    """
    if target.image_names is not None:
        _refuse_pictures(target.image_names(cameras), cameras.source_numbers.tolist(), folder)
    if target.counted is not None:
        _refuse_strangers(target.counted(cameras), folder)


def _refuse_pictures(names: list[str], source_numbers: list[int], folder: Path) -> None:
    record = read_record(folder)
    if record is None:
        return
    first = recorded_count(record, len(names))
    wanted = numbering_sha256(names[:first], source_numbers[:first])
    if not isinstance(record, dict) or record.get("numbering_sha256") != wanted:
        raise UsageError(
            f"holds pictures of other frames than the {len(names)} of this export, whose cameras would get"
            " wrong pictures",
            where=str(folder),
            hint=OTHER_PLACE,
        )


def _refuse_strangers(names: list[str], folder: Path) -> None:
    place = (folder / names[0]).parent
    try:
        there = os.listdir(place)
    except FileNotFoundError:
        return
    except OSError as e:
        raise UsageError(f"cannot be listed: {e.strerror}", where=str(place), hint=OTHER_PLACE) from e
    strangers = sorted(set(there) - {os.path.basename(name) for name in names})
    if strangers:
        raise UsageError(
            f"holds {len(strangers)} files that are none of this export's {len(names)} (first"
            f" {strangers[0]!r}), and its trainer counts every file there as a frame",
            where=str(place),
            hint=OTHER_PLACE,
        )
