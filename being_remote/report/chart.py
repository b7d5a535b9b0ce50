"""Curves over frames as small multiples, drawn by OpenCV on white paper.

All panels of a drawing share their frames, so that one can be read against another. Frames that are
not there are no line: it breaks, and a mark in the curve's colour at the foot of the panel says where.
A curve that never changes is called constant. Colours are told apart by the colour-blind too
(Okabe and Ito's).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]
Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)  # BGR, all of them
INK: Colour = (34, 30, 28)
QUIET: Colour = (110, 104, 100)
GRID: Colour = (232, 229, 226)
COLOURS: tuple[Colour, ...] = ((178, 114, 0), (0, 94, 213), (115, 158, 0), (167, 121, 204))

WIDTH_PX = 1600
PANEL_HEIGHT_PX = 300
MAX_PANELS = 48
_HEAD, _LEFT, _RIGHT, _TOP, _FOOT = 76, 104, 34, 62, 50
_MARK_PX = 7
_FAR = 1e30  # more than any value that means something; float64 still squares it


@dataclass(frozen=True, eq=False)
class Curve:
    """`values` (N,) at `frame_ids` (N,), ascending; what is not finite is drawn as missing."""

    name: str
    frame_ids: ArrayLike
    values: ArrayLike


@dataclass(frozen=True)
class Panel:
    """Curves on one axis. `dots`: separate measurements, each a dot on a stem, rather than a line."""

    title: str
    unit: str
    curves: tuple[Curve, ...]
    dots: bool = False
    limit: float | None = None


@dataclass(frozen=True)
class _Area:
    """A panel's place on the paper, and how frames and values map to it."""

    x0: int
    y0: int
    x1: int
    y1: int
    frames: tuple[float, float]
    values: tuple[float, float]
    strip: int  # kept free at the foot for the marks of what is missing

    def x(self, frame_id: ArrayLike) -> Floats:
        low, high = self.frames
        return self.x0 + (np.asarray(frame_id, np.float64) - low) / (high - low) * (self.x1 - self.x0)

    def y(self, value: ArrayLike) -> Floats:
        low, high = self.values
        above = (np.asarray(value, np.float64) - low) / (high - low)
        return self.y1 - self.strip - above * (self.y1 - self.strip - self.y0)


def chart(title: str, panels: Sequence[Panel], *, columns: int = 1) -> Picture:
    """The drawing (H, WIDTH_PX, 3) BGR.

    Raises:
        ValueError: no panel, more than MAX_PANELS, or frames and values that do not belong together.
    """
    if not 1 <= len(panels) <= MAX_PANELS:
        raise ValueError(f"a chart has 1 to {MAX_PANELS} panels, got {len(panels)}")
    drawn = [[_arrays(curve) for curve in panel.curves] for panel in panels]
    ids = np.concatenate([ids for curves in drawn for ids, _ in curves] or [np.zeros(0)])
    frames = (float(ids.min()), float(ids.max())) if ids.size else (0.0, 1.0)
    if frames[0] == frames[1]:
        frames = (frames[0] - 0.5, frames[1] + 0.5)
    rows = -(-len(panels) // columns)
    paper = np.full((_HEAD + rows * PANEL_HEIGHT_PX, WIDTH_PX, 3), PAPER, np.uint8)
    write(paper, title, (36, 50), INK, 0.95, width=WIDTH_PX - 72)
    each = WIDTH_PX // columns
    for i, (panel, curves) in enumerate(zip(panels, drawn, strict=True)):
        left, top = i % columns * each, _HEAD + i // columns * PANEL_HEIGHT_PX
        corners = (left + _LEFT, top + _TOP, left + each - _RIGHT, top + PANEL_HEIGHT_PX - _FOOT)
        strip = 0 if panel.dots else _MARK_PX * len(curves) + 4
        area = _Area(*corners, frames, _value_range(panel, [v for _, v in curves]), strip)
        _panel(paper, panel, curves, area)
    return paper


def write(
    paper: Picture, text: str, xy: tuple[float, float], colour: Colour, scale: float, *, width: int = 10_000
) -> int:
    """Put text on the paper, cut to `width` px; returns the width that it takes."""
    # The font knows ASCII only; names may hold anything.
    plain = "".join(c if c.isascii() and c.isprintable() else "?" for c in text[:200])
    shown = plain
    while shown and _text_width(shown, scale) > width:
        plain = plain[:-1]
        shown = plain + "..." if plain else ""
    at = (round(xy[0]), round(xy[1]))
    cv2.putText(paper, shown, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
    return _text_width(shown, scale)


def _text_width(text: str, scale: float) -> int:
    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0])


