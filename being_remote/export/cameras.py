"""The recovered cameras as one value, which every exporter is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from being_remote.camera.crop import Crop
from being_remote.camera.intrinsics import to_opencv_pixels

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cameras:
    """The camera of the original video's frames, one for all or one each, and a pose for each.

    Attributes:
        name: the actor or run, for people.
        K_source: (3, 3) pixels of the original frames, corner convention.
        K_crop: (3, 3) as the tracker stored it, pixels of its crops, corner convention.
        R, t: (N, 3, 3), (N, 3) world-to-camera, OpenCV axes; metres; the world is the head at rest.
        frame_ids: (N,) the tracker's numbers.
        source_numbers: (N,) number of each frame's file in `source/`, from 1; 0 where unknown.
        times_s: (N,) its time in the video, NaN where unknown; None where all are.
        crop: how the tracker's crops were cut; the tracker saw nothing outside of it.
        grade: how sure the crop is: see `RecoverReport`.
        K_each: (N, 3, 3) as K_source, of a run with K per frame; then K_source and K_crop are those of
            the first frame. None: one camera for all.
        numbers_by: evidence of the source numbers: "settings", "assumption", "pixels", or "unknown".
        video_frames: (N,) index of each frame in the video, from 0; -1 where unknown. None without a
            video.
    """

    name: str
    K_source: Floats
    K_crop: Floats
    R: Floats
    t: Floats
    frame_ids: NDArray[np.int64]
    source_numbers: NDArray[np.int64]
    times_s: Floats | None
    crop: Crop
    grade: str
    K_each: Floats | None = None
    numbers_by: str = "settings"
    video_frames: NDArray[np.int64] | None = None

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the original frames."""
        return self.crop.source_size_wh

    @property
    def K_opencv(self) -> Floats:
        """(3, 3) K for OpenCV, whose first pixel centre is 0."""
        return to_opencv_pixels(self.K_source)

    @property
    def source_files(self) -> list[str]:
        """The name of each frame's picture in `source/`; "" where its number is unknown."""
        return [f"{number:05d}.png" if number else "" for number in self.source_numbers.tolist()]
