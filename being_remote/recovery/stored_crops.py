"""The pictures that the tracker fitted to, as they were stored.

Only pictures that a `.frame` belongs to are evidence: the tracker's camera stage leaves copies of its
first key frame under later names, and nothing overwrites them where the video is short.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from being_remote.crop_search.finding import StoredCrop
from being_remote.errors import DataError, InconsistentData, NotFoundError
from being_remote.media.picture import read_picture
from being_remote.recovery.local_runs import CropPlace, LocalRun
from being_remote.tracker import layout
from being_remote.tracker.npy_file import DENSE, SPARSE, landmark_name, read_landmarks
from being_remote.tracker.run_settings import RunSettings

MAX_SIDE_PX = 2048  # the tracker runs at 512; a search of much more would take gigabytes
_NUMBER = re.compile(r"[0-9]{1,7}")
_LOSSLESS = ".png"
_SUFFIXES = (_LOSSLESS, ".jpg", ".jpeg")

T = TypeVar("T")


@dataclass(frozen=True)
class StoredCrops:
    """One folder's crops: `files` by frame_id, those with a `.frame` only; `phantoms` were left out."""

    folder: Path
    files: Mapping[int, Path]
    strip: bool
    phantoms: int

    def keep(self, frame_ids: Collection[int]) -> StoredCrops:
        """Only the crops of these frames."""
        return replace(self, files={i: path for i, path in self.files.items() if i in frame_ids})


def find_crops(run: LocalRun, settings: RunSettings, numbers: Mapping[int, int]) -> StoredCrops | None:
    """The run's crops, from the best place that has any; `numbers`: in `source/`, of each frame_id."""
    for place in run.crops(settings):
        found = _crops_in(place, numbers)
        if found.files:
            return found
    return None


def _crops_in(place: CropPlace, numbers: Mapping[int, int]) -> StoredCrops:
    frame_id_of = {n: i for i, n in numbers.items()} if place.by_source else {i: i for i in numbers}
    files: dict[int, Path] = {}
    phantoms = 0
    for name in sorted(os.listdir(place.folder)) if place.folder.is_dir() else ():
        stem, suffix = os.path.splitext(name)
        if suffix.lower() not in _SUFFIXES or not _NUMBER.fullmatch(stem):
            continue
        frame_id = frame_id_of.get(int(stem))
        if frame_id is None:
            phantoms += not place.by_source
        elif frame_id not in files or suffix.lower() == _LOSSLESS:
            files[frame_id] = place.folder / name
    return StoredCrops(place.folder, dict(sorted(files.items())), place.strip, phantoms)


def read_crops(
    crops: StoredCrops,
    numbers: Mapping[int, int],
    image_size_wh: tuple[int, int],
    count: int,
    landmarks: Path | None = None,
) -> list[StoredCrop]:
    """`count` of the crops, spread over the clip.

    Args:
        numbers: the number in `source/` that each frame_id should be a crop of.
        image_size_wh: of the pictures that the run's frames were fitted to.
        landmarks: a folder of the run's landmarks, which say where the face is.

    Raises:
        DataError: one cannot be read, or has another size than the run's frames say.
    """
    if max(image_size_wh) > MAX_SIDE_PX:
        raise InconsistentData(
            f"pictures of {image_size_wh[0]}x{image_size_wh[1]} are not compared: {MAX_SIDE_PX} is the most",
            file=str(crops.folder),
        )
    return [
        StoredCrop(
            frame_id,
            numbers[frame_id],
            read_crop(crops, frame_id, image_size_wh),
            str(path),
            read_face_mask(landmarks, numbers[frame_id], image_size_wh) if landmarks is not None else None,
        )
        for frame_id, path in spread(list(crops.files.items()), count)
    ]


def read_face_mask(folder: Path, number: int, image_size_wh: tuple[int, int]) -> NDArray[np.bool_] | None:
    """(h, w) where the face is: within the hull of its landmarks; None where there are none to read."""
    try:
        points = read_landmarks(folder / landmark_name(number), DENSE if is_dense(folder) else SPARSE)
    except (NotFoundError, DataError):
        return None  # an extra: without it whole pictures are compared
    w, h = image_size_wh
    if points is None or (points < 0).any() or (points > (w, h)).any():
        return None
    mask = np.zeros((h, w), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.floor(points).astype(np.int32)), 1)
    return mask.astype(bool)


def is_dense(folder: Path) -> bool:
    """Whether these are the 478 points that a detector can find again, and not the 68."""
    return folder.name.startswith(layout.KPT_DENSE)


def read_crop(crops: StoredCrops, frame_id: int, image_size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """One crop, (h, w, 3) BGR.

    Raises:
        DataError: it cannot be read, or has another size than the run's frames say.
    """
    picture = read_picture(crops.files[frame_id]).pixels
    height, width = picture.shape[:2]
    if crops.strip:
        picture, width = picture[:, :height], min(width, height)
    if (width, height) != image_size_wh:
        raise InconsistentData(
            f"is {width}x{height}, but the run's frames were fitted to pictures of"
            f" {image_size_wh[0]}x{image_size_wh[1]}",
            file=str(crops.files[frame_id]),
            hint="these crops are another run's: move them out of the folder",
        )
    return picture


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items: the first, the last, and evenly between.

    Example:
        >>> spread(range(100), 3), spread([7, 8], 5)
        ([0, 50, 99], [7, 8])
    """
    if len(items) <= count:
        return list(items)
    if count == 1:
        return [items[0]]
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]
