"""From an estimate to whole numbers, where the pixels prove them, and the evidence of each picture.

The crop is made again at whole numbers around the estimate, and what fits best is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from being_remote.camera.crop import Crop
from being_remote.camera.free_crop import FreeCrop, free_crop
from being_remote.crop_search.crop_rendering import (
    Box4,
    Grey,
    Picture,
    Window,
    find_bars,
    make_crop,
    warp,
    whole_crops,
)
from being_remote.crop_search.finding import FrameEvidence, ScoreLattice
from being_remote.crop_search.picture_consensus import Consensus
from being_remote.crop_search.picture_difference import pixels_equal, residual
from being_remote.crop_search.picture_matching import Frames, Match
from being_remote.crop_search.registration import correlation

Whole = tuple[int, int, int, int]  # side_x, side_y, origin_x, origin_y
Material = tuple[Grey, Window, Picture]  # a stored grey picture, what of it counts, its frame
HERE: Whole = (0, 0, 0, 0)

_SIDE_STEPS = (-4, -2, 0, 2, 4)
_SHIFTS_PX = (-3, -2, -1, 0, 1, 2, 3)
_MAX_MOVES = 6

NEAR_PX = 0.15  # how near to whole numbers an estimate must be
_TOLD = 1.02  # a padding must fit this much worse than another to be out of question
_BLACK = 12.0  # levels: what codecs leave in a bar; content is brighter


def make_whole(found: Consensus, frames: Frames) -> Crop:
    """The whole crop that the pictures agree on; a `FreeCrop` where the estimate is not whole."""
    box = whole_box(found.box)
    if box is not None and best_box(_material(found.matches[:3], frames), box) == box:
        crops = list(
            whole_crops(box, frames.source.size_wh, found.matches[0].view.size_wh, bars_of(found.matches))
        )
        if crops:
            crop = _padded_right(crops, found.matches[:3], frames)
            # A frame whose border was cut off lacks what the pictures show where this crop has bars.
            if all(_black(m.view.grey, crop, m.view.window.mask) for m in found.matches):
                return crop
    return free_crop_of(found.box, found.matches, frames.source.size_wh)


def free_crop_of(box: Box4, matches: Sequence[Match], source_size_wh: tuple[int, int]) -> FreeCrop:
    """The crop of an estimate, padded as the bars of these pictures show; ValueError outside the frame."""
    width, height, x, y = (float(n) for n in box)
    pad_x, pad_y = (float(n) for n in np.multiply(bars_of(matches), (width, height)))
    size_wh = matches[0].view.size_wh
    return free_crop((width, height), (x, y), source_size_wh, size_wh, (pad_x, pad_y))


def whole_box(box: Box4) -> Whole | None:
    """The whole numbers that an estimate is near enough to.

    Example:
        >>> whole_box(np.array([899.93, 900.04, 510.1, 90.0]))
        (900, 900, 510, 90)
    """
    nearest = np.round(box)
    if (np.abs(box - nearest) > NEAR_PX).any():
        return None
    side_x, side_y, origin_x, origin_y = (int(n) for n in nearest)
    return side_x, side_y, origin_x, origin_y


def box_of_crop(crop: Crop) -> Box4:
    return np.array([*crop.padded_size_wh, *crop.origin], dtype=np.float64)


def bars_of(matches: Sequence[Match]) -> tuple[float, float]:
    """How wide the bars are that all pictures have on both sides, as fractions of their sides."""
    if any(m.view.window.mask is not None for m in matches):
        return 0.0, 0.0  # a black background looks like bars
    seen = np.array([find_bars(m.view.grey) for m in matches]).min(0)
    width, height = matches[0].view.size_wh
    return min(seen[0], seen[2]) / width, min(seen[1], seen[3]) / height


def compare_with_crop(match: Match, frames: Frames, crop: Crop, *, agrees: bool) -> FrameEvidence:
    """How one picture and the crop made again of its frame compare."""
    number = match.view.frame_number(match.offset)
    colour, view = frames.colour(number), match.view
    made = make_any_crop(colour, crop)
    box = whole_box(box_of_crop(crop))
    step, margin = HERE, 0.0
    if box is not None and agrees:
        step, margin = runner_up(view.grey32, view.window, frames.grey(number), box)
    same = pixels_equal(view.stored.picture, made, view.window.mask)
    if same and box is not None and agrees and _also_equal(match, frames, move_box(box, step)):
        margin = 0.0
    off = match.fit.box - box_of_crop(crop)
    return FrameEvidence(
        frame_id=view.stored.frame_id,
        source_number=view.stored.source_number,
        agrees=agrees,
        frame_offset=match.offset,
        offset_told=match.told,
        equal=same,
        residual=residual(view.stored.picture, made, view.window),
        score=match.fit.score,
        margin=margin,
        runner_up=step,
        step_px=(float(off[0]), float(off[1]), float(off[2]), float(off[3])),
        mismatch=match.mismatch,
    )


def make_any_crop(frame: Picture, crop: Crop) -> Picture:
    """The crop of a BGR frame, also where its map is not whole."""
    if not isinstance(crop, FreeCrop):
        return make_crop(frame, crop)
    channels = [warp(frame[..., c], box_of_crop(crop), (0.0, 0.0), crop.image_size_wh) for c in range(3)]
    return np.asarray(np.clip(np.dstack(channels) + 0.5, 0, 255).astype(np.uint8))


def _padded_right(crops: Sequence[Crop], matches: Sequence[Match], frames: Frames) -> Crop:
    """The first of the crops, all of one map, whose padding no other's fits clearly better than."""
    errors = []
    for crop in crops:
        pairs = [(m.view, frames.colour(m.view.frame_number(m.offset))) for m in matches]
        errors.append(
            np.mean([_difference(v.stored.picture, make_crop(f, crop), v.window.mask) for v, f in pairs])
        )
    return next(c for c, e in zip(crops, errors, strict=True) if e <= _TOLD * min(errors) + 1e-3)


