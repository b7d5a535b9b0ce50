"""Where a stored picture may lie in a frame, roughly: a few proposals, best first.

Features come first, because they bear a head that has moved and find small crops; where there are
too few of them, the picture is slid over the frame at every size.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from being_remote.crop_search.crop_rendering import Box4, Picture, Window

_FEATURE_LENGTH = 1280  # the frame's longer side, when features are looked for
_MAX_FEATURES = 3000
_MIN_MATCHES = 8
_MAX_TURN = 0.02  # of a feature match, radians: no crop of the tracker is turned

_TEMPLATE_LENGTH = 320
_SIZE_STEP = 1.05
_SMALLEST = 12  # pixels of the shrunken picture
_BEST = 4


def propose_boxes(stored: Picture, window: Window, frame: Picture) -> Iterator[Box4]:
    """Boxes (side_x, side_y, origin_x, origin_y) that may have made the grey picture out of the frame."""
    found = match_features(stored, window, frame)
    if found is not None:
        yield found
    yield from match_template(stored, window, frame)


def match_features(stored: Picture, window: Window, frame: Picture) -> Box4 | None:
    """From SIFT matches and a robust similarity; None where there are too few."""
    shrunk, factor = _shrunk(frame, _FEATURE_LENGTH)
    # Without precise upscaling positions are off by a quarter pixel of the doubled picture.
    sift = cv2.SIFT.create(_MAX_FEATURES, enable_precise_upscale=True)
    mask = np.zeros_like(stored)
    window.of(mask)[...] = 255
    if window.mask is not None:
        mask[~window.mask] = 0
    points, features = sift.detectAndCompute(stored, mask)
    frame_points, frame_features = sift.detectAndCompute(shrunk, None)
    if len(points) < _MIN_MATCHES or len(frame_points) < _MIN_MATCHES:
        return None
    pairs = cv2.BFMatcher().knnMatch(features, frame_features, k=2)
    good = [p[0] for p in pairs if len(p) == 2 and p[0].distance < 0.8 * p[1].distance]
    if len(good) < _MIN_MATCHES:
        return None
    a = np.array([points[m.queryIdx].pt for m in good]) + 0.5
    b = (np.array([frame_points[m.trainIdx].pt for m in good]) + 0.5) * factor
    reach = 3 * float(np.max(factor))
    A, inliers = cv2.estimateAffinePartial2D(a, b, ransacReprojThreshold=reach, maxIters=4000)
    if A is None or int(inliers.sum()) < _MIN_MATCHES:
        return None
    scale = float(np.hypot(A[0, 0], A[1, 0]))
    if A[0, 0] <= 0 or abs(A[1, 0]) > _MAX_TURN * scale:
        return None
    height, width = stored.shape
    return np.array([scale * width, scale * height, A[0, 2], A[1, 2]])


def match_template(stored: Picture, window: Window, frame: Picture) -> Iterator[Box4]:
    """From sliding the picture over the frame at every size: the best sizes, the best place of each."""
    shrunk, factor = _shrunk(frame, _TEMPLATE_LENGTH)
    part = window.of(stored)
    found: list[tuple[float, Box4]] = []
    length = float(_SMALLEST)
    while True:
        # The size of the whole crop among shrunken pixels; only the window's part of it is slid.
        size = [max(4, round(length * n / m)) for n, m in zip(part.shape, stored.shape, strict=True)]
        if size[0] > shrunk.shape[0] or size[1] > shrunk.shape[1]:
            break
        template = cv2.resize(part, (size[1], size[0]), interpolation=cv2.INTER_AREA)
        scores = cv2.matchTemplate(shrunk, template, cv2.TM_CCOEFF_NORMED)
        _, best, _, (x, y) = cv2.minMaxLoc(np.nan_to_num(scores, posinf=0, neginf=0))
        scale = np.array([size[1] * factor[0] / part.shape[1], size[0] * factor[1] / part.shape[0]])
        origin = np.array([x, y]) * factor - scale * (window.u0, window.v0)
        side = float(scale.mean()) * np.array(stored.shape[::-1])
        found.append((best, np.array([*side, *origin])))
        length *= _SIZE_STEP
    found.sort(key=lambda item: -item[0])
    for _, box in found[:_BEST]:
        yield box


def find_look_alikes(frame: Picture, box: Box4, window: Window, size_wh: tuple[int, int]) -> list[Box4]:
    """Other places of a frame that look like the one found, as in a pattern that repeats."""
    shrunk, factor = _shrunk(frame, _TEMPLATE_LENGTH * 2)
    sides, origin = box[:2], box[2:]
    low = (origin + sides * (window.u0, window.v0) / size_wh) / factor
    high = (origin + sides * (window.u1, window.v1) / size_wh) / factor
    x0, y0 = np.maximum(np.round(low).astype(int), 0)
    x1, y1 = np.minimum(np.round(high).astype(int), shrunk.shape[::-1])
    if x1 - x0 < 4 or y1 - y0 < 4:
        return []
    scores = cv2.matchTemplate(shrunk, shrunk[y0:y1, x0:x1], cv2.TM_CCOEFF_NORMED)
    scores = np.nan_to_num(scores, posinf=0, neginf=0)
    best = float(scores[y0, x0])
    found = []
    scores[max(y0 - 2, 0) : y0 + 3, max(x0 - 2, 0) : x0 + 3] = -1
    for _ in range(_BEST):
        _, score, _, (x, y) = cv2.minMaxLoc(scores)
        if score < best - 0.05:
            break
        found.append(np.array([*sides, *(origin + (np.array([x, y]) - (x0, y0)) * factor)]))
        scores[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = -1
    return found


def _shrunk(frame: Picture, length: int) -> tuple[Picture, NDArray[np.float64]]:
    """The frame with at most that longer side, and source pixels for one of its pixels, (x, y)."""
    height, width = frame.shape
    by = max(max(width, height) / length, 1.0)
    size = (max(1, round(width / by)), max(1, round(height / by)))
    small = frame if by == 1.0 else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8), np.array([width / size[0], height / size[1]])
