"""One stored picture against the source: where in which frame it lies.

Features propose a place first: they find small crops, and a head that has moved. Where there are too
few, the picture is slid over the frame at every size. A registration then refines the place.

Which frame belongs to a picture is known by its number only, and numbers can be off: a run that
skipped frames, a video at another rate. So neighbouring frames are compared as well, and where the
expected one shows something else, all around it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from being_remote.crop_search.crop_rendering import Box4, Grey, Picture, Window, content_window, grey_of, warp
from being_remote.crop_search.finding import FrameSource, StoredCrop
from being_remote.crop_search.picture_difference import mismatch
from being_remote.crop_search.registration import Fit, correlation, register, register_roughly
from being_remote.crop_search.replaced_background import InnerPart

_FEATURE_LENGTH = 1280  # the frame's longer side, when features are looked for
_MAX_FEATURES = 3000
_MIN_MATCHES = 8
_MAX_TURN = 0.02  # of a feature match, radians: no crop of the tracker is turned

_TEMPLATE_LENGTH = 320
_SIZE_STEP = 1.05
_SMALLEST = 12  # pixels of the shrunken picture
_BEST = 4

WIDE = 30  # frames around the expected one that are searched when it shows something else
MIN_SCORE = 0.6
MAX_MISMATCH = 0.04
MIN_PARTS = 6
_BETTER = 0.9  # of what is missing to a score of 1: by how much another frame must fit better
_ELSEWHERE_PX, _AS_GOOD = 2.0, 1.1  # another place, and what counts as fitting there too
_KEPT_BYTES = 256 << 20


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


@dataclass(frozen=True, eq=False)
class PictureView:
    """A stored picture, ready for comparison."""

    stored: StoredCrop
    grey: Picture
    grey32: Grey
    window: Window

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.grey.shape[1], self.grey.shape[0]

    def frame_number(self, offset: int) -> int:
        return self.stored.source_number + offset


def prepare_view(stored: StoredCrop, inner: InnerPart | None = None) -> PictureView:
    """Prepare a stored picture; of one whose background was replaced only the `inner` part counts."""
    grey = grey_of(stored.picture)
    window = content_window(grey)
    if inner is not None:
        window = _around(inner.mask, window)
    return PictureView(stored, grey, grey.astype(np.float32), window)


def _around(mask: NDArray[np.bool_], window: Window) -> Window:
    """The least window that holds what counts."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return Window(0, 0, 0, 0)
    return Window(
        max(window.u0, int(columns[0])),
        max(window.v0, int(rows[0])),
        min(window.u1, int(columns[-1]) + 1),
        min(window.v1, int(rows[-1]) + 1),
        mask,
    )


@dataclass(frozen=True, eq=False)
class Match:
    """A stored picture found in a frame."""

    view: PictureView
    offset: int  # the frame is source_number + offset
    told: bool  # that frame fits better than both its neighbours
    fit: Fit  # the registration
    # see `picture_difference.mismatch`
    parts: int
    mismatch: float

    @property
    def good(self) -> bool:
        return self.parts >= MIN_PARTS and self.mismatch <= MAX_MISMATCH and self.fit.score >= MIN_SCORE


class Frames:
    """The source's frames, the last ones kept, in colour and in grey."""

    def __init__(self, source: FrameSource) -> None:
        self.source = source
        width, height = source.size_wh
        self._most = max(3, _KEPT_BYTES // (4 * width * height))
        self._kept: OrderedDict[int, tuple[Picture, Picture]] = OrderedDict()

    def has(self, number: int) -> bool:
        return 1 <= number <= self.source.count

    def colour(self, number: int) -> Picture:
        """(H, W, 3) BGR."""
        return self._get(number)[0]

    def grey(self, number: int) -> Picture:
        """(H, W)."""
        return self._get(number)[1]

    def _get(self, number: int) -> tuple[Picture, Picture]:
        if number not in self._kept:
            frame = self.source.frame(number)
            self._kept[number] = frame, grey_of(frame)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]


def search_picture(view: PictureView, frames: Frames, *, wide: bool) -> Match | None:
    """Search a picture without knowing where it lies; the best found, which need not be good.

    `wide`: also search frames far from the expected one when that shows something else.
    """
    number = view.stored.source_number
    if view.window.empty or not frames.has(number):
        return None
    best: Match | None = None
    for box in propose_boxes(view.grey, view.window, frames.grey(number)):
        found = _match(view, frames, 0, box)
        if found is not None and (best is None or found.fit.score > best.fit.score):
            best = found
        if best is not None and best.good:
            break
    if best is None:
        return None
    best = _climb_again(view, frames, best)
    if not best.good and wide and best.fit.score > MIN_SCORE / 2:
        far = _far(view, frames, best.fit.box)
        found = None if far is None else _match(view, frames, far, best.fit.box)
        if found is not None and found.fit.score > best.fit.score:
            best = _climb_again(view, frames, found)
    return best


