"""Landmark pairs for the crop: the tracker's own, and others of whole frames, stored or detected here.

The face is detected wherever it is, then once more inside the crop that this gives: there the detector
sees what it saw when the tracker ran it. Measured on a photograph moved about in 40 frames, true side
698 px: whole frames 702.4 +- 1.4, a window like the tracker's 699.0 +- 0.7, inside the crop 698.0 +- 0.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from being_remote.camera.crop import Crop
from being_remote.crop_search.finding import Finding, FrameSource, OnProgress
from being_remote.crop_search.landmark_fit import LandmarkPair, from_landmarks
from being_remote.errors import NotFoundError
from being_remote.tracker.landmark_file import landmark_name, read_landmarks

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

Window = tuple[int, int, int, int]  # x_min, y_min, x_max, y_max; ends exclusive, may hang over the frame

_LOOKS = 3  # the third look moves the answer by a tenth of a pixel


@dataclass(frozen=True, eq=False)
class StoredFace:
    """The landmarks (n, 2) of one stored crop, its pixels, and the number of its frame in `source/`."""

    frame_id: int
    source_number: int
    crop_px: Floats


class Detector(Protocol):
    """Finds one face's points (n, 2) in a picture, or in a window of it; pixels of the whole picture."""

    def find(self, picture: Picture, around: Window | None = None) -> Floats | None: ...


def from_frames(
    stored: Sequence[StoredFace],
    source: FrameSource,
    image_size_wh: tuple[int, int],
    mesh: Detector,
    *,
    detector: str,
    bbox_scale: float | None = None,
    on_progress: OnProgress | None = None,
) -> Finding:
    """As `from_landmarks`; the landmarks of the original frames are detected here.

    Raises:
        NotFoundError, DataError: a frame is missing, or cannot be read.
    """
    found, window = None, None
    for look in range(_LOOKS):
        pairs = []
        for i, face in enumerate(stored):
            seen = mesh.find(source.frame(face.source_number), window)
            nothing = np.zeros_like(face.crop_px)
            pairs.append(LandmarkPair(face.frame_id, face.crop_px, nothing if seen is None else seen))
            if on_progress is not None:
                on_progress(look * len(stored) + i + 1, _LOOKS * len(stored))
        again = from_landmarks(pairs, source.size_wh, image_size_wh, detector=detector, bbox_scale=bbox_scale)
        if again.crop is None:
            # Seen closer it falls apart: the first answer was no answer.
            return again
        found, window = again, _window(again.crop)
    assert found is not None  # there is at least one look
    return found


def _window(crop: Crop) -> Window:
    x, y = (round(v) for v in crop.origin)
    width, height = (round(v) for v in crop.padded_size_wh)
    return x, y, x + width, y + height


def read_pairs(
    crop_folder: Path, source_folder: Path, numbers: Iterable[tuple[int, int]], points: int
) -> list[LandmarkPair]:
    """Read the landmarks of the frames that have a file in both folders.

    Files are named after the picture in `source/` and hold (68, 2) or (478, 2) pixels; zeros mean that
    there was no face. The second folder should be made with the same detector.

    Args:
        crop_folder: `kpt` or `kpt_dense` of the tracker's input: crop pixels.
        source_folder: landmarks of the original frames, in their pixels.
        numbers: frame_id and number in `source/` of the frames to read, in order.

    Raises:
        NotFoundError: no frame has a file in both.
        DataError: a file is unsafe, torn, or does not hold such landmarks.
    """
    pairs, looked = [], 0
    for frame_id, number in numbers:
        looked += 1
        places = [folder / landmark_name(number) for folder in (crop_folder, source_folder)]
        if not all(place.exists() for place in places):
            continue
        found = [read_landmarks(place, points) for place in places]
        crop_px, source_px = (np.zeros((points, 2)) if f is None else f for f in found)
        pairs.append(LandmarkPair(frame_id, crop_px, source_px))
    if not pairs:
        raise NotFoundError(
            f"of {looked} frames none has landmarks in both folders",
            where=f"{crop_folder} and {source_folder}",
            hint=f"files are named after the pictures in source/: {landmark_name(1)} is of the first",
        )
    return pairs
