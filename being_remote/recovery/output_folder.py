"""The folder that `recover` writes into: one run, one crop and one canvas a trainer, never two mixed.

A note in it says what it holds. A folder with another run, crop or other frames is refused, and so is one
that holds files of our names without a note; a run that has only grown at its end is accepted. Weaker
cameras never replace surer ones: grade and source of the frame numbers are in the note. `force` renames
the folder and deletes nothing.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from being_remote.errors import DataError, NotFoundError, UsageError
from being_remote.export import Cameras, write_atomically
from being_remote.export.files import json_sha256
from being_remote.tracker.frame_file import read_bytes
from being_remote.wording import list_some

NOTE = "recovered.json"
FORMAT = "being-remote recovered"
MAX_NOTE_BYTES = 1 << 20

Note = dict[str, Any]

# From the weakest to the strongest; what a note does not say, or is none of these, is not compared.
GRADES = {g: n for n, g in enumerate(("unverified", "landmark", "estimated"))} | dict.fromkeys(
    ("bbox", "whole frame", "verified", "exact"), 3
)
NUMBERS_BY = {by: n for n, by in enumerate(("unknown", "assumption", "settings", "pixels"))}


def _describe_cameras(cameras: Cameras, canvases: Mapping[str, Any]) -> Note:
    """The note of a folder that holds these cameras."""
    crop = cameras.crop
    return {
        "format": FORMAT,
        "run": cameras.name,
        "K_crop": cameras.K_crop.tolist(),
        "source_size_wh": list(crop.source_size_wh),
        "image_size_wh": list(crop.image_size_wh),
        "crop": [crop.x_min, crop.x_max, crop.y_min, crop.y_max],
        "A": crop.A.tolist(),
        "grade": cameras.grade,
        "numbers_by": cameras.numbers_by,
        "first_source_number": int(cameras.source_numbers[0]) - int(cameras.frame_ids[0]),
        **_describe_frames(cameras, len(cameras.frame_ids)),
        "exports": dict(canvases),
    }


def _describe_frames(cameras: Cameras, count: int) -> Note:
    """The first `count` frames, and which pictures they are of, in short."""
    ids, numbers = cameras.frame_ids[:count].tolist(), cameras.source_numbers[:count].tolist()
    shown = None if cameras.video_frames is None else json_sha256(cameras.video_frames[:count].tolist())
    found = {
        "frames": count,
        "frame_ids_sha256": json_sha256(ids),
        "source_numbers_sha256": json_sha256(numbers),
        "video_frames_sha256": shown,
    }
    # Only where it changes, so that the note of a whole run stays as it is.
    if cameras.K_each is not None and (cameras.K_each[:count] != cameras.K_source).any():
        found["K_each_sha256"] = json_sha256(cameras.K_each[:count].tolist())
    return found


def find_aside(
    folder: Path, cameras: Cameras, canvases: Mapping[str, Any], outputs: Sequence[str], *, force: bool
) -> Path | None:
    """Where a folder that holds something else will be moved; None where it need not. Changes nothing.

    Args:
        folder: absolute.
        canvases: each export's picture, as plain numbers.
        outputs: the files that will be written below it.
        force: it may be moved; else such a folder is a UsageError.
    """
    _, why = _read_folder(folder, _describe_cameras(cameras, canvases), cameras, outputs)
    if why and not force:
        raise _refusal(folder, why)
    return _free_name(folder) if why else None


def claim(
    folder: Path,
    cameras: Cameras,
    canvases: Mapping[str, Any],
    outputs: Sequence[str],
    *,
    aside: Path | None,
) -> None:
    """Make `folder` ready for these cameras, and leave a note of them in it.

    Args:
        aside: what `find_aside` said, whose other arguments these are.

    Raises:
        UsageError: it holds something else by now, or cannot be moved.
        NoSpace: the disk is full.
    """
    note = _describe_cameras(cameras, canvases)
    before, why = _read_folder(folder, note, cameras, outputs)
    if why:
        if aside is None:
            raise _refusal(folder, why)
        _move(folder, aside)
        before = {}
    merged = {**note, "exports": {**before.get("exports", {}), **note["exports"]}}
    write_atomically(folder / NOTE, [json.dumps(merged, indent=1, allow_nan=False).encode()])


def _refusal(folder: Path, why: str) -> UsageError:
    return UsageError(why, where=str(folder), hint="--out DIR for another folder, or --force")


def _read_folder(folder: Path, note: Note, cameras: Cameras, outputs: Sequence[str]) -> tuple[Note, str]:
    """What the folder's note says, and why nothing may be written into it; "" where it may."""
    parent = next((parent for parent in folder.parents if os.path.lexists(parent)), folder)
    if not parent.is_dir():
        raise UsageError(f"cannot be made: {parent} is not a folder", where=str(folder), hint="--out DIR")
    if os.path.lexists(folder) and not folder.is_dir():
        return {}, "exists and is not a folder"
    before = _read_note(folder / NOTE)
    if before is None:
        existing = [os.path.relpath(path, folder) for path in outputs if os.path.lexists(path)]
        return {}, f"holds {list_some(existing, 4)}, and no note says of which run" if existing else ""
    if before.get("run") != note["run"]:
        return before, f"holds the cameras of another run, {str(before.get('run'))[:80]!r}"
    for key, words in (
        ("K_crop", "another fit of this run: its stored K differs"),
        ("image_size_wh", "another fit of this run: its images had another size"),
        ("source_size_wh", "this run for a video of another size"),
        ("crop", "this run by another crop"),
        ("A", "this run by another crop"),
        ("first_source_number", "this run numbered otherwise"),
    ):
        if before.get(key) != note[key]:
            return before, f"holds the cameras of {words}"
    why = _compare_frames(before, cameras) or compare_strength(before, note)
    if why:
        return before, why
    exports = before.get("exports")
    earlier = exports if isinstance(exports, dict) else {}
    for name, canvas in note["exports"].items():
        if name in earlier and earlier[name] != json.loads(json.dumps(canvas)):
            return before, f"holds {name} for another canvas"
    return {**before, "exports": earlier}, ""


