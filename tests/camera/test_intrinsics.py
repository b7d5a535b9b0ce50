"""K through the crop: formulas, the worked example, and the numbers that wrong readings would give."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from being_remote.camera.crop import crop_from_box, resize_only, to_source
from being_remote.camera.intrinsics import (
    fov_deg,
    from_ndc,
    intrinsics_in_crop,
    intrinsics_in_source,
    ray_angle_deg,
    through,
    to_ndc,
    to_opencv_pixels,
)
from being_remote.camera.pose import project

FULL_HD = (1920, 1080)
STORED = np.array([[2339.0, 0, 255], [0, 2339.0, 250], [0, 0, 1]])
CROP = crop_from_box((510, 1410, 90, 990), FULL_HD, (512, 512))
RIGHT = intrinsics_in_source(STORED, CROP)


def numbers(K: np.ndarray) -> tuple[float, float, float]:
    assert K[0, 0] == pytest.approx(K[1, 1], abs=1e-9)
    return K[0, 0], K[0, 2], K[1, 2]


def test_convention_the_stored_k_is_given_in_corner_pixels() -> None:
    # Taken for OpenCV's it would be 958.6211, 529.8320; with the focal unchanged 2339, 765, 340.
    assert numbers(RIGHT) == pytest.approx((4111.5234375, 958.2421875, 529.453125), abs=1e-9)


def test_convention_opencv_gets_half_a_pixel_less() -> None:
    assert numbers(to_opencv_pixels(RIGHT)) == pytest.approx(
        (4111.5234375, 957.7421875, 528.953125), abs=1e-9
    )


def test_convention_mistaking_the_stored_k_for_opencv_s_would_be_off_by_038_px() -> None:
    # The same map between pixel centres: x = scale * (u + 1/2) - 1/2 + origin.
    A_opencv = CROP.A
    A_opencv[:2, 2] += (CROP.scale_x - 1) / 2
    mistaken = through(A_opencv, STORED)
    assert numbers(mistaken)[1:] == pytest.approx((958.62109375, 529.83203125), abs=1e-9)
    # And the right way through OpenCV's pixels is the corner answer, less one half.
    through_opencv = through(A_opencv, to_opencv_pixels(STORED))
    np.testing.assert_allclose(through_opencv, to_opencv_pixels(RIGHT), atol=1e-9)


def test_a_padded_crop_that_was_rounded_down_keeps_two_focal_lengths() -> None:
    K = intrinsics_in_source(STORED, crop_from_box((510, 1410, 150, 1079), FULL_HD, (512, 512)))
    assert K[0, 0] == pytest.approx(4239.4375, abs=1e-9)
    assert K[1, 1] == pytest.approx(4244.005859375, abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(
    X=st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-0.3, 0.3)),
    x_min=st.integers(0, 900),
    x_max=st.integers(1000, 1919),
    y_min=st.integers(0, 500),
    y_max=st.integers(600, 1079),
    fx=st.floats(100, 9000),
    cy=st.floats(-100, 900),
)
def test_projecting_commutes_with_undoing_the_crop(
    X: tuple[float, float, float], x_min: int, x_max: int, y_min: int, y_max: int, fx: float, cy: float
) -> None:
    crop = crop_from_box((x_min, x_max, y_min, y_max), FULL_HD, (512, 512))
    K = np.array([[fx, 0, 251.3], [0, fx * 0.98, cy], [0, 0, 1]])
    R, t = cv2.Rodrigues(np.array([0.3, -0.2, 0.1]))[0], np.array([0.02, -0.03, 1.9])
    in_crop = project(K, R, t, X)
    # 1e-9 of the pixel's size: far points of a long lens lie thousands of pixels out.
    room = 1e-9 * max(1.0, np.abs(in_crop).max() / 1000)
    np.testing.assert_allclose(
        project(intrinsics_in_source(K, crop), R, t, X), to_source(crop, in_crop), rtol=0, atol=room
    )


@settings(max_examples=100, deadline=None)
@given(fx=st.floats(10, 1e4), fy=st.floats(10, 1e4), cx=st.floats(-1e3, 3e3), cy=st.floats(-1e3, 3e3))
def test_every_change_of_k_has_its_inverse(fx: float, fy: float, cx: float, cy: float) -> None:
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    crop = crop_from_box((510, 1410, 150, 1079), FULL_HD, (512, 512))
    np.testing.assert_allclose(intrinsics_in_source(intrinsics_in_crop(K, crop), crop), K, atol=1e-8)
    np.testing.assert_allclose(from_ndc(*to_ndc(K, FULL_HD), FULL_HD), K, atol=1e-8)


def test_opencv_s_own_projection_lands_on_the_same_picture_point() -> None:
    R, t, X = np.eye(3), np.array([0.01, 0.02, 1.0]), np.array([[0.05, -0.03, 0.1], [-0.04, 0.06, 0.0]])
    theirs = cv2.projectPoints(X, np.zeros(3), t, to_opencv_pixels(RIGHT), None)[0][:, 0]
    np.testing.assert_allclose(project(RIGHT, R, t, X), theirs + 0.5, atol=1e-9)


def test_the_ndc_of_the_right_answer_is_the_known_one() -> None:
    focal, principal = to_ndc(RIGHT, FULL_HD)
    assert focal == pytest.approx([7.6139323, 7.6139323], abs=1e-6)
    assert principal == pytest.approx([0.003255208, 0.01953125], abs=1e-8)


def test_ndc_counts_the_shorter_side_and_points_left_and_up() -> None:
    K = from_ndc([[2.0]], [[0.5, -0.25]], (400, 200))
    assert K.shape == (1, 3, 3)
    # Of the longer side the focal would be 400; with right and down the centre 250, 75.
    assert (K[0, 0, 0], K[0, 0, 2], K[0, 1, 2]) == (200, 150, 125)


def test_the_field_of_view_is_between_the_borders_not_twice_half_the_width() -> None:
    x, y = fov_deg(RIGHT, FULL_HD)
    assert x == pytest.approx(26.28, abs=0.01) and y == pytest.approx(14.97, abs=0.01)
    centred, aside = np.diag([500.0, 500, 1]), np.diag([500.0, 500, 1])
    centred[:2, 2], aside[:2, 2] = (500, 500), (0, 500)
    assert fov_deg(centred, (1000, 1000))[0] == pytest.approx(90)
    assert fov_deg(aside, (1000, 1000))[0] == pytest.approx(63.43494882)


def test_each_axis_has_the_field_of_view_of_its_own_focal_length() -> None:
    K = [[500, 0, 500], [0, 1000, 250], [0, 0, 1]]
    assert fov_deg(K, (1000, 500)) == pytest.approx((90, 28.07248694))


ADDED = [[2339, 0, 765], [0, 2339, 340], [0, 0, 1]]
CENTRED = [[2339, 0, 958.2421875], [0, 2339, 529.453125], [0, 0, 1]]
FORCED = [[4111.5234375, 0, 960], [0, 4111.5234375, 540], [0, 0, 1]]


@pytest.mark.parametrize(
    ("crop_pixel", "added", "centred", "forced"),
    [
        ((256, 256), 6.69, 0.11, 0.15),
        ((356, 256), 8.03, 1.87, 0.15),
        ((0, 0), 0.00, 6.34, 0.15),
        ((512, 512), 12.46, 6.50, 0.15),
    ],
)
def test_the_guide_s_answers_send_rays_astray_by_the_known_angles(
    crop_pixel: tuple[int, int], added: float, centred: float, forced: float
) -> None:
    at = to_source(CROP, crop_pixel)
    off = [float(ray_angle_deg(RIGHT, wrong, at)) for wrong in (ADDED, CENTRED, FORCED)]
    assert off == pytest.approx([added, centred, forced], abs=0.006)


def test_tiny_angles_are_not_rounded_to_nothing() -> None:
    shifted = RIGHT.copy()
    shifted[0, 2] += 1e-6
    assert float(ray_angle_deg(RIGHT, shifted, [960, 540])) == pytest.approx(
        np.degrees(1e-6 / 4111.52), rel=1e-3
    )


def test_a_batch_of_k_goes_through_in_one_call() -> None:
    batch = np.stack([STORED, STORED * [[2], [2], [1]]])
    assert intrinsics_in_source(batch, CROP).shape == (2, 3, 3)
    np.testing.assert_array_equal(intrinsics_in_source(batch, CROP)[0], RIGHT)


def test_the_k_that_was_given_is_not_changed() -> None:
    before = STORED.copy()
    intrinsics_in_source(STORED, CROP)
    to_opencv_pixels(STORED)
    np.testing.assert_array_equal(STORED, before)


def test_a_resize_alone_scales_k_by_two() -> None:
    K = intrinsics_in_source(STORED, resize_only(FULL_HD, (960, 540)))
    assert numbers(K) == (4678, 510, 500)


@pytest.mark.parametrize("bad", [np.eye(4), np.ones(3), np.full((3, 3), np.nan)])
def test_something_that_is_no_k_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"K is|finite"):
        through(np.eye(3), bad)


def test_a_map_that_is_not_affine_is_refused() -> None:
    with pytest.raises(ValueError, match="affine"):
        through([[1.0, 0, 0], [0, 1, 0], [1e-3, 0, 1]], STORED)


def test_a_focal_length_that_is_not_positive_has_no_field_of_view() -> None:
    with pytest.raises(ValueError, match="not positive"):
        fov_deg(np.diag([-500.0, 500, 1]), (100, 100))
