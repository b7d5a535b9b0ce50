"""The page as HTML: its numbers in words, its charts as SVG, one file that needs no network."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from being_remote.camera.intrinsics import fov_deg, to_opencv_pixels
from being_remote.foreign_text import printable
from being_remote.report.crop_diagram import lay_out_crop
from being_remote.report.curves import Curve, Panel, Span, frame_range, value_range
from being_remote.report.page.values import MAX_ROWS, Cell, Page, Table

WIDTH, HEIGHT = 1000, 220  # of a panel's viewBox
LEFT, RIGHT, TOP, FOOT = 72, 988, 10, 188
MARK_HEIGHT = 7
Floats = NDArray[np.float64]


def cell_text(value: Cell, decimals: int = 3) -> str:
    """A table's value for people; what is not known is a dash.

    Example:
        >>> cell_text(0.99951, 4), cell_text(838), cell_text(None), cell_text(True)
        ('0.9995', '838', '–', 'yes')
        >>> cell_text(1e12), cell_text(2e-7)
        ('1.000e+12', '2.000e-07')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    lost = value != 0 and abs(value) < 10.0**-decimals
    return f"{value:.{decimals}e}" if lost or abs(value) >= 1e9 else f"{value:.{decimals}f}"


def matrix_text(value: float) -> str:
    """An entry of K: four decimals, but plain 0 and 1 where it is exactly that."""
    return f"{value:g}" if value in (0.0, 1.0) else cell_text(float(value), 4)


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


def html(page: Page) -> bytes:
    """The page as one self-contained UTF-8 file.

    Raises:
        ValueError: a picture is neither JPEG nor PNG, or K is not (3, 3).
    """
    style, script = _part("page.css"), _part("page.js")
    text = _template().render(
        page=page,
        style=style,
        script=script,
        policy=_policy(style, script),
        before=_camera(page.K_crop, page.crop.image_size_wh),
        after=_camera(page.K_source, page.crop.source_size_wh),
        drawn=lay_out_crop(page.crop, page.K_crop, page.K_source),
        charts=[(chart, lay_out_panels(chart.panels)) for chart in page.charts],
        tables=[(table, *_shown_rows(table)) for table in page.checks],
        copyables=_camera_copyables(page),
    )
    return text.encode("utf-8")


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)};"
        " base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode() + "'"


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_make_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(cell=cell_text, entry=matrix_text, data_uri=_data_uri)
    return environment.from_string(_part("page.html"))


def _make_printable(value: Any) -> Any:
    return value if hasattr(value, "__html__") else printable(str(value))  # our own markup has it


def _data_uri(picture: bytes) -> str:
    for kind, start in (("jpeg", b"\xff\xd8\xff"), ("png", b"\x89PNG\r\n\x1a\n")):
        if picture.startswith(start):
            return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
    raise ValueError("a page's pictures are JPEG or PNG files")


def _camera(K: Floats, size_wh: tuple[int, int]) -> dict[str, Any]:
    return {"size_wh": size_wh, "fov_deg": fov_deg(K, size_wh), "K": K, "K_opencv": to_opencv_pixels(K)}


def _shown_rows(table: Table) -> tuple[list[tuple[int, bool]], int]:
    """Which rows are shown, as (index, doubtful), and how many are not: the doubtful ones last to go."""
    order = sorted(range(len(table.rows)), key=lambda i: i not in table.doubtful)
    shown = sorted(order[:MAX_ROWS])
    return [(i, i in table.doubtful) for i in shown], len(table.rows) - len(shown)


def _camera_copyables(page: Page) -> dict[str, str]:
    """Lines of text that people paste elsewhere, by their labels."""
    K, crop = page.K_source, page.crop
    pinhole = " ".join(repr(float(K[i])) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return {
        "K, original frames, corner convention": json.dumps(K.tolist()),
        "K, original frames, OpenCV": json.dumps(to_opencv_pixels(K).tolist()),
        "K, the tracker's images, corner convention": json.dumps(page.K_crop.tolist()),
        "fx fy cx cy, as COLMAP's PINHOLE has them": pinhole,
        "crop: x_min, x_max, y_min, y_max": json.dumps([crop.x_min, crop.x_max, crop.y_min, crop.y_max]),
    }
