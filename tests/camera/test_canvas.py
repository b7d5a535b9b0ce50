"""Canvases: where the principal point comes to lie, and what of the frame is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from being_remote.camera.canvas import (
    Canvas,
    full_frame,
    recentred,
    recentred_square,
    tracker_crop,
    window,
)
from being_remote.camera.crop import Crop, crop_from_box
from being_remote.camera.intrinsics import intrinsics_in_source


def K_at(cx: float, cy: float, f: float = 4111.5) -> np.ndarray:
    return np.array([[f, 0, cx], [0, f, cy], [0, 0, 1.0]])


@st.composite
def crops(draw: st.DrawFn) -> Crop:
    """Any box that lies in any frame, cut or not, odd or even."""
    w, h = draw(st.integers(3, 3000)), draw(st.integers(3, 3000))
    x_min, y_min = draw(st.integers(0, w - 2)), draw(st.integers(0, h - 2))
    x_max, y_max = draw(st.integers(x_min + 1, w)), draw(st.integers(y_min + 1, h))
    image = draw(st.integers(1, 1024))
    if x_min >= min(x_max, w - 1) or y_min >= min(y_max, h - 1):
        x_max, y_max = x_min + 1, y_min + 1
    return crop_from_box((x_min, x_max, y_min, y_max), (w, h), (image, image))


@settings(max_examples=200, deadline=None)
@given(crop=crops(), fractions=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_recentred_frame_keeps_every_pixel_and_has_its_principal_point_in_the_middle(
    crop: Crop, fractions: tuple[float, float]
) -> None:
    w, h = crop.source_size_wh
    K = K_at(fractions[0] * w, fractions[1] * h)
    canvas = recentred(K, (w, h))
    assert max(map(abs, canvas.off_centre_px(K))) <= 0.25
    assert canvas.copied == (0, w, 0, h)
    assert not canvas.resampled
    assert canvas.K(K)[0, 0] == K[0, 0]


@settings(max_examples=200, deadline=None)
@given(crop=crops(), fractions=st.tuples(st.floats(-0.25, 1.25), st.floats(-0.25, 1.25)))
def test_a_recentred_square_holds_all_that_was_tracked_with_equal_scales(
    crop: Crop, fractions: tuple[float, float]
) -> None:
    w, h = crop.source_size_wh
    K = K_at(fractions[0] * w, fractions[1] * h)
    canvas = recentred_square(K, crop, 512)
    assert canvas.out_size_wh == (512, 512)
    assert canvas.width == canvas.height
    assert max(map(abs, canvas.off_centre_px(K))) <= 0.25 + 1e-9
    assert canvas.x_min <= crop.x_min
    assert crop.x_max <= canvas.x_min + canvas.width
    assert canvas.y_min <= crop.y_min
    assert crop.y_max <= canvas.y_min + canvas.height
    assert canvas.K(K)[0, 0] == pytest.approx(K[0, 0] * 512 / canvas.width, rel=1e-12)


@settings(max_examples=200, deadline=None)
@given(crop=crops(), f=st.floats(100, 9000), c=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_the_tracker_s_crop_is_a_canvas_whose_k_is_the_stored_one(
    crop: Crop, f: float, c: tuple[float, float]
) -> None:
    K_crop = K_at(c[0] * crop.image_size_wh[0], c[1] * crop.image_size_wh[1], f)
    canvas = tracker_crop(crop)
    assert np.abs(canvas.K(intrinsics_in_source(K_crop, crop)) - K_crop).max() < 1e-9 * max(1, f / 100)
    assert canvas.copied == canvas.shown == (crop.x_min, crop.x_max, crop.y_min, crop.y_max)
    assert np.abs(canvas.A @ crop.A - np.eye(3)).max() < 1e-9


@settings(max_examples=200, deadline=None)
@given(
    crop=crops(),
    size=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    fractions=st.tuples(st.floats(-1, 2), st.floats(-1, 2)),
)
def test_a_window_has_native_pixels_and_is_off_by_half_a_pixel_at_most(
    crop: Crop, size: tuple[int, int], fractions: tuple[float, float]
) -> None:
    w, h = crop.source_size_wh
    K = K_at(fractions[0] * w, fractions[1] * h)
    canvas = window(K, (w, h), size)
    assert canvas.out_size_wh == size
    assert max(map(abs, canvas.off_centre_px(K))) <= 0.5 + 1e-9
    assert np.array_equal(canvas.A[:2, :2], np.eye(2))


def test_windows_around_neighbouring_principal_points_are_one_pixel_apart() -> None:
    starts = [window(K_at(c, 540), (1920, 1080), (768, 768)).x_min for c in (958.5, 959.5, 960.5, 961.5)]
    assert starts == [575, 576, 577, 578]


def test_pads_are_on_the_side_away_from_the_principal_point() -> None:
    # 100 px right of the middle: 200 columns on the right, none lost on the left
    canvas = recentred(K_at(1060, 540), (1920, 1080))
    assert (canvas.x_min, canvas.width, canvas.y_min, canvas.height) == (0, 2120, 0, 1080)
    # 100 px left of and 30 above the middle
    canvas = recentred(K_at(860, 510), (1920, 1080))
    assert (canvas.x_min, canvas.width, canvas.y_min, canvas.height) == (-200, 2120, -60, 1140)
    # with the sign of the pad mistaken the principal point would be 200 px off, at 660 of 1060
    assert canvas.K(K_at(860, 510))[:2, 2].tolist() == [1060, 570]


def test_the_square_grows_where_odd_and_even_cannot_both_be_suited() -> None:
    crop = crop_from_box((510, 1410, 90, 990), (1920, 1080), (512, 512))
    # 960 wants an even side and 540.5 an odd one: half a pixel is left in 902, and shrunk to 512 that is
    # 0.28 px; the first side at which it is 0.25 is 1024.
    canvas = recentred_square(K_at(960, 540.5), crop, 512)
    assert canvas.width == 1024
    assert recentred_square(K_at(960, 540), crop, 512).width == 900


def test_a_whole_frame_is_itself() -> None:
    canvas = full_frame((1920, 1080))
    assert np.array_equal(canvas.A, np.eye(3))
    assert canvas == Canvas(0, 0, 1920, 1080, (0, 1920, 0, 1080), (1920, 1080), (1920, 1080))


def test_a_principal_point_outside_of_the_frame_is_not_padded_to_the_middle() -> None:
    with pytest.raises(ValueError, match=r"-200\.0 of 1920 px"):
        recentred(K_at(-200, 500), (1920, 1080))
    with pytest.raises(ValueError, match="nowhere near"):
        window(K_at(1e300, 500), (1920, 1080), (64, 64))
    with pytest.raises(ValueError, match="finite"):
        recentred(K_at(float("nan"), 500), (1920, 1080))


@pytest.mark.parametrize("size", [(0, 5), (100_000, 100_000), (-3, 3)])
def test_sizes_that_no_picture_has_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{size[0]}x{size[1]}"):
        window(K_at(960, 540), (1920, 1080), size)


def test_a_square_that_would_be_larger_than_any_picture_is_refused() -> None:
    crop = crop_from_box((510, 1410, 90, 990), (1920, 1080), (512, 512))
    with pytest.raises(ValueError, match="side of"):
        recentred_square(K_at(50_000, 540), crop, 512)