def _compare_frames(before: Note, cameras: Cameras) -> str:
    """Why the frames of an earlier note are not the first ones of these cameras; "" if they are."""
    count, found = before.get("frames"), len(cameras.frame_ids)
    first = _describe_frames(cameras, count if type(count) is int and 0 < count <= found else found)
    shown = first.pop("video_frames_sha256")
    if all(before.get(key) == first.get(key) for key in (*first, "K_each_sha256")):
        earlier = before.get("video_frames_sha256")
        other = earlier is not None and shown is not None and earlier != shown
        return "holds the cameras of this run with other frames of its video" if other else ""
    if before.get("frame_ids_sha256") == first["frame_ids_sha256"]:
        if before.get("source_numbers_sha256") != first["source_numbers_sha256"]:
            return "holds the cameras of this run numbered otherwise"
        return "holds the cameras of another fit of this run: a K of its frames differs"
    return (
        f"holds the cameras of {str(count)[:20]} other frames of this run, which are not the first ones of"
        f" these {found}"
    )


def compare_strength(before: Note, note: Note) -> str:
    """Why the cameras of a folder are surer than those that would replace them; "" if they are not."""
    for key, ranks, words in (("grade", GRADES, "grade"), ("numbers_by", NUMBERS_BY, "frame numbers by")):
        earlier, now = before.get(key), note[key]
        if isinstance(earlier, str) and ranks.get(now, 9) < ranks.get(earlier, -1):
            return f"holds surer cameras of this run ({words} {earlier!r}; these: {now!r})"
    return ""


def _read_note(path: Path) -> Note | None:
    """The note; None where there is none; {} for one that cannot be read."""
    try:
        note = json.loads(read_bytes(path, MAX_NOTE_BYTES))
    except NotFoundError:
        return None
    except (DataError, ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def _free_name(folder: Path) -> Path:
    when = time.strftime("%Y-%m-%d-%H%M%S")
    name = f"{folder.name}.until-{when}"
    taken = (folder.with_name(f"{name}-{n}" if n > 1 else name) for n in range(1, 100))
    return next(path for path in taken if not os.path.lexists(path))


def _move(folder: Path, aside: Path) -> None:
    here = Path.cwd()
    if folder.resolve() in (here, *here.parents):
        raise UsageError(
            "is the current folder or contains it, so it is not moved",
            where=str(folder),
            hint="name a folder for the cameras alone: --out DIR",
        )
    try:
        folder.rename(aside)
    except OSError as e:
        raise UsageError(
            f"cannot be moved to {aside}: {e.strerror}", where=str(folder), hint="--out DIR"
        ) from e
