"""How large the original frames are, who says so, and whether the video itself is at hand.

Every answer comes with where it was found; what two places say differently is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import UsageError

if TYPE_CHECKING:
    from being_remote.inventory import Inventory
    from being_remote.recovery.local_runs import LocalRun
    from being_remote.tracker.run_settings import RunSettings

Size = tuple[int, int]


@dataclass(frozen=True)
class SourceSize:
    """Width and height of the original frames, who says so, and the video or frame folder if at hand.

    `sure` unless only a video says it that was named on the command line, which may be a rescaled copy.
    """

    size_wh: Size
    said_by: str
    video: Path | None
    warnings: tuple[str, ...] = ()
    sure: bool = True


def find_source_size(
    run: LocalRun,
    settings: RunSettings,
    stated: Size | None,
    named: tuple[Path | None, str],
    inventory: Inventory | None,
) -> SourceSize:
    """Width and height of the original frames: from the command line, else the inventory, else the checkout.

    Of several places that say it, all must agree; what was given on the command line is never
    overruled by the inventory. `named` is the video from there, and the option that named it.

    Raises:
        UsageError: nothing says it, or two places contradict each other.
        NotFoundError, DataError: the video is missing or cannot be read.
    """
    video, option = named
    if stated is not None or video is not None:
        measured = _measure(video) if video is not None else None
        _agree([("--source-size", stated), (f"{option} {video}", measured)])
        size = measured or _sane(stated or (0, 0), "--source-size")
        listed = run.actor.source_size if run.actor else None
        doubts = () if listed in (None, size) else (f"the inventory says {_text(listed)}, not {_text(size)}",)
        sure = stated is not None or listed == size
        found = SourceSize(size, option if video else "--source-size", video, doubts, sure=sure)
        return found if video is not None else _with_a_video(found, run, settings)
    actor = run.actor
    if actor is None or (actor.video is None and actor.source_size is None):
        there = run.frames_in_checkout(settings)
        if there is not None:
            return SourceSize(_measure(there), str(there), there)
        if run.intrinsics is not None and run.intrinsics.is_file():
            return SourceSize(_of_job(run.intrinsics), str(run.intrinsics), None)
        raise UsageError(
            f"nothing says how large the original frames of {run.name!r} are",
            where=str(inventory.path) if inventory else "",
            hint="--source-size WIDTHxHEIGHT, or --video FILE, or `video:` of the actor in the inventory",
        )
    if actor.video is None or (not actor.video.exists() and actor.source_size is not None):
        assert actor.source_size is not None  # one of the two is there
        missing = () if actor.video is None else (f"the actor's video is not here: {actor.video}",)
        said_by = "the inventory's source_size"
        found = SourceSize(_sane(actor.source_size, said_by), said_by, None, missing)
        return _with_a_video(found, run, settings)
    measured = _measure(actor.video)
    _agree([("source_size in the inventory", actor.source_size), (f"the video {actor.video}", measured)])
    return SourceSize(measured, "the inventory's video", actor.video)


def _of_job(path: Path) -> Size:
    """What one of our own jobs measured on its host.

    Raises:
        DataError: the file cannot be read.
    """
    from being_remote.tracker.intrinsics_file import read_intrinsics

    return read_intrinsics(path).size_wh


def _with_a_video(found: SourceSize, run: LocalRun, settings: RunSettings) -> SourceSize:
    """To look at: the frames that the tracker read or the actor's video, if here and of that size."""
    actors = run.actor.video if run.actor else None
    video = run.frames_in_checkout(settings) or actors
    if video is None or not video.exists():
        return found
    measured = _measure(video)
    if measured == found.size_wh:
        return replace(found, video=video)
    what = f"the actor's video {video}" if video == actors else str(video)
    words = f"{what} is {_text(measured)}, not {_text(found.size_wh)}; it is not used"
    return replace(found, warnings=(*found.warnings, words))


def _sane(size: Size, said_by: str) -> Size:
    """A size that was only stated, held to what a video may have: a picture of it is drawn."""
    from being_remote.media.video import MAX_PIXELS

    if size[0] * size[1] > MAX_PIXELS:
        raise UsageError(
            f"{_text(size)} is more than any video has ({MAX_PIXELS} pixels at most)",
            where=said_by,
            hint="write WIDTHxHEIGHT, e.g. 1920x1080",
        )
    return size


def _measure(video: Path) -> Size:
    from being_remote.media.video import open_source

    with open_source(video) as source:
        return source.size_wh


def _agree(said: Iterable[tuple[str, Size | None]]) -> None:
    known = [(who, size) for who, size in said if size is not None]
    if len({size for _, size in known}) > 1:
        swapped = known[0][1] == known[1][1][::-1]
        raise UsageError(
            " but ".join(f"{who} says {_text(size)}" for who, size in known),
            hint="sizes are WIDTHxHEIGHT: are the two swapped?" if swapped else "which of the two is right?",
        )


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
