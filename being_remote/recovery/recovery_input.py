"""One call of `recover`, before its crop is known: the run, its settings and frames, the original's size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import InconsistentData
from being_remote.recovery.stored_crops import StoredCrops, find_crops

if TYPE_CHECKING:
    from being_remote.recovery.local_runs import LocalRun
    from being_remote.recovery.source_size import SourceSize
    from being_remote.tracker.run_settings import RunSettings
    from being_remote.tracker.sequence import Sequence as Frames
    from being_remote.tracker.source_frames import SourceFrames


@dataclass(frozen=True, eq=False)
class RecoveryInput:
    """What is known of a run.

    Attributes:
        settings_known: False where its settings are assumed.
        shown: the frame of the video at hand that each source number shows, where the pixels said it.
    """

    run: LocalRun
    settings: RunSettings
    settings_known: bool
    frames: Frames
    source: SourceSize
    shown: Mapping[int, int] | None = None

    @cached_property
    def numbers(self) -> dict[int, int]:
        """The number in `source/` of each frame_id, as the settings have it."""
        from being_remote.tracker.frame_numbering import source_frame_numbers

        frame_ids = self.frames.frame_ids.tolist()
        numbers = source_frame_numbers(frame_ids, self.settings.begin_frames, self.source_images)
        return dict(zip(frame_ids, numbers.tolist(), strict=True))

    @cached_property
    def source_images(self) -> int:
        """How many images `source/` holds: those at hand, and at least all that run and settings name.

        Looked up only where it can matter, for the tracker's text order: 0 for shorter runs.

        Raises:
            NotFoundError, DataError: the frames at hand cannot be read.
        """
        from being_remote.tracker.frame_numbering import UNMOVED

        settings, last = self.settings, int(self.frames.frame_ids[-1])
        if settings.begin_frames + last < UNMOVED:
            return 0
        count = settings.begin_frames + last + 1 + settings.end_frames
        if self.source.video is None:
            return count
        with self.open_frames(self.source.video) as frames:
            return max(count, frames.count)

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
    def foreign_settings(self) -> tuple[str, ...]:
        """Says where the settings cannot be those that the run was made with."""
        if not self.settings_known or self.settings.image_size_wh == self.frames.image_size_wh:
            return ()
        (sw, sh), (w, h) = self.settings.image_size_wh, self.frames.image_size_wh
        return (
            f"the settings file says images of {sw}x{sh}, the frames are of {w}x{h}: it is another run's, so"
            " source numbers, times and whether there was a crop are uncertain",
        )

    @contextmanager
    def open_frames(self, path: Path) -> Iterator[SourceFrames]:
        """A video or folder as this run's `source/`.

        Raises:
            NotFoundError, DataError: it is not there, or cannot be read.
        """
        from being_remote.media.video import open_source
        from being_remote.tracker.source_frames import source_frames

        with open_source(path) as opened:
            yield source_frames(opened, self.settings.fps, self.shown)
