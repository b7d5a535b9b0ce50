"""The tracker's dense landmark detector on whole original frames: an optional extra.

The tracker finds its 478 points with MediaPipe's face mesh, whose model lies inside MediaPipe's older
packages. It finds large faces only, so a whole frame is searched in windows, and what is found is
detected again in a window like the tracker's crop: there the face has nearly the size it had then, and
the detector's dependence on that size nearly cancels.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from being_remote.crop_search.landmark_search import Floats, Picture, Window
from being_remote.errors import UsageError

POINTS = 478

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

    def close(self) -> None:
        self._mesh.close()

    def __enter__(self) -> FaceMesh:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def window_like_the_trackers(points: Floats, scale: float = 2.5) -> Window:
    """The square that the tracker would cut around these points (n, 2), before any border cuts it."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle = (low + high) / 2
    half = scale * float((high - middle).max())
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