def _climb_again(view: PictureView, frames: Frames, start: Match) -> Match:
    """Move to the best neighbouring frame. Each gets a box of its own, because the camera may move."""
    matches = {start.offset: start}

    def score(offset: int) -> float | None:
        if offset not in matches:
            found = _match(view, frames, offset, start.fit.box)
            if found is None:
                return None
            matches[offset] = found
        return matches[offset].fit.score

    offset, told = _climb(view, frames, score, start.offset)
    return replace(matches[offset], told=told)


def _far(view: PictureView, frames: Frames, box: Box4) -> int | None:
    """The offset of the frame around that fits best, roughly."""
    scores = {}
    for offset in _offsets(view, frames, 0):
        fit = register_roughly(view.grey, view.window, frames.grey(view.frame_number(offset)), box)
        if fit is not None:
            scores[offset] = fit.score
    return _best_offset(scores, 0) if scores else None


def search_near(view: PictureView, frames: Frames, box: Box4, offset: int, *, wide: bool) -> Match | None:
    """The same for a picture whose box is known but for a fraction of a pixel."""
    if view.window.empty or not frames.has(view.frame_number(offset)):
        return None

    def score(offset: int) -> float:
        made = warp(frames.grey(view.frame_number(offset)), box, (0.0, 0.0), view.size_wh)
        return correlation(view.window.counted(view.grey32), view.window.counted(made))

    best, told = _climb(view, frames, score, offset)
    found = _match(view, frames, best, box, near=True)
    if wide and (found is None or not found.good):
        scores = {o: score(o) for o in _offsets(view, frames, offset)}
        best, told = _climb(view, frames, score, _best_offset(scores, offset))
        found = _match(view, frames, best, box, near=True)
    return None if found is None else replace(found, told=told)


def is_repeated(match: Match, frames: Frames) -> bool:
    """Whether another place of the frame fits as well: a pattern that repeats."""
    view, grey = match.view, frames.grey(match.view.frame_number(match.offset))
    for box in find_look_alikes(grey, match.fit.box, view.window, view.size_wh):
        other = register(view.grey, view.window, grey, box)
        if (
            other is not None
            and np.abs(other.box - match.fit.box).max() > _ELSEWHERE_PX
            and 1 - other.score < _AS_GOOD * (1 - match.fit.score) + 1e-4
        ):
            return True
    return False


def _climb(
    view: PictureView, frames: Frames, score: Callable[[int], float | None], start: int
) -> tuple[int, bool]:
    """The offset reached by moving to neighbours that fit better, and whether it beats both its own."""
    scores: dict[int, float] = {}
    best = start
    for _ in range(WIDE):
        for offset in (best, best - 1, best + 1):
            if offset not in scores and frames.has(view.frame_number(offset)):
                found = score(offset)
                scores[offset] = -1.0 if found is None else found
        onwards = _best_offset(scores, best)
        if onwards == best:
            break
        best = onwards
    others = [found for offset, found in scores.items() if offset != best]
    told = bool(others) and all(1 - scores[best] < _BETTER * (1 - other) for other in others)
    return best, told


def _match(view: PictureView, frames: Frames, offset: int, box: Box4, *, near: bool = False) -> Match | None:
    grey = frames.grey(view.frame_number(offset))
    fit = register(view.grey, view.window, grey, box, near=near)
    if fit is None:
        return None
    made = warp(grey, fit.box, (0.0, 0.0), view.size_wh)
    return Match(view, offset, False, fit, *mismatch(view.grey32, made, view.window))


def _offsets(view: PictureView, frames: Frames, centre: int) -> list[int]:
    """All that a wide search asks, ascending, because a video is read forwards."""
    around = range(centre - WIDE, centre + WIDE + 1)
    return [o for o in around if frames.has(view.frame_number(o))]


def _best_offset(scores: dict[int, float], expected: int) -> int:
    """The best, unless the expected one is as good as it."""
    best = max(scores, key=scores.__getitem__)
    if expected in scores and 1 - scores[best] >= _BETTER * (1 - scores[expected]):
        return expected
    return best
