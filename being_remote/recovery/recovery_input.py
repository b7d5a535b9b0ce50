"""What `recover` reads of a run before it looks for the crop: settings, frames, the video and its size.

Two places that say different sizes are an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from being_remote.errors import InconsistentData, UsageError
from being_remote.media.picture import MAX_PIXELS
from being_remote.media.video import FrameReader, open_source
from being_remote.recovery.local_runs import LocalRun, find_settings
from being_remote.recovery.recovery_request import EvidenceChoice
from being_remote.recovery.stored_crops import StoredCrops, find_crops
from being_remote.tracker.frame_numbering import UNMOVED, source_frame_numbers
from being_remote.tracker.intrinsics_file import read_intrinsics
from being_remote.tracker.run_settings import RunSettings
from being_remote.tracker.sequence import Sequence as Frames
from being_remote.tracker.sequence import read_cameras
from being_remote.tracker.settings import Value
from being_remote.tracker.source_frames import SourceFrames, source_frames

Size = tuple[int, int]


class OpenVideos:
    """Videos and folders of frames, each opened once; closed together at the end of the `with` block."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._opened: dict[Path, FrameReader] = {}

    def open(self, path: Path) -> FrameReader:
        """The open video. Raises NotFoundError and DataError as `open_source` does."""
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


@dataclass(frozen=True, eq=False)
class RecoveryInput:
    """What was read of a run; `assumptions` says which of its settings are assumed, () where none are."""

    run: LocalRun
    settings: RunSettings
    assumptions: tuple[str, ...]
    frames: Frames
    source: SourceSize

    @property
    def settings_known(self) -> bool:
        """Whether a settings file of the run was read."""
        return not self.assumptions

    @property
    def video(self) -> FrameReader | None:
        """The open original video or folder of its frames."""
        return self.source.video

    @cached_property
    def source_frames(self) -> SourceFrames | None:
        """The frames of the video as this run's `source/`, by its settings.

        Raises:
            InconsistentData, UnsafeFile: the frames cannot be numbered.
        """
        return self.number_frames(None)

    def number_frames(self, shown: Mapping[int, int] | None) -> SourceFrames | None:
        """The frames of the video as this run's `source/`; `shown`: the index that each number shows."""
        return None if self.video is None else source_frames(self.video, self.settings.fps, shown)

    @cached_property
    def numbers(self) -> dict[int, int]:
        """The number in `source/` of each frame_id, as the settings have it.

        Raises:
            InconsistentData: they leave out more images than any `source/` holds.
        """
        frame_ids, begin_frames = self.frames.frame_ids.tolist(), self.settings.begin_frames
        try:
            numbers = source_frame_numbers(frame_ids, begin_frames, self.source_images)
        except ValueError as e:
            hint = "correct begin_frames and end_frames in the run's settings"
            raise InconsistentData(str(e), file=str(self.run.base), hint=hint) from e
        return dict(zip(frame_ids, numbers.tolist(), strict=True))

    @cached_property
    def source_images(self) -> int:
        """How many images `source/` holds: those at hand, and at least all that run and settings name.

        Looked up only where it can matter, for the tracker's text order: 0 for shorter runs.
        """
        settings, last = self.settings, int(self.frames.frame_ids[-1])
        if settings.begin_frames + last < UNMOVED:
            return 0
        count = settings.begin_frames + last + 1 + settings.end_frames
        return count if self.source_frames is None else max(count, self.source_frames.count)

    @cached_property
    def crops(self) -> StoredCrops | None:
        """The stored crops of the run's frames."""
        return find_crops(self.run, self.settings, self.numbers)

    @cached_property
    def landmarks(self) -> Path | None:
        """The folder of stored landmarks, the one with most points."""
        dense, sparse = self.run.landmark_folders(self.settings)
        return next((f for f in (*dense, *sparse) if any(f.glob("*.npy"))), None)

    @property
    def known_bbox_scale(self) -> float | None:
        """The run's bbox_scale, where a settings file says it."""
        return self.settings.bbox_scale if self.settings_known else None

    @property
    def cropped(self) -> bool:
        """Whether the run cropped its frames.

        Raises:
            InconsistentData: its settings say so, and its frames say that it cannot have.
        """
        w, h = self.frames.image_size_wh
        if self.settings_known and self.settings.crop_image and w != h:
            raise InconsistentData(
                f"the frames are of {w}x{h} images and the run's settings say that they were cropped: the"
                " tracker crops to squares only, so the stored K belongs to no image",
                file=str(self.run.base),
                hint="the settings file is another run's, or says crop_image wrongly",
            )
        # The tracker crops to squares only, so an image that is not square was never cropped.
        return self.settings.crop_image and w == h

    @property
    def crop_settings(self) -> dict[str, Value]:
        """The settings that the run's own crop was made by."""
        w, h = self.frames.image_size_wh
        return {"bbox_scale": self.settings.bbox_scale, "image_size": [h, w], "crop_image": self.cropped}

    @property
    def foreign_settings(self) -> tuple[str, ...]:
        """Says where the settings cannot be those that the run was made with."""
        if not self.settings_known or self.settings.image_size_wh == self.frames.image_size_wh:
            return ()
        (sw, sh), (w, h) = self.settings.image_size_wh, self.frames.image_size_wh
        return (
            f"the settings file says images of {sw}x{sh}, the frames are of {w}x{h}: it is another run's, so"
            " source numbers, times and whether there was a crop are uncertain",
        )


def read_input(run: LocalRun, evidence: EvidenceChoice, videos: OpenVideos) -> RecoveryInput:
    """Read a run's settings and frames, and open the original video where there is one.

    Raises:
        UsageError: the size of the original is unknown, or two places say two of them.
        NotFoundError: no frames, or no video where one was named.
        DataError: files that are unsafe, torn, or contradict each other.
    """
    settings, assumptions = find_settings(run)
    frames = read_cameras(run.checkpoints)
    source = find_source_size(run, settings, evidence.source_size, evidence.frames, videos)
    case = RecoveryInput(run, settings, assumptions, frames, source)
    if evidence.check:
        _check_square_pixels(case)
    return case


def _check_square_pixels(case: RecoveryInput) -> None:
    """The tracker fits one focal length to pixels as they are stored, so they must be square."""
    frames = case.source_frames
    if frames is not None and not frames.square_pixels:
        raise InconsistentData(
            f"its pixels are shown {frames.source.pixel_aspect:.4g} times as wide as high, and the tracker's"
            " one focal length cannot describe them: every camera of this run is wrong",
            file=str(frames.source.path),
            hint="convert it to square pixels (ffmpeg -vf scale=iw*sar:ih,setsar=1) and track that;"
            " --no-check takes the cameras as they are",
        )
