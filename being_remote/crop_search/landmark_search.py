"""Landmark pairs for the crop: the tracker's own, and others of whole frames, stored or detected here.

The face is detected wherever it is, then once more inside the crop that this gives: there the detector
sees what it saw when the tracker ran it. Measured on a photograph moved about in 40 frames, true side
698 px: whole frames 702.4 +- 1.4, a window like the tracker's 699.0 +- 0.7, inside the crop 698.0 +- 0.1.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from being_remote.camera.crop import Crop
from being_remote.crop_search.finding import Finding, FrameSource, OnProgress
from being_remote.crop_search.landmark_fit import LandmarkPair, from_landmarks
from being_remote.errors import NotFoundError, UsageError
from being_remote.tracker.npy_file import landmark_name, read_landmarks

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

Window = tuple[int, int, int, int]  # x_min, y_min, x_max, y_max; ends exclusive, may hang over the frame

DETECTOR = "MediaPipe's face mesh"
_LOOKS = 3  # the third look moves the answer by a tenth of a pixel


@dataclass(frozen=True, eq=False)
class StoredFace:
    """The landmarks (n, 2) of one stored crop, its pixels, and the number of its frame in `source/`."""

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
            pairs.append(LandmarkPair(face.crop_px, nothing if seen is None else seen))
            if on_progress is not None:
                on_progress(look * len(stored) + i + 1, _LOOKS * len(stored))
        again = from_landmarks(pairs, source.size_wh, image_size_wh, detector=DETECTOR, bbox_scale=bbox_scale)
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
    crop_folder: Path, source_folder: Path, numbers: Iterable[int], points: int
) -> list[LandmarkPair]:
    """Read the landmarks of the frames that have a file in both folders.

    Files are named after the picture in `source/` and hold (68, 2) or (478, 2) pixels; zeros mean that
    there was no face. The second folder should be made with the same detector.

    Args:
        crop_folder: `kpt` or `kpt_dense` of the tracker's input: crop pixels.
        source_folder: landmarks of the original frames, in their pixels.
        numbers: those in `source/` of the frames to read, in order.

    Raises:
        NotFoundError: no frame has a file in both.
        DataError: a file is unsafe, torn, or does not hold such landmarks.
    """
    pairs, looked = [], 0
    for number in numbers:
        looked += 1
        places = [folder / landmark_name(number) for folder in (crop_folder, source_folder)]
        if not all(place.exists() for place in places):
            continue
        found = [read_landmarks(place, points) for place in places]
        crop_px, source_px = (np.zeros((points, 2)) if f is None else f for f in found)
        pairs.append(LandmarkPair(crop_px, source_px))
    if not pairs:
        raise NotFoundError(
            f"of {looked} frames none has landmarks in both folders",
            where=f"{crop_folder} and {source_folder}",
            hint=f"files are named after the pictures in source/: {landmark_name(1)} is of the first",
        )
    return pairs


_INSTALL = (
    "pip install 'being-remote[landmarks]' (Python 3.10 to 3.12), or bring a folder of NNNNN.npy"
    " landmarks of the original frames, made elsewhere with the same detector"
)


class FaceMesh:
    """The detector, a context manager.

    Raises:
        UsageError: MediaPipe is not installed, or lacks the model.
    """

    def __init__(self) -> None:
        self._mesh = _load()

    def find(self, picture: Picture, around: Window | None = None) -> Floats | None:
        """The points of one face: (478, 2) pixels of `picture`, corner convention; None where none is found.

        Args:
            picture: (H, W, 3) uint8, BGR.
        """
        if around is not None:
            return self._in(picture, around)
        for window in _windows(picture.shape[1], picture.shape[0]):
            found = self._in(picture, window)
            if found is not None:
                return self._in(picture, window_like_the_trackers(found))
        return None

    def _in(self, picture: Picture, window: Window) -> Floats | None:
        part = _cut(picture, window)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MediaPipe's protobuf code warns of itself
            found = self._mesh.process(np.ascontiguousarray(part[..., ::-1])).multi_face_landmarks
        if not found:
            return None
        shares = np.array([(p.x, p.y) for p in found[0].landmark], dtype=np.float64)
        return np.asarray(shares * part.shape[1::-1] + window[:2])

    def __enter__(self) -> FaceMesh:
        return self

    def __exit__(self, *exc: object) -> None:
        self._mesh.close()


def window_like_the_trackers(points: Floats) -> Window:
    """The square that the tracker would cut around these points (n, 2), before any border cuts it."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle = (low + high) / 2
    half = 2.5 * float((high - middle).max())
    x, y = (round(float(m - half)) for m in middle)
    side = round(2 * half)
    return x, y, x + side, y + side


def _load() -> Any:
    try:
        solution = importlib.import_module("mediapipe.python.solutions.face_mesh")
    except ModuleNotFoundError as e:
        lacks = "is not installed" if e.name == "mediapipe" else "is installed without its face mesh model"
        raise UsageError(f"MediaPipe {lacks}", where="landmark detector", hint=_INSTALL) from e
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return solution.FaceMesh(
            static_image_mode=True, max_num_faces=1, refine_landmarks=True, min_detection_confidence=0.5
        )


def _windows(width: int, height: int) -> Iterator[Window]:
    """The whole frame, then ever smaller squares that overlap by half."""
    yield 0, 0, width, height
    for part in (1, 2, 3):
        side = min(width, height) // part
        step = max(side // 2, 1)
        for y in range(0, max(height - side, 0) + step, step):
            for x in range(0, max(width - side, 0) + step, step):
                yield x, y, x + side, y + side


def _cut(picture: Picture, window: Window) -> Picture:
    """The window's pixels, black where it hangs over."""
    x_min, y_min, x_max, y_max = window
    height, width = picture.shape[:2]
    part = np.zeros((y_max - y_min, x_max - x_min, 3), np.uint8)
    left, top = max(x_min, 0), max(y_min, 0)
    seen = picture[top : min(y_max, height), left : min(x_max, width)]
    part[top - y_min : top - y_min + seen.shape[0], left - x_min : left - x_min + seen.shape[1]] = seen
    return part
