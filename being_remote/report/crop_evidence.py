"""The picture of the evidence for a crop: the stored crop, the crop made again, and what differs.

Below them the scores of the crops around the one found, over its place and over its side, and the
grade with its figures in words. Every scale is named in the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from being_remote.crop_search.finding import ScoreLattice
from being_remote.report.pictures import Colour, Picture, put_text, text_width

Floats = NDArray[np.float64]
Area = tuple[int, int, int, int]  # x, y, width, height

CANVAS: Colour = (38, 34, 31)  # BGR, all of them
PANEL: Colour = (54, 48, 44)
TEXT: Colour = (240, 240, 240)
FAINT: Colour = (168, 160, 152)
MARK: Colour = (255, 190, 70)  # on no scale of heat
GRADES: dict[str, Colour] = {
    "exact": (110, 190, 90),
    "verified": (150, 180, 60),
    "estimated": (60, 170, 235),
    "landmark": (60, 140, 235),
    "unknown": (80, 80, 225),
}
SIDE = 460  # of the upper panels
_MARGIN, _GAP, _HEAD, _CAPTION, _LOWER = 36, 28, 92, 40, 424
_BAR = 14
_WIDTH = 2 * _MARGIN + 3 * SIDE + 2 * _GAP
_HEIGHT = _HEAD + _CAPTION + SIDE + 56 + _CAPTION + _LOWER + _MARGIN


@dataclass(frozen=True, eq=False)
class CropEvidence:
    """A stored crop, the crop made again, and what is known of the two."""

    title: str  # which run and frame
    grade: str  # one of `GRADES`, or another word
    # (h, w, 3) uint8 BGR of one size: the tracker's picture and the crop made again
    stored: Picture
    made: Picture
    figures: Sequence[str]  # what is known of the crop and how well, a line each; long ones are broken
    scores: ScoreLattice | None  # None where no whole-number crops were compared


def draw(shown: CropEvidence) -> Picture:
    """The evidence (H, W, 3) BGR, of one size whatever is shown."""
    picture = np.full((_HEIGHT, _WIDTH, 3), CANVAS, np.uint8)
    _head(picture, shown)
    y = _HEAD + _CAPTION
    lefts = [_MARGIN + k * (SIDE + _GAP) for k in range(3)]
    for x, part, words in (
        (lefts[0], shown.stored, "stored by the tracker"),
        (lefts[1], shown.made, "made again from the original frame"),
    ):
        _text(picture, words, (x, y - 14), TEXT)
        _put(picture, part, (x, y, SIDE, SIDE))
    _difference(picture, shown, (lefts[2], y, SIDE, SIDE))
    lower = y + SIDE + 56 + _CAPTION
    words_area = (_MARGIN, lower, _WIDTH - 2 * _MARGIN, _LOWER)
    if shown.scores is not None:
        _heat_map(picture, shown.scores, (lefts[0], lower, SIDE, _LOWER))
        _curve(picture, shown.scores, (lefts[1], lower, SIDE, _LOWER))
        words_area = (lefts[2], lower, SIDE, _LOWER)
    _figures(picture, shown.figures, words_area)
    return picture


def _head(picture: Picture, shown: CropEvidence) -> None:
    colour = GRADES.get(shown.grade, FAINT)
    size = text_width(shown.grade, 0.9)
    x, y = _MARGIN, 28
    cv2.rectangle(picture, (x, y), (x + size + 32, y + 44), colour, -1, cv2.LINE_AA)
    _text(picture, shown.grade, (x + 16, y + 31), (20, 20, 20), 0.9, 2)
    _text(picture, shown.title, (x + size + 54, y + 31), TEXT, 0.8)


def _put(picture: Picture, part: Picture, area: Area) -> None:
    """A picture as large as the area allows, its pixels kept sharp when enlarged."""
    x, y, width, height = area
    cv2.rectangle(picture, (x, y), (x + width - 1, y + height - 1), PANEL, -1)
    fitted = _fit(part, width, height)
    left, top = x + (width - fitted.shape[1]) // 2, y + (height - fitted.shape[0]) // 2
    picture[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted


def _fit(part: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    scale = min(width / part.shape[1], height / part.shape[0])
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    return cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)


def _difference(picture: Picture, shown: CropEvidence, area: Area) -> None:
    """The largest of the channels' absolute differences, on a scale that its bar names."""
    x, y, width, height = area
    levels = cv2.absdiff(shown.stored, shown.made).max(axis=2)
    top = next(t for t in (8, 16, 32, 64, 128, 255) if np.quantile(levels, 0.999) <= t)
    words = "difference, the largest of the channels" if levels.any() else "difference: none, pixel for pixel"
    _text(picture, words, (x, y - 14), TEXT)
    shades = np.minimum(levels.astype(np.float64) / top, 1) * 255
    # Coloured last: the mean of two colours of a scale is not on the scale.
    small = _fit(shades.astype(np.float32), width, height)
    _put(picture, _coloured(small / 255), area)
    note = f"mean {levels.mean():.2f}, largest {levels.max()}"
    _scale_bar(picture, (x, y + height + 12, width, _BAR), "0", f"{top} levels of 255", note)