def _black(stored: Picture, crop: Crop, mask: NDArray[np.bool_] | None) -> bool:
    """Whether the picture is black where the crop has its bars; of a replaced background nothing is known."""
    if mask is not None:
        stored = np.where(mask, stored, 0).astype(np.uint8)
    width, height = crop.image_size_wh
    across, down = (
        round(pad / scale) for pad, scale in ((crop.pad_x, crop.scale_x), (crop.pad_y, crop.scale_y))
    )
    strips = stored[:down], stored[height - down :], stored[:, :across], stored[:, width - across :]
    return all(not strip.size or float(strip.mean()) <= _BLACK for strip in strips)


def _difference(a: NDArray[np.uint8], b: NDArray[np.uint8], mask: NDArray[np.bool_] | None) -> float:
    difference = np.abs(a.astype(np.int16) - b)
    return float(difference.mean() if mask is None else difference[mask].mean())


def _also_equal(match: Match, frames: Frames, box: Whole) -> bool:
    """Whether a second box gives the stored pixels too, as it does where a picture is flat."""
    crops = whole_crops(box, frames.source.size_wh, match.view.size_wh, (0.0, 0.0))
    frame = frames.colour(match.view.frame_number(match.offset))
    mask = match.view.window.mask
    return any(pixels_equal(match.view.stored.picture, make_crop(frame, crop), mask) for crop in crops)


def _material(matches: Sequence[Match], frames: Frames) -> list[Material]:
    return [(m.view.grey32, m.view.window, frames.grey(m.view.frame_number(m.offset))) for m in matches]


@cache
def steps() -> tuple[Whole, ...]:
    """The nearest other boxes: one axis changed, or both alike.

    Along one axis the hardest to distinguish move one end of the box only, or both ends apart. The
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


def score_box(stored: Grey, window: Window, frame: Picture, box: Whole) -> float:
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


def move_box(box: Whole, step: Whole) -> Whole:
    return (box[0] + step[0], box[1] + step[1], box[2] + step[2], box[3] + step[3])


def _possible_steps(box: Whole) -> list[Whole]:
    """Those that lead to a box which the tracker's padding can make."""
    return [step for step in steps() if abs(box[0] + step[0] - box[1] - step[1]) <= 1]


def runner_up(stored: Grey, window: Window, frame: Picture, box: Whole) -> tuple[Whole, float]:
    """The step to the best other box, and how much lower it scores; negative if it is the better one."""
    own_score = score_box(stored, window, frame, box)
    scores = {step: score_box(stored, window, frame, move_box(box, step)) for step in _possible_steps(box)}
    best = max(scores, key=scores.__getitem__)
    return best, own_score - scores[best]


def best_box(pictures: Sequence[Material], box: Whole) -> Whole:
    """The box whose scores, summed over pictures and frames, no neighbour exceeds."""

    def total(at: Whole) -> float:
        return sum(score_box(stored, window, frame, at) for stored, window, frame in pictures)

    own_score = total(box)
    for _ in range(_MAX_MOVES):
        scores = {step: total(move_box(box, step)) for step in _possible_steps(box)}
        best = max(scores, key=scores.__getitem__)
        if scores[best] <= own_score:
            break
        box, own_score = move_box(box, best), scores[best]
    return box


def score_lattice(stored: Grey, window: Window, frame: Picture, box: Whole) -> ScoreLattice:
    """Scores over sides and shifts, for a picture of the evidence."""
    scores = np.empty((len(_SIDE_STEPS), len(_SHIFTS_PX), len(_SHIFTS_PX)))
    for k, side in enumerate(_SIDE_STEPS):
        for j, down in enumerate(_SHIFTS_PX):
            for i, across in enumerate(_SHIFTS_PX):
                step = (side, side, across - side // 2, down - side // 2)
                scores[k, j, i] = score_box(stored, window, frame, move_box(box, step))
    return ScoreLattice(_SIDE_STEPS, _SHIFTS_PX, scores)
