"""The discrete check: the crop made again at whole numbers around an estimate, and which fits best."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import cv2
import numpy as np

from being_remote.crop_search.crop_rendering import Grey, Picture, Window
from being_remote.crop_search.finding import ScoreLattice
from being_remote.crop_search.registration import correlation

Whole = tuple[int, int, int, int]  # side_x, side_y, origin_x, origin_y
Material = tuple[Grey, Window, Picture]  # a stored grey picture, what of it counts, its frame
HERE: Whole = (0, 0, 0, 0)

_SIDE_STEPS = (-4, -2, 0, 2, 4)
_SHIFTS_PX = (-3, -2, -1, 0, 1, 2, 3)
_MAX_MOVES = 6


@cache
def steps() -> tuple[Whole, ...]:
    """The nearest other boxes: one axis changed, or both alike.

    Along one axis the hardest to tell apart move one end of the box only, or both ends apart. The
    tracker pads to a square but for one pixel, so the sides never differ by more.
    """
    axis = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, -1), (-1, 1), (2, -1), (-2, 1)]
    found = []
    for side_x, origin_x in axis:
        for side_y, origin_y in axis:
            still = (side_x, origin_x) == (0, 0) or (side_y, origin_y) == (0, 0)
            alike = side_x == side_y
            if (still and abs(side_x - side_y) <= 1) or (alike and side_x):
                found.append((side_x, side_y, origin_x, origin_y))
    return tuple(step for step in found if step != HERE)


def score(stored: Grey, window: Window, frame: Picture, box: Whole) -> float:
    """Correlation of a stored grey picture and a frame's crop by that box, where it shows the frame."""
    made = _grey_crop(frame, box, (stored.shape[1], stored.shape[0]))
    return correlation(window.counted(stored), window.counted(made))


def _grey_crop(frame: Picture, box: Whole, size_wh: tuple[int, int]) -> Grey:
    """As the tracker's crop, but without regard to what is padding: beyond the frame there is black."""
    side_x, side_y, origin_x, origin_y = box
    height, width = frame.shape
    x0, x1 = max(origin_x, 0), min(origin_x + side_x, width)
    y0, y1 = max(origin_y, 0), min(origin_y + side_y, height)
    part: Any = frame[y0:y1, x0:x1]
    if part.shape != (side_y, side_x):
        right, below = origin_x + side_x - x1, origin_y + side_y - y1
        part = cv2.copyMakeBorder(
            part, y0 - origin_y, below, x0 - origin_x, right, cv2.BORDER_CONSTANT, value=0
        )
    return np.asarray(cv2.resize(part, size_wh, interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def moved(box: Whole, step: Whole) -> Whole:
    return (box[0] + step[0], box[1] + step[1], box[2] + step[2], box[3] + step[3])


def _steps_from(box: Whole) -> list[Whole]:
    """Those that lead to a box which the tracker's padding can make."""
    return [step for step in steps() if abs(box[0] + step[0] - box[1] - step[1]) <= 1]


def runner_up(stored: Grey, window: Window, frame: Picture, box: Whole) -> tuple[Whole, float]:
    """The step to the best other box, and how much lower it scores; negative if it is the better one."""
    here = score(stored, window, frame, box)
    scores = {step: score(stored, window, frame, moved(box, step)) for step in _steps_from(box)}
    best = max(scores, key=scores.__getitem__)
    return best, here - scores[best]


def top(pictures: Iterable[Material], box: Whole) -> Whole:
    """The box whose scores, summed over pictures and frames, no neighbour exceeds."""
    material = list(pictures)

    def total(at: Whole) -> float:
        return sum(score(stored, window, frame, at) for stored, window, frame in material)

    here = total(box)
    for _ in range(_MAX_MOVES):
        scores = {step: total(moved(box, step)) for step in _steps_from(box)}
        best = max(scores, key=scores.__getitem__)
        if scores[best] <= here:
            break
        box, here = moved(box, best), scores[best]
    return box


def around(stored: Grey, window: Window, frame: Picture, box: Whole) -> ScoreLattice:
    """Scores over sides and shifts, for a picture of the evidence."""
    scores = np.empty((len(_SIDE_STEPS), len(_SHIFTS_PX), len(_SHIFTS_PX)))
    for k, side in enumerate(_SIDE_STEPS):
        for j, down in enumerate(_SHIFTS_PX):
            for i, across in enumerate(_SHIFTS_PX):
                step = (side, side, across - side // 2, down - side // 2)
                scores[k, j, i] = score(stored, window, frame, moved(box, step))
    return ScoreLattice(_SIDE_STEPS, _SHIFTS_PX, scores)