def _heat_map(picture: Picture, scores: ScoreLattice, area: Area) -> None:
    """The score over the crop's place, at the side found."""
    x, y, width, height = area
    _text(picture, "score over the crop's place", (x, y - 14), TEXT)
    values = scores.scores[list(scores.side_steps).index(0)]
    low, high = _range(values)
    count = len(scores.shifts_px)
    cell = min(width - 60, height - 84) // count
    left, top = x + 60, y
    colours = _coloured((values - low) / (high - low))
    for row, column in np.ndindex(count, count):
        a = (left + column * cell, top + row * cell)
        cv2.rectangle(picture, a, (a[0] + cell - 2, a[1] + cell - 2), colours[row, column].tolist(), -1)
    best = np.unravel_index(int(values.argmax()), values.shape)
    a = (left + int(best[1]) * cell, top + int(best[0]) * cell)
    cv2.rectangle(picture, (a[0] - 1, a[1] - 1), (a[0] + cell - 1, a[1] + cell - 1), MARK, 3)
    for k, shift in enumerate(scores.shifts_px):
        middle = k * cell + cell // 2
        _text(picture, _step(shift), (left + middle, top + count * cell + 20), FAINT, 0.45, at=0.5)
        _text(picture, _step(shift), (left - 10, top + middle + 5), FAINT, 0.45, at=1)
    _text(picture, "y, px", (x, top + 14), FAINT, 0.45)
    _text(picture, "x, px", (left + count * cell + 8, top + count * cell + 20), FAINT, 0.45)
    bar = (left, y + height - 34, count * cell, _BAR)
    _scale_bar(picture, bar, f"{low:.5f}", f"{high:.5f}", "")


def _curve(picture: Picture, scores: ScoreLattice, area: Area) -> None:
    """The best score at each side."""
    x, y, width, height = area
    _text(picture, "best score over the crop's side", (x, y - 14), TEXT)
    best = scores.scores.max(axis=(1, 2))
    low, high = _range(best)
    left, top, right, bottom = x + 76, y + 14, x + width - 12, y + height - 62
    cv2.rectangle(picture, (left, y), (x + width - 1, bottom + 14), PANEL, -1)
    steps = np.asarray(scores.side_steps, dtype=np.float64)
    span = max(float(np.ptp(steps)), 1.0)
    across = left + 14 + (steps - steps.min()) / span * (right - left - 14)
    down = bottom - (best - low) / (high - low) * (bottom - top)
    for share in (0, 0.5, 1):
        line = round(bottom - share * (bottom - top))
        cv2.line(picture, (left, line), (x + width - 1, line), (78, 70, 64), 1)
        _text(picture, f"{low + share * (high - low):.5f}", (left - 8, line + 5), FAINT, 0.42, at=1)
    points = np.stack([across, down], axis=1)
    cv2.polylines(picture, [np.round(points * 16).astype(np.int32)], False, TEXT, 2, cv2.LINE_AA, 4)
    for k, (point, step) in enumerate(zip(points, steps, strict=True)):
        top_one = k == int(best.argmax())
        centre = (round(float(point[0]) * 16), round(float(point[1]) * 16))
        cv2.circle(picture, centre, (8 if top_one else 5) * 16, MARK if top_one else TEXT, -1, cv2.LINE_AA, 4)
        _text(picture, _step(int(step)), (round(float(point[0])), bottom + 34), FAINT, 0.45, at=0.5)
    _text(picture, "added to the side, px", ((left + right) // 2, bottom + 58), FAINT, 0.45, at=0.5)


def _figures(picture: Picture, figures: Sequence[str], area: Area) -> None:
    x, y, width, height = area
    _text(picture, "what is known", (x, y - 14), TEXT)
    cv2.rectangle(picture, (x, y), (x + width - 1, y + height - 1), PANEL, -1)
    line, at = 25, y + 32
    for figure in figures:
        for k, words in enumerate(_broken(figure, width - 36)):
            if at > y + height - 10:
                return
            _text(picture, words, (x + 18 + (14 if k else 0), at), TEXT, 0.52)
            at += line
        at += 5


def _broken(words: str, width: int) -> list[str]:
    """Words in lines that fit; the lines after the first are set in a little."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, 0.52) > width - (14 if len(lines) > 1 else 0):
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _scale_bar(picture: Picture, area: Area, low: str, high: str, note: str) -> None:
    x, y, width, height = area
    shades = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
    picture[y : y + height, x : x + width] = _coloured(shades)
    _text(picture, low, (x, y + height + 18), FAINT, 0.45)
    _text(picture, high, (x + width, y + height + 18), FAINT, 0.45, at=1)
    _text(picture, note, (x + width // 2, y + height + 18), TEXT, 0.45, at=0.5)


def _range(values: Floats) -> tuple[float, float]:
    """Lowest and highest, apart even where all are equal."""
    low, high = float(values.min()), float(values.max())
    return (low, high) if high - low > 1e-9 else (low - 1e-5, high)


def _step(pixels: int) -> str:
    return f"{pixels:+d}" if pixels else "0"


def _coloured(shares: NDArray[np.floating[Any]]) -> Picture:
    """Shares of a scale -> its colours."""
    whole = np.clip(np.round(shares * 255), 0, 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(whole, cv2.COLORMAP_INFERNO), dtype=np.uint8)


def _text(
    picture: Picture,
    words: str,
    xy: tuple[int, int],
    colour: Colour,
    scale: float = 0.58,
    thickness: int = 1,
    *,
    at: float = 0,
) -> None:
    """Words from `xy` on, their baseline there; `at` 0.5 centres them on it and 1 lets them end there."""
    start = (xy[0] - round(at * text_width(words, scale)), xy[1])
    put_text(picture, words, start, colour, scale, thickness)
