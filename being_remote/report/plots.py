"""PNG files for people who live in a terminal: curves over frames, and the camera before and after.

Needs matplotlib, the extra `plots`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from being_remote.camera.crop import Crop
from being_remote.errors import UsageError
from being_remote.foreign_text import printable
from being_remote.report.crop_diagram import lay_out_crop
from being_remote.report.curves import COLOURS, Panel, Span, frame_range, value_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN, PANEL_HEIGHT_IN = 16.0, 3.0
INK, QUIET, GRID = "#1c1e22", "#64686e", "#e2e5e8"


def check_matplotlib() -> None:
    """Raise UsageError where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise UsageError(
            "PNG plots need matplotlib, which is not installed",
            where="--plot",
            hint="pip install 'being-remote[plots]'",
        )


def plot_panels(title: str, panels: Sequence[Panel], *, columns: int = 1) -> bytes:
    """Curves over frames as small multiples that share their frames, as a PNG file.

    Frames without a value are a gap in the line and a mark at the foot of the panel.

    Raises:
        UsageError: matplotlib is not installed.
    """
    check_matplotlib()
    rows, frames = -(-len(panels) // columns), frame_range(panels)
    figure = _new_figure(title, rows * PANEL_HEIGHT_IN + 0.8)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    with _ignore_missing_glyphs():
        for panel, ax in zip(panels, axes, strict=False):
            _plot_panel(ax, panel, frames)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    return _png(figure)


def plot_intrinsics(
    title: str, crop: Crop, K_crop: NDArray[np.float64], K_source: NDArray[np.float64]
) -> bytes:
    """The tracker's image beside the original frame, with crop, centres and principal points, as a PNG file.

    Args:
        K_crop, K_source: (3, 3) corner convention.

    Raises:
        UsageError: matplotlib is not installed.
    """
    check_matplotlib()
    diagram = lay_out_crop(crop, K_crop, K_source)
    view = diagram.view
    height_in = min(max(WIDTH_IN * view.height / view.width, 3.0), WIDTH_IN) + 2.6
    figure = _new_figure(title, height_in)
    ax = figure.add_subplot()
    ax.set_xlim(view.x, view.x + view.width)
    ax.set_ylim(view.y + view.height, view.y)
    ax.set_aspect("equal")
    ax.set_axis_off()
    rects = [(diagram.frame, QUIET, "-"), (diagram.used, COLOURS[1], "-"), (diagram.image, COLOURS[1], "-")]
    rects += [(diagram.padded, COLOURS[1], "--")] if diagram.padded is not None else []
    for rect, colour, style in rects:
        xs = [rect.x, rect.x + rect.width, rect.x + rect.width, rect.x, rect.x]
        ys = [rect.y, rect.y, rect.y + rect.height, rect.y + rect.height, rect.y]
        ax.plot(xs, ys, style, color=colour, linewidth=1.2 if rect is diagram.padded else 2)
    for (x0, y0), (x1, y1) in diagram.links:
        ax.plot([x0, x1], [y0, y1], color=COLOURS[1], linewidth=1)
    for x, y in (diagram.image.centre, diagram.frame.centre):
        ax.plot(x, y, "+", color=INK, markersize=18, markeredgewidth=2)
    for point in filter(None, (diagram.principal_image, diagram.principal_frame)):
        ax.plot(*point, "o", color=COLOURS[0], markersize=16, markeredgewidth=3, fillstyle="none")
    cameras = (("before", crop.image_size_wh, K_crop), ("after", crop.source_size_wh, K_source))
    for x, (name, (w, h), K) in zip((0.02, 0.52), cameras, strict=True):
        figure.text(
            x, 0.03, f"{name}: {w} x {h}\n{_describe_K(K)}", fontsize=12, linespacing=1.5, va="bottom"
        )
    figure.text(
        0.02,
        0.008,
        f"crop: x {crop.x_min} to {crop.x_max}, y {crop.y_min} to {crop.y_max}, padding {crop.pad_x} x"
        f" {crop.pad_y}; circle: principal point, cross: centre",
        fontsize=11,
        color=QUIET,
        va="bottom",
    )
    figure.subplots_adjust(left=0.02, right=0.98, top=1 - 0.8 / height_in, bottom=1.6 / height_in)
    return _png(figure)


def _describe_K(K: NDArray[np.float64]) -> str:
    f, c = f"{K[0, 0]:.4f}, {K[1, 1]:.4f}", f"{K[0, 2]:.4f}, {K[1, 2]:.4f}"
    return f"f = {f} px    c = {c} px\nOpenCV: c = {K[0, 2] - 0.5:.4f}, {K[1, 2] - 0.5:.4f}"


def _new_figure(title: str, height_in: float) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, height_in), dpi=100, layout=None, facecolor="white")
    text = figure.suptitle(_plain(title), x=0.02, ha="left", fontsize=18, color=INK, y=1 - 0.2 / height_in)
    text.set_parse_math(False)  # a name may hold anything
    figure.subplots_adjust(
        left=0.06, right=0.98, top=1 - 1.2 / height_in, bottom=0.4 / height_in, hspace=0.5, wspace=0.15
    )
    return figure


def _plot_panel(ax: Axes, panel: Panel, frames: Span) -> None:
    ax.set_title(
        _plain(f"{panel.title}   {panel.unit}"), loc="left", fontsize=13, color=INK, parse_math=False
    )
    ax.set_xlim(*frames)
    low, high = value_range(panel)
    ax.set_ylim(low - 0.05 * (high - low) * len(panel.curves), high)
    ax.grid(axis="y", color=GRID)
    ax.spines[["top", "left", "right"]].set_visible(False)
    ax.tick_params(colors=QUIET, left=False)
    ax.locator_params(axis="x", integer=True)
    for row, curve in enumerate(panel.curves):
        colour = COLOURS[row % len(COLOURS)]
        for piece in curve.segments(frames):
            ids, values = curve.frame_ids[piece], curve.values[piece]
            style = "-" if len(piece) > 1 else "."
            ax.plot(ids, values, style, color=colour, linewidth=1.8, zorder=3 + row)
        starts_ends = np.array(curve.missing(frames)).reshape(-1, 2).T
        height = 0.02 + 0.04 * row
        ax.hlines(
            np.full(starts_ends.shape[1], height),
            *starts_ends,
            color=colour,
            linewidth=5,
            transform=ax.get_xaxis_transform(),
        )
        ax.plot([], [], color=colour, label=_plain(curve.label))
    if any(curve.label for curve in panel.curves):
        legend = ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(panel.curves), frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)


def _plain(text: str) -> str:
    return printable(text[:200])


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    with _ignore_missing_glyphs():
        figure.savefig(file, format="png")
    return file.getvalue()


@contextmanager
def _ignore_missing_glyphs() -> Iterator[None]:
    """No warnings about letters that the font lacks: they are drawn as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield
