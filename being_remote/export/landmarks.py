"""The tracker's 68 landmarks of each frame, mapped onto a canvas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from being_remote.camera.crop import to_source
from being_remote.errors import NotFoundError
from being_remote.export.cameras import Floats
from being_remote.export.target import Export
from being_remote.tracker.landmark_file import SPARSE, landmark_name, read_landmarks


@dataclass(frozen=True, eq=False)
class CanvasLandmarks:
    """Landmarks of all frames.

    Attributes:
        points: (N, 68, 2) canvas pixels, corner convention; may lie outside the picture.
        without_face: indices of the frames in which the tracker found no face; each has the landmarks of
            the nearest frame with one.
    """

    points: Floats
    without_face: tuple[int, ...]


def canvas_landmarks(export: Export) -> CanvasLandmarks | None:
    """Read the landmarks of every frame of an export; None where there are none."""
    folder = export.run.kpt
    if folder is None:
        return None
    cameras = export.cameras
    points = np.zeros((len(cameras.frame_ids), SPARSE, 2))
    with_face = []
    for i, number in enumerate(cameras.source_numbers.tolist()):
        path = folder / landmark_name(number - export.run.kpt_offset)
        if not path.exists():
            raise NotFoundError(
                f"the landmarks of frame {cameras.frame_ids[i]:05d} (source/{number:05d}) are missing",
                where=str(path),
                hint="being-remote sync --only kpt",
            )
        found = read_landmarks(path, SPARSE)
        if found is not None:
            points[i] = to_source(cameras.crop, found)
            with_face.append(i)
    if not with_face:
        return None
    A = export.canvas.A
    points = (points * A.diagonal()[:2] + A[:2, 2])[nearest(np.array(with_face), len(points))]
    return CanvasLandmarks(points, tuple(sorted(set(range(len(points))) - set(with_face))))


def nearest(known: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """For each of 0..count-1 the nearest of the sorted numbers `known`; the earlier one of a tie.

    Example:
        >>> nearest(np.array([1, 4]), 6).tolist()
        [1, 1, 1, 4, 4, 4]
    """
    wanted = np.arange(count)
    after = np.searchsorted(known, wanted).clip(max=len(known) - 1)
    before = (after - 1).clip(min=0)
    earlier = np.abs(wanted - known[before]) <= np.abs(known[after] - wanted)
    return np.asarray(np.where(earlier, known[before], known[after]))
