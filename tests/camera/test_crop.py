"""The crop map against the tracker's own recipe, by pixels; and each edge case of the box."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from being_remote.camera.crop import Crop, crop_from_box, resize_only, to_source

FULL_HD = (1920, 1080)


def recipe(image: np.ndarray, box: tuple[int, int, int, int], size: int) -> np.ndarray:
    """What the tracker does to a frame: slice, pad with zeros to a square, resize."""
    x_min, x_max, y_min, y_max = box
    h, w = image.shape[:2]
    cut = image[max(y_min, 0) : min(y_max, h - 1), max(x_min, 0) : min(x_max, w - 1)]
    longer = max(cut.shape[:2])
    vertical, horizontal = int((longer - cut.shape[0]) / 2), int((longer - cut.shape[1]) / 2)
    padded = np.pad(cut, [(vertical, vertical), (horizontal, horizontal)])
    return cv2.resize(padded, (size, size), interpolation=cv2.INTER_CUBIC)


BOXES = {
    "square": (510, 1410, 90, 990),
    "cut at the bottom": (510, 1410, 300, 1079),
    "cut at the left": (0, 700, 100, 1000),
    "cut at the corner": (1200, 1919, 500, 1079),
    "odd difference": (510, 1410, 150, 1079),
    "smaller than the image": (800, 1200, 300, 700),
    "up to the very border": (510, 1410, 181, 1080),
}


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES.keys())
def test_a_ramp_of_source_coordinates_shows_in_the_crop_where_the_map_says(
    box: tuple[int, int, int, int],
) -> None:
    # Each source pixel holds its own centre, so a crop pixel shows its origin.
    x = np.broadcast_to(np.arange(1920) + 0.5, (1080, 1920)).copy()
    y = np.broadcast_to((np.arange(1080) + 0.5)[:, None], (1080, 1920)).copy()
    crop = crop_from_box(box, FULL_HD, (512, 512))
    u = np.arange(512) + 0.5
    expected = to_source(crop, np.stack(np.meshgrid(u, u), axis=-1))

    # Only where the cubic kernel sees no padding.
    seen = (
        (expected[..., 0] > crop.x_min + 4)
        & (expected[..., 0] < crop.x_max - 4)
        & (expected[..., 1] > crop.y_min + 4)
        & (expected[..., 1] < crop.y_max - 4)
    )
    assert seen.mean() > 0.5
    assert np.abs(recipe(x, box, 512) - expected[..., 0])[seen].max() < 0.05
    assert np.abs(recipe(y, box, 512) - expected[..., 1])[seen].max() < 0.05


def test_reading_the_crop_as_starting_at_pixel_centres_would_miss_the_ramp_by_043_px() -> None:
    box = BOXES["square"]
    x = np.broadcast_to(np.arange(1920.0), (1080, 1920)).copy()
    naive = 900 / 512 * np.arange(512) + 510
    off = np.abs(recipe(x, box, 512)[256] - naive)[8:-8].max()
    assert 0.37 < off < 0.44


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES.keys())
def test_a_drawn_marker_is_found_in_the_crop_where_the_map_puts_it(box: tuple[int, int, int, int]) -> None:
    crop = crop_from_box(box, FULL_HD, (512, 512))
    at = np.array([(crop.x_min + crop.x_max) / 2 + 37.3, (crop.y_min + crop.y_max) / 2 - 51.8])
    ys, xs = np.mgrid[0:1080, 0:1920] + 0.5
    blob = np.exp(-((xs - at[0]) ** 2 + (ys - at[1]) ** 2) / (2 * 9.0**2))
    small = recipe(blob, box, 512)
    vs, us = np.mgrid[0:512, 0:512] + 0.5
    found = np.array([(us * small).sum(), (vs * small).sum()]) / small.sum()
    assert np.abs(to_source(crop, found) - at).max() < 0.05


def test_padding_is_where_the_crop_says_it_is() -> None:
    box = BOXES["cut at the bottom"]
    crop = crop_from_box(box, FULL_HD, (512, 512))
    small = recipe(np.ones((1080, 1920)), box, 512)
    assert crop.pad_y == 60 and crop.pad_x == 0 and crop.origin == (510, 240)
    first_row, last_row = ((y - crop.origin[1]) / crop.scale_y for y in (crop.y_min, crop.y_max))
    rows = np.flatnonzero(small[:, 256] > 0.5) + 0.5
    assert abs(rows[0] - first_row) <= 0.51 and abs(rows[-1] - last_row) <= 0.51


def test_an_odd_difference_leaves_one_pixel_unpadded_so_the_two_scales_differ() -> None:
    crop = crop_from_box((510, 1410, 150, 1079), FULL_HD, (512, 512))
    assert crop.padded_size_wh == (928, 929)
    assert crop.side == 929
    assert (2339 * crop.scale_x, 2339 * crop.scale_y) == pytest.approx((4239.4375, 4244.005859375), abs=1e-9)


def test_the_last_row_and_column_are_never_used() -> None:
    whole = crop_from_box((0, 1920, 0, 1080), FULL_HD, (512, 512))
    assert (whole.x_max, whole.y_max) == (1919, 1079)
    one_less = crop_from_box((510, 1410, 180, 1079), FULL_HD, (512, 512))
    assert crop_from_box((510, 1410, 180, 1080), FULL_HD, (512, 512)) == one_less


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        (BOXES["square"], False),
        (BOXES["cut at the bottom"], True),
        (BOXES["cut at the left"], True),
        ((0, 900, 0, 900), True),
        ((1020, 1919, 180, 1079), True),
        ((1019, 1919, 100, 1000), True),
        ((510, 1410, 179, 1079), True),
        ((510, 1410, 1, 839), True),  # cut at the top; the first row was given up for an even height
    ],
)
def test_a_crop_knows_whether_the_border_cut_it(box: tuple[int, int, int, int], clipped: bool) -> None:
    assert crop_from_box(box, FULL_HD, (512, 512)).clipped is clipped


def test_the_whole_frame_resized_is_not_called_clipped() -> None:
    assert not resize_only(FULL_HD, (960, 540)).clipped


def test_resizing_alone_scales_each_axis_by_its_own_factor_like_the_tracker() -> None:
    crop = resize_only(FULL_HD, (512, 256))
    x = np.broadcast_to(np.arange(1920) + 0.5, (1080, 1920)).copy()
    small = cv2.resize(x, (512, 256), interpolation=cv2.INTER_CUBIC)
    expected = to_source(crop, np.stack([np.arange(512) + 0.5, np.full(512, 3.5)], axis=-1))
    assert np.abs(small[3, 4:-4] - expected[4:-4, 0]).max() < 0.05
    assert (crop.scale_x, crop.scale_y) == (3.75, 1080 / 256)
    assert to_source(crop, [512, 256]).tolist() == [1920, 1080]


def test_a_crop_smaller_than_the_network_image_is_enlarged() -> None:
    crop = crop_from_box(BOXES["smaller than the image"], FULL_HD, (512, 512))
    assert crop.scale_x == crop.scale_y == 400 / 512


def test_a_box_that_does_not_fit_the_frame_is_refused_with_its_numbers() -> None:
    with pytest.raises(ValueError, match=r"x 1500\.\.2400, y 90\.\.990 lies outside a frame of 1920x1080"):
        crop_from_box((1500, 2400, 90, 990), FULL_HD, (512, 512))
    with pytest.raises(ValueError, match="lies outside"):
        crop_from_box((-1, 899, 90, 990), FULL_HD, (512, 512))


def test_a_swapped_source_size_is_refused_and_named_as_such() -> None:
    with pytest.raises(ValueError, match="fits 1920x1080: are width and height swapped"):
        crop_from_box((510, 1410, 90, 990), (1080, 1920), (512, 512))


def test_a_box_that_fits_neither_way_round_is_not_called_swapped() -> None:
    with pytest.raises(ValueError) as caught:
        crop_from_box((1500, 2400, 90, 990), FULL_HD, (512, 512))
    assert "swapped" not in str(caught.value)


@pytest.mark.parametrize("box", [(500, 500, 90, 990), (900, 500, 90, 990), (500, 900, 990, 90)])
def test_an_empty_or_reversed_box_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="is empty"):
        crop_from_box(box, FULL_HD, (512, 512))


def test_a_box_of_only_the_last_column_is_empty_once_it_is_cut() -> None:
    with pytest.raises(ValueError, match="empty once cut"):
        crop_from_box((1919, 1920, 0, 100), FULL_HD, (512, 512))


def test_a_network_image_that_is_not_square_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match=r"960x540 is not square.*resize_only"):
        crop_from_box(BOXES["square"], FULL_HD, (960, 540))


@pytest.mark.parametrize("box", [(1, 2, 3), (1, 2, 3, 4, 5), (1.5, 2, 3, 4), "abcd", None])
def test_a_box_that_is_not_four_whole_numbers_is_refused(box: object) -> None:
    with pytest.raises(ValueError, match="4 whole numbers"):
        crop_from_box(box, FULL_HD, (512, 512))  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("size", [(0, 1080), (-1920, 1080)])
def test_a_size_that_is_not_positive_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="not positive"):
        resize_only(size, (512, 512))


def test_numbers_of_numpy_are_taken_as_whole_numbers() -> None:
    crop = crop_from_box(np.array([510, 1410, 90, 990]), FULL_HD, (512, 512))
    assert isinstance(crop.x_min, int) and not isinstance(crop.x_min, np.integer)


@st.composite
def crops(draw: st.DrawFn) -> Crop:
    width, height = draw(st.integers(64, 4000)), draw(st.integers(64, 4000))
    x_min, y_min = draw(st.integers(0, width - 10)), draw(st.integers(0, height - 10))
    box = (x_min, draw(st.integers(x_min + 2, width)), y_min, draw(st.integers(y_min + 2, height)))
    side = draw(st.integers(16, 1024))
    return crop_from_box(box, (width, height), (side, side))


@settings(max_examples=200, deadline=None)
@given(crop=crops(), uv=st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)))
def test_going_to_the_source_and_back_returns_every_point(crop: Crop, uv: tuple[float, float]) -> None:
    there = to_source(crop, uv)
    np.testing.assert_allclose((there - crop.origin) / (crop.scale_x, crop.scale_y), uv, atol=1e-6)
    np.testing.assert_allclose((crop.A @ (*uv, 1))[:2], there, atol=1e-6)


@settings(max_examples=200, deadline=None)
@given(crop=crops())
def test_the_crop_s_corners_land_on_the_padded_rectangle_and_its_centre_on_the_box_s(crop: Crop) -> None:
    width, height = crop.padded_size_wh
    ax, ay = crop.origin
    corners = to_source(crop, [[0, 0], crop.image_size_wh])
    np.testing.assert_allclose(corners, [[ax, ay], [ax + width, ay + height]], atol=1e-9)
    assert abs(width - height) <= 1
    np.testing.assert_allclose(
        corners.mean(axis=0), [(crop.x_min + crop.x_max) / 2, (crop.y_min + crop.y_max) / 2]
    )