def runs(frame_ids: Floats, finite: NDArray[np.bool_]) -> list[slice]:
    """Where a curve is unbroken: finite, and no frame left out, by its own smallest step.

    Example:
        >>> runs(np.array([0.0, 10, 20, 50, 60]), np.array([True, True, True, True, False]))
        [slice(0, 3, None), slice(3, 4, None)]
    """
    if not len(frame_ids):
        return []
    steps = np.diff(frame_ids)
    breaks = np.ones(len(frame_ids) + 1, np.bool_)
    if len(steps):
        breaks[1:-1] = (steps > 1.5 * steps.min()) | ~finite[1:] | ~finite[:-1]
    edges = np.flatnonzero(breaks).tolist()
    return [slice(a, b) for a, b in pairwise(edges) if finite[a]]


def _arrays(curve: Curve) -> tuple[Floats, Floats]:
    ids, values = np.asarray(curve.frame_ids, np.float64), np.asarray(curve.values, np.float64)
    if ids.ndim != 1 or ids.shape != values.shape or not np.isfinite(ids).all():
        raise ValueError(f"{curve.name!r}: (N,) frames and (N,) values, got {ids.shape} and {values.shape}")
    if (np.diff(ids) <= 0).any():
        raise ValueError(f"{curve.name!r}: frames must ascend")
    return ids, np.where(np.abs(values) < _FAR, values, np.nan)


def _value_range(panel: Panel, values: list[Floats]) -> tuple[float, float]:
    every = [v[np.isfinite(v)] for v in values]
    if panel.limit is not None:
        every.append(np.array([panel.limit]))
    if panel.dots:
        every.append(np.zeros(1))  # stems stand on zero
    joined = np.concatenate(every) if every else np.zeros(0)
    if not joined.size:
        return 0.0, 1.0
    low, high = float(joined.min()), float(joined.max())
    # A range that is only rounding would draw noise as if it were motion.
    room = 0.08 * (high - low) if high - low > 1e-9 * max(abs(low), abs(high)) else 0.1 * abs(high) or 1.0
    return (low if panel.dots and low == 0 else low - room), high + room


def _panel(paper: Picture, panel: Panel, curves: list[tuple[Floats, Floats]], area: _Area) -> None:
    taken = write(paper, panel.title, (area.x0, area.y0 - 22), INK, 0.68, width=area.x1 - area.x0)
    if panel.unit:
        write(paper, panel.unit, (area.x0 + (taken and taken + 14), area.y0 - 22), QUIET, 0.56)
    _axes(paper, area)
    if panel.limit is not None:
        y = round(float(area.y(panel.limit)))
        for x in range(area.x0, area.x1, 14):
            cv2.line(paper, (x, y), (min(x + 7, area.x1), y), INK, 1, cv2.LINE_AA)
    for i, (ids, values) in enumerate(curves):
        colour = COLOURS[i % len(COLOURS)]
        if panel.dots:
            _stems(paper, area, ids, values, panel.limit)
        else:
            _line(paper, area, ids, values, colour)
            _missing(paper, area, ids, values, colour, i)
    if not panel.dots:
        _legend(paper, panel, curves, area)


