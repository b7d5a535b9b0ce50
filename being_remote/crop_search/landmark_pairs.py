"""Landmark pairs out of two folders: the tracker's own `kpt` or `kpt_dense`, and one of whole frames.

Files of both are named after the picture in `source/` and hold (68, 2) or (478, 2) pixels; zeros mean
that there was no face. The second folder should be made with the same detector.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from being_remote.crop_search.landmark_fit import LandmarkPair
from being_remote.errors import NotFoundError
from being_remote.tracker.landmark_file import landmark_name, read_landmarks


def read_pairs(
    crop_folder: Path, source_folder: Path, numbers: Iterable[tuple[int, int]], points: int
) -> list[LandmarkPair]:
    """Read the frames that have a file in both folders.

    Args:
        crop_folder: `kpt` or `kpt_dense` of the tracker's input: crop pixels.
        source_folder: landmarks of the original frames, in their pixels.
        numbers: frame_id and number in `source/` of the frames to read, in order.
        points: 68 or 478.

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
