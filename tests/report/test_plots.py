"""PNG plots and pictures show what they are handed, whatever it is."""

from __future__ import annotations

import sys
import time
from typing import Any

import cv2
import numpy as np
import pytest

from being_remote.camera.crop import Crop, crop_from_box, resize_only
from being_remote.camera.intrinsics import intrinsics_in_source
from being_remote.errors import UsageError
from being_remote.report import plots
from being_remote.report.crop_diagram import Rect, lay_out_crop
from being_remote.report.curves import Curve, Panel
from being_remote.report.pictures import jpeg
from being_remote.report.plots import plot_intrinsics, plot_panels

CROP = crop_from_box((510, 1410, 180, 1080), (1920, 1080), (512, 512))
K_CROP = np.array([[2339.0, 0, 200], [0, 2339, 300], [0, 0, 1]])
HOSTILE = "ünïcode $x^ \\frac{ 你好 \x1b[31m\n"


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR))


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that were plotted."""
    plotted: list[Any] = []
    save = plots._png
    monkeypatch.setattr(plots, "_png", lambda figure: plotted.append(figure) or save(figure))
    return plotted


def test_curves_are_plotted_beside_each_other_with_their_gaps_and_names(figures: list[Any]) -> None:
    a, b = Curve("A", [0, 1, 2, 5, 6], [1, 2, 3, 4, 5]), Curve("B", np.arange(7), np.zeros(7))
    picture = pixels(plot_panels("A against B", [Panel("jaw", "deg", (a, b))] * 3, columns=2))
    assert picture.shape == (680, 1600, 3)
    first, *_, unused = figures[0].axes
    lines = [list(line.get_xdata()) for line in first.lines if len(line.get_xdata())]
    assert lines == [[0, 1, 2], [5, 6], [0, 1, 2, 3, 4, 5, 6]]
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["A", "B (constant)"]
    assert not unused.axison


def test_both_principal_points_are_plotted_where_they_are_and_all_figures_written(
    figures: list[Any],
) -> None:
    K = intrinsics_in_source(K_CROP, CROP)
    plot_intrinsics("roman", CROP, K_CROP, K)
    (ax,) = figures[0].axes
    circles = [line.get_xydata()[0].tolist() for line in ax.lines if line.get_marker() == "o"]
    image = lay_out_crop(CROP, K_CROP, K).image
    assert circles == [[image.x + 200, image.y + 300], [K[0, 2], K[1, 2]]]
    text = " ".join(text.get_text() for text in figures[0].texts)
    for number in ("2339.0000", "200.0000, 300.0000", f"{K[0, 0]:.4f}", f"{K[0, 2]:.4f}, {K[1, 2]:.4f}"):
        assert number in text
    assert "199.5000, 299.5000" in text and f"{K[0, 2] - 0.5:.4f}" in text


@pytest.mark.parametrize("wide", [True, False])
def test_the_padding_of_a_crop_lies_around_it(wide: bool) -> None:
    crop = crop_from_box((510, 1410, 1, 601) if wide else (1, 601, 90, 990), (1920, 1080), (512, 512))
    drawn = lay_out_crop(crop, K_CROP, intrinsics_in_source(K_CROP, crop))
    assert drawn.padded == (Rect(510, -149, 900, 900) if wide else Rect(-149, 90, 900, 900))


@pytest.mark.parametrize(
    "crop",
    [
        CROP,
        resize_only((160, 90), (512, 512)),
        resize_only((540, 4000), (64, 64)),
        resize_only((1, 1), (1, 1)),
    ],
)
@pytest.mark.parametrize("far", [0.0, 1e30])
def test_any_size_and_any_principal_point_can_be_plotted(crop: Crop, far: float) -> None:
    K = np.array([[900.0, 0, far], [0, 900, -far], [0, 0, 1]])
    assert pixels(plot_intrinsics(HOSTILE, crop, K, K)).shape[1] == 1600


@pytest.mark.parametrize(
    ("ids", "values"),
    [
        ([], []),
        ([7], [1.0]),
        ([0, 1], [np.nan, np.inf]),
        ([0, 10**9], [0, -1e29]),
        ([0, 1, 2], [5e8, 5e8 + 1e-9, 5e8]),
        ([0, 1], [1e-300, 3e-300]),
    ],
)
def test_any_numbers_can_be_plotted(ids: list[int], values: list[float]) -> None:
    panel = Panel(HOSTILE, HOSTILE, (Curve(HOSTILE * 20, ids, values),))
    assert pixels(plot_panels(HOSTILE, [panel])).shape == (380, 1600, 3)


def test_without_matplotlib_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="need matplotlib") as caught:
        plot_panels("", [Panel("", "", ())])
    assert caught.value.hint == "pip install 'being-remote[plots]'"


def test_a_hundred_thousand_frames_are_plotted_in_a_moment() -> None:
    ids = np.delete(np.arange(100_000), np.arange(7, 100_000, 10))
    start = time.perf_counter()
    plot_panels("long", [Panel("", "", (Curve("", ids, np.sin(ids)),))] * 3)
    assert time.perf_counter() - start < 8


def test_a_wide_picture_becomes_a_small_jpeg_and_a_small_one_keeps_its_size() -> None:
    wide = np.full((2160, 3840, 3), (30, 120, 200), np.uint8)
    data = jpeg(wide)
    small = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert data.startswith(b"\xff\xd8\xff") and small.shape == (720, 1280, 3) and len(data) < 40_000
    assert np.abs(small.astype(int) - (30, 120, 200)).max() < 6
    assert cv2.imdecode(np.frombuffer(jpeg(wide[:90, :160]), np.uint8), 1).shape == (90, 160, 3)