def _axes(paper: Picture, area: _Area) -> None:
    for value, text in ticks(*area.values, 4):
        y = round(float(area.y(value)))
        cv2.line(paper, (area.x0, y), (area.x1, y), GRID, 1)
        write(paper, text, (area.x0 - 12 - _text_width(text, 0.5), y + 6), QUIET, 0.5)
    for value, text in ticks(*area.frames, 8 if area.x1 - area.x0 > 900 else 5):
        if value != round(value):
            continue
        x = float(area.x(value))
        cv2.line(paper, (round(x), area.y1), (round(x), area.y1 + 5), QUIET, 1)
        write(paper, text, (x - _text_width(text, 0.5) / 2, area.y1 + 24), QUIET, 0.5)
    cv2.line(paper, (area.x0, area.y1), (area.x1, area.y1), QUIET, 1)


def ticks(low: float, high: float, about: int) -> list[tuple[float, str]]:
    """Round values between `low` and `high`, and how they are written.

    Example:
        >>> ticks(0.0, 838.0, 4)
        [(0.0, '0'), (200.0, '200'), (400.0, '400'), (600.0, '600'), (800.0, '800')]
        >>> [text for _, text in ticks(-0.03, 0.021, 3)]
        ['-0.02', '0.00', '0.02']
    """
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda m: abs(m * power - rough))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    large = max(abs(low), abs(high)) >= 1e6 or decimals > 6
    values = [i * step for i in range(first, last + 1)]
    return [(v, f"{v:.3g}" if large else f"{v + 0.0:.{decimals}f}") for v in values]


def _line(paper: Picture, area: _Area, ids: Floats, values: Floats, colour: Colour) -> None:
    finite = np.isfinite(values)
    thickness = 2 if len(ids) < area.x1 - area.x0 else 1
    points = np.stack([area.x(ids), area.y(np.where(finite, values, area.values[0]))], axis=-1)
    fixed = np.round(points * 16).astype(np.int32)
    for run in runs(ids, finite):
        if run.stop - run.start == 1:
            cv2.circle(paper, fixed[run.start].tolist(), 3 * 16, colour, -1, cv2.LINE_AA, 4)
        else:
            cv2.polylines(paper, [fixed[run]], False, colour, thickness, cv2.LINE_AA, 4)


def _missing(paper: Picture, area: _Area, ids: Floats, values: Floats, colour: Colour, row: int) -> None:
    """Marks at the foot, where the curve is not; never too narrow to be seen."""
    there = runs(ids, np.isfinite(values))
    starts = [area.frames[0], *(ids[r.stop - 1] for r in there)]
    ends = [*(ids[r.start] for r in there), area.frames[1]]
    y = area.y1 - 4 - _MARK_PX * row
    for start, end in zip(starts, ends, strict=True):
        if end <= start:
            continue
        a, b = round(float(area.x(start))), round(float(area.x(end)))
        cv2.rectangle(paper, (a, y - 2), (max(b, a + 2), y + 2), colour, -1)


def _stems(paper: Picture, area: _Area, ids: Floats, values: Floats, limit: float | None) -> None:
    foot = round(float(area.y(max(0.0, area.values[0]))))
    radius = 5 if len(ids) < 200 else 2
    for x, value in zip(area.x(ids), values, strict=True):
        colour = COLOURS[1] if limit is not None and not value <= limit else COLOURS[0]
        if not np.isfinite(value):
            write(paper, "x", (x - 5, foot - 6), colour, 0.5)
            continue
        top = (round(float(x)), round(float(area.y(value))))
        cv2.line(paper, (top[0], foot), top, colour, 1, cv2.LINE_AA)
        cv2.circle(paper, top, radius, colour, -1, cv2.LINE_AA)


def _legend(paper: Picture, panel: Panel, curves: list[tuple[Floats, Floats]], area: _Area) -> None:
    """Names from the right, in their colours, above the panel."""
    x = float(area.x1)
    for i in reversed(range(len(curves))):
        values = curves[i][1][np.isfinite(curves[i][1])]
        constant = values.size > 1 and values.min() == values.max()
        name = panel.curves[i].name[:24] + (" (constant)" if constant else "")
        x -= _text_width(name, 0.54)
        write(paper, name, (x, area.y0 - 22), COLOURS[i % len(COLOURS)], 0.54)
        x -= 26
