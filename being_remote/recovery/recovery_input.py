"""What `recover` reads of a run before it looks for the crop: settings, frames, and the original video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import InconsistentData
from being_remote.recovery.local_runs import find_settings
from being_remote.recovery.source_size import OpenVideos, find_source_size
from being_remote.recovery.stored_crops import StoredCrops, find_crops

if TYPE_CHECKING:
    from being_remote.media.video import FrameReader
    from being_remote.recovery.local_runs import LocalRun
    from being_remote.recovery.recovery_request import EvidenceChoice
    from being_remote.recovery.source_size import SourceSize
    from being_remote.tracker.run_settings import RunSettings
    from being_remote.tracker.sequence import Sequence as Frames
    from being_remote.tracker.settings import Value
    from being_remote.tracker.source_frames import SourceFrames


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
        from being_remote.tracker.source_frames import source_frames

        return None if self.video is None else source_frames(self.video, self.settings.fps, shown)

    @cached_property
    def numbers(self) -> dict[int, int]:
        """The number in `source/` of each frame_id, as the settings have it.

        Raises:
            InconsistentData: they leave out more images than any `source/` holds.
        """
        from being_remote.tracker.frame_numbering import source_frame_numbers

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
        from being_remote.tracker.frame_numbering import UNMOVED

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
    from being_remote.tracker.sequence import read_cameras

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
