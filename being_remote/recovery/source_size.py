"""How large the original frames are, which file or option says so, and the video itself where it is here.

What two places say differently is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import UsageError

if TYPE_CHECKING:
    from being_remote.media.video import FrameReader
    from being_remote.recovery.local_runs import LocalRun
    from being_remote.tracker.run_settings import RunSettings

Size = tuple[int, int]


class OpenVideos:
    """Videos and folders of frames, each opened once; closed together at the end of the `with` block."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._opened: dict[Path, FrameReader] = {}

    def open(self, path: Path) -> FrameReader:
        """The open video. Raises NotFoundError and DataError as `open_source` does."""
        from being_remote.media.video import open_source

        if path not in self._opened:
            self._opened[path] = self._stack.enter_context(open_source(path))
        return self._opened[path]

    def __enter__(self) -> OpenVideos:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()


@dataclass(frozen=True, eq=False)
class SourceSize:
    """Width and height of the original frames, what says so, and the open video or folder of frames.

    `sure` unless only a video says it that was named on the command line, which may be a rescaled copy.
    """

    size_wh: Size
    said_by: str
    video: FrameReader | None
    warnings: tuple[str, ...] = ()
    sure: bool = True


def find_source_size(
    run: LocalRun,
    settings: RunSettings,
    stated: Size | None,
    named: tuple[Path | None, str],
    videos: OpenVideos,
) -> SourceSize:
    """Width and height of the original frames: from the command line, else the inventory, else the checkout.

    Of several places that say it, all must agree; what was given on the command line is never
    overruled by the inventory. `named` is the video from there, and the option that named it.

    Raises:
        UsageError: nothing says it, or two places contradict each other.
        NotFoundError, DataError: the video is missing or cannot be read.
    """
    path, option = named
    if stated is not None or path is not None:
        video = videos.open(path) if path is not None else None
        _check_equal([("--source-size", stated), (f"{option} {path}", video.size_wh if video else None)])
        size = video.size_wh if video else _check_pixels(stated or (0, 0), "--source-size")
        listed = run.actor.source_size if run.actor else None
        doubts = () if listed in (None, size) else (f"the inventory says {_text(listed)}, not {_text(size)}",)
        sure = stated is not None or listed == size
        found = SourceSize(size, option if video else "--source-size", video, doubts, sure=sure)
        return found if video is not None else _add_video(found, run, settings, videos)
    actor = run.actor
    if actor is None or (actor.video is None and actor.source_size is None):
        return _size_in_checkout(run, settings, videos)
    if actor.video is None or (not actor.video.exists() and actor.source_size is not None):
        assert actor.source_size is not None  # one of the two is given
        missing = () if actor.video is None else (f"the actor's video is missing: {actor.video}",)
        said_by = "the inventory's source_size"
        found = SourceSize(_check_pixels(actor.source_size, said_by), said_by, None, missing)
        return _add_video(found, run, settings, videos)
    video = videos.open(actor.video)
    _check_equal(
        [("source_size in the inventory", actor.source_size), (f"the video {actor.video}", video.size_wh)]
    )
    return SourceSize(video.size_wh, "the inventory's video", video)


def _size_in_checkout(run: LocalRun, settings: RunSettings, videos: OpenVideos) -> SourceSize:
    from being_remote.tracker.intrinsics_file import read_intrinsics

    frames = run.frames_in_checkout(settings)
    if frames is not None:
        video = videos.open(frames)
        return SourceSize(video.size_wh, str(frames), video)
    if run.intrinsics is not None and run.intrinsics.is_file():
        return SourceSize(read_intrinsics(run.intrinsics).size_wh, str(run.intrinsics), None)
    raise UsageError(
        f"the size of the original frames of {run.name!r} is unknown",
        where=str(run.base),
        hint="--source-size WIDTHxHEIGHT, or --video FILE, or `video:` of the actor in the inventory",
    )


def _add_video(found: SourceSize, run: LocalRun, settings: RunSettings, videos: OpenVideos) -> SourceSize:
    """Add the frames that the tracker read or the actor's video, if they are here and of that size."""
    actors = run.actor.video if run.actor else None
    path = run.frames_in_checkout(settings) or actors
    if path is None or not path.exists():
        return found
    video = videos.open(path)
    if video.size_wh == found.size_wh:
        return replace(found, video=video)
    what = f"the actor's video {path}" if path == actors else str(path)
    warning = f"{what} is {_text(video.size_wh)}, not {_text(found.size_wh)}; it is not used"
    return replace(found, warnings=(*found.warnings, warning))


def _check_pixels(size: Size, said_by: str) -> Size:
    """Refuse a stated size that no video has: a picture of it is drawn."""
    from being_remote.media.picture import MAX_PIXELS

    if size[0] * size[1] > MAX_PIXELS:
        raise UsageError(
            f"{_text(size)} is more than any video has ({MAX_PIXELS} pixels at most)",
            where=said_by,
            hint="write WIDTHxHEIGHT, e.g. 1920x1080",
        )
    return size


def _check_equal(stated: Iterable[tuple[str, Size | None]]) -> None:
    sizes = [(place, size) for place, size in stated if size is not None]
    if len({size for _, size in sizes}) > 1:
        swapped = sizes[0][1] == sizes[1][1][::-1]
        raise UsageError(
            " but ".join(f"{place} says {_text(size)}" for place, size in sizes),
            hint="sizes are WIDTHxHEIGHT: are the two swapped?" if swapped else "which of the two is right?",
        )


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
