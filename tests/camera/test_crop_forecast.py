"""The crop foretold for other settings is the one that the tracker's own rule makes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from being_remote.camera.crop import crop_from_box
from being_remote.camera.crop_forecast import box_around, find_face, forecast_crop, forecast_resize
from being_remote.camera.free_crop import free_crop

FULL_HD = (1920, 1080)
Box = tuple[int, int, int, int]


def trackers_box(landmarks: np.ndarray, size_wh: tuple[int, int], bbox_scale: float) -> Box:
    """The tracker's rule from landmarks on, written out on its own."""
    (left, top), (right, bottom) = landmarks.min(0), landmarks.max(0)
    xc, yc = int((left + right) / 2), int((top + bottom) / 2)
    size = int(2 * bbox_scale * max(xc - left, yc - top))
    x0, x1 = max(xc - size // 2, 0), min(xc + size // 2, size_wh[0] - 1)
    y0, y1 = max(yc - size // 2, 0), min(yc + size // 2, size_wh[1] - 1)
    return x0 + (x1 - x0) % 2, x1, y0 + (y1 - y0) % 2, y1


@st.composite
def faces(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, int], float]:
    """Landmarks in a frame, and the scale of the run: small frames, so that borders cut often."""
    size_wh = draw(st.sampled_from([(192, 108), (108, 192), (100, 100)]))
    low = [draw(st.integers(0, extent - 8)) for extent in size_wh]
    high = [draw(st.integers(a + 4, extent - 1)) for a, extent in zip(low, size_wh, strict=True)]
    scale = draw(st.sampled_from([0.7, 1.0, 2.0, 2.5, 3.5, 7.3]))
    return np.array([low, high]), size_wh, scale


def crop_of(landmarks: np.ndarray, size_wh: tuple[int, int], scale: float, image: int = 512):  # type: ignore[no-untyped-def]
    return crop_from_box(trackers_box(landmarks, size_wh, scale), size_wh, (image, image))


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(faces())
def test_what_a_box_says_of_its_face_is_always_true(drawn: tuple[np.ndarray, tuple[int, int], float]) -> None:
    landmarks, size_wh, scale = drawn
    face = find_face(crop_of(*drawn), scale)
    xc, yc = (int(v) for v in (landmarks.min(0) + landmarks.max(0)) // 2)
    n = max(xc - int(landmarks[:, 0].min()), yc - int(landmarks[:, 1].min()))
    assert face.of_this_scale
    assert face.n_px[0] <= n <= face.n_px[1]
    assert face.centre_x_px[0] <= xc <= face.centre_x_px[1]
    assert face.centre_y_px[0] <= yc <= face.centre_y_px[1]
    assert box_around(xc, yc, n, scale, size_wh) == trackers_box(*drawn)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(faces(), st.sampled_from([1.5, 2.5, 3.5, 5.0]))
def test_a_face_that_the_box_gives_exactly_gives_the_trackers_next_box_to_the_pixel(
    drawn: tuple[np.ndarray, tuple[int, int], float], then: float
) -> None:
    landmarks, size_wh, scale = drawn
    crop = crop_of(*drawn)
    face = find_face(crop, scale)
    least, most = forecast_crop(crop, face, old_scale=scale, bbox_scale=then, image_size=768)
    made = crop_of(landmarks, size_wh, then, 768)
    if face.exact:
        assert least == most and least.crop == made
    assert least.crop.image_size_wh == most.crop.image_size_wh == (768, 768)


def test_both_kinds_of_faces_are_among_the_small_frames() -> None:
    # Else the test above would say nothing: a free box is exact, a box in a corner is not.
    free = crop_of(np.array([[80, 40], [100, 60]]), (192, 108), 2.5)
    corner = crop_of(np.array([[150, 70], [190, 106]]), (192, 108), 2.5)
    assert find_face(free, 2.5).exact
    face = find_face(corner, 2.5)
    assert not face.exact and face.n_px[0] < face.n_px[1]


def test_a_box_cut_on_one_axis_still_gives_the_face_by_the_other() -> None:
    # Taken for the face's whole height, the 838 rows that are left would give n 167 and not 180.
    face = find_face(crop_from_box((510, 1410, 1, 839), FULL_HD, (512, 512)), 2.5)
    assert (face.n_px, face.centre_x_px, face.centre_y_px) == ((180, 180), (960, 960), (389, 389))


def test_a_cut_at_the_far_border_leaves_the_centre_open_by_the_pixel_that_keeps_it_even() -> None:
    # 80 + (107 - 80) % 2: the tracker moved the low end, and nothing says so.
    box = trackers_box(np.array([[85, 37], [125, 57]]), (108, 192), 1.0)
    face = find_face(crop_from_box(box, (108, 192), (512, 512)), 1.0)
    assert face.centre_x_px == (104, 105) and face.n_px == (20, 20)


def test_a_side_that_the_scale_cannot_make_is_marked_and_the_nearest_is_taken() -> None:
    # Sides of 2.5 are 5 n rounded to even: 900 is one, 902 is none.
    assert find_face(crop_from_box((510, 1410, 90, 990), FULL_HD, (512, 512)), 2.5).of_this_scale
    face = find_face(crop_from_box((510, 1412, 90, 992), FULL_HD, (512, 512)), 2.5)
    assert not face.of_this_scale and face.n_px == (180, 180)
    uneven = find_face(crop_from_box((510, 1410, 200, 800), FULL_HD, (512, 512)), 2.5)
    assert not uneven.of_this_scale and uneven.n_px == (180, 180)


def test_pixels_on_the_face_are_the_network_image_over_the_scale_until_a_border_cuts() -> None:
    crop = crop_from_box((510, 1410, 90, 990), FULL_HD, (512, 512))
    face = find_face(crop, 2.5)
    for scale, image, pixels in ((2.5, 512, 512 / 2.5), (3.5, 768, 768 / 3.5), (3.5, 512, 512 / 3.5)):
        then, _ = forecast_crop(crop, face, old_scale=2.5, bbox_scale=scale, image_size=image)
        assert then.face_px == pytest.approx(pixels)
        assert then.gain_percent == pytest.approx(100 * (pixels / 204.8 - 1))


def test_a_crop_that_all_four_borders_cut_gains_no_context_and_is_marked() -> None:
    crop = crop_from_box((510, 1410, 90, 990), FULL_HD, (512, 512))
    then, _ = forecast_crop(crop, find_face(crop, 2.5), old_scale=2.5, bbox_scale=9.0, image_size=512)
    assert then.clipped == ("left", "right", "top", "bottom")
    assert (then.crop.x_max, then.crop.y_max) == (1919, 1079)
    assert then.padding == pytest.approx(1 - 1078 / 1918, abs=1e-3)


def test_a_crop_that_ends_at_a_border_is_not_cut_there() -> None:
    crop = crop_from_box(
        # the middle of the face is 540 px below the upper border
        (510, 1410, 90, 990),
        FULL_HD,
        (512, 512),
    )  # the face's middle is 540 px below the top
    then, _ = forecast_crop(crop, find_face(crop, 2.5), old_scale=2.5, bbox_scale=3.0, image_size=512)
    assert then.crop.y_min == 1 and then.clipped == ("bottom",)  # rows 0 to 1080, and the last is never used


def test_the_same_scale_keeps_the_box_whatever_it_is_and_only_the_image_grows() -> None:
    for box in ((510, 1410, 90, 990), (510, 1411, 90, 990), (0, 600, 0, 500)):
        crop = crop_from_box(box, FULL_HD, (512, 512))
        for end in forecast_crop(crop, find_face(crop, 2.5), old_scale=2.5, bbox_scale=2.5, image_size=1024):
            assert end.crop == crop_from_box(box, FULL_HD, (1024, 1024))
            assert end.gain_percent == pytest.approx(100)


def test_an_estimated_crop_that_hangs_over_one_border_is_padded_as_much_at_the_other() -> None:
    right, left = (free_crop((600, 600), (x, 60), (1280, 720), (512, 512)) for x in (900, -220))
    assert (right.pad_x, right.x_min, right.x_max) == (220, 1120, 1280)
    assert (left.pad_x, left.x_min, left.x_max) == (220, 0, 160)
    assert (right.pad_y, right.y_min, right.y_max) == (0, 60, 660)


def test_an_estimated_crop_can_be_forecast_too() -> None:
    crop = free_crop((900.3, 900.3), (509.8, 90.1), FULL_HD, (512, 512))
    then, _ = forecast_crop(crop, find_face(crop, 2.5), old_scale=2.5, bbox_scale=3.5, image_size=768)
    assert abs(then.crop.side - 1260) <= 2 and then.gain_percent == pytest.approx(7.1, abs=0.3)


def test_without_a_crop_each_axis_has_its_own_scale_and_the_coarser_one_counts() -> None:
    crop = crop_from_box((510, 1410, 90, 990), FULL_HD, (512, 512))
    then, _ = forecast_resize(crop, (960, 540), find_face(crop, 2.5))
    assert (then.crop.scale_x, then.crop.scale_y, then.face_px, then.padding) == (2, 2, 180, 0)
    squeezed, _ = forecast_resize(crop, (512, 512), None)
    assert squeezed.face_px is None and squeezed.source_per_px == 3.75


@pytest.mark.parametrize("scale", [0.0, -2.5, float("nan"), float("inf")])
def test_a_scale_that_makes_no_box_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        find_face(crop_from_box((510, 1410, 90, 990), FULL_HD, (512, 512)), scale)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_an_absurd_scale_or_frame_costs_no_time(scale: float) -> None:
    huge = (10**9, 10**9)
    face = find_face(crop_from_box((10, 10**8, 10, 10**8), huge, (512, 512)), scale)
    assert face.n_px[0] >= 1
