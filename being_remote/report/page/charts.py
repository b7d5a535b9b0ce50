"""A chart of curves as positions in an inline SVG, which the page's template draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from being_remote.report.curves import Curve, Panel, Span, frame_range, value_range

WIDTH, HEIGHT = 1000, 220  # of a panel's viewBox
LEFT, RIGHT, TOP, FOOT = 72, 988, 10, 188
MARK_HEIGHT = 7

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SvgCurve:
    """One curve: its path, and (x, width) of the marks where it has no value, at height `mark_y`."""

    label: str
    path: str
    marks: tuple[tuple[float, float], ...]
    mark_y: float


@dataclass(frozen=True)
class SvgPanel:
    """One panel; ticks are (position, text)."""

    title: str
    unit: str
    curves: tuple[SvgCurve, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def lay_out_panels(panels: Sequence[Panel]) -> list[SvgPanel]:
    """The positions of everything in these panels, which share their frames."""
    frames = frame_range(panels)
    return [_lay_out(panel, frames) for panel in panels]


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


def _lay_out(panel: Panel, frames: Span) -> SvgPanel:
    values, bottom = value_range(panel), FOOT - MARK_HEIGHT * len(panel.curves) - 4

    def x(frame_ids: Floats) -> Floats:
        return LEFT + (frame_ids - frames[0]) / (frames[1] - frames[0]) * (RIGHT - LEFT)

    def y(given: Floats) -> Floats:
        return bottom - (given - values[0]) / (values[1] - values[0]) * (bottom - TOP)

    def lay_out_curve(curve: Curve, row: int) -> SvgCurve:
        xs, ys = x(curve.frame_ids), y(curve.values)
        path = "".join(_path(xs[piece], ys[piece]) for piece in curve.segments(frames))
        spans = x(np.array(curve.missing(frames)).reshape(-1, 2)).round(1).tolist()
        marks = tuple((start, round(end - start, 1)) for start, end in spans)
        return SvgCurve(curve.label, path, marks, FOOT - 6 - MARK_HEIGHT * row)

    return SvgPanel(
        panel.title,
        panel.unit,
        tuple(lay_out_curve(curve, row) for row, curve in enumerate(panel.curves)),
        tuple((round(float(x(np.float64(v))), 1), t) for v, t in ticks(*frames, 8) if v == round(v)),
        tuple((round(float(y(np.float64(v))), 1), t) for v, t in ticks(*values, 4)),
    )


def _path(xs: Floats, ys: Floats) -> str:
    if len(xs) == 1:
        return f"M{xs[0]:.1f} {ys[0]:.1f}h0"  # a dot, by its round ends
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(xs, ys, strict=True))
