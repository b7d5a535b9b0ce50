"""Axes and rotations, each pinned with what the other reading would give."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from being_remote.camera.intrinsics import from_ndc
from being_remote.camera.pose import (
    opencv_c2w,
    opencv_from_pytorch3d,
    opengl_c2w,
    project,
    pytorch3d_from_opencv,
    quaternion_wxyz,
    rotation_from_6d,
    rotation_vector,
)

ROTATION = cv2.Rodrigues(np.array([0.4, -0.9, 0.2]))[0]
PLACE = np.array([0.02, -0.05, 1.3])
six_numbers = st.lists(st.floats(-3, 3), min_size=6, max_size=6)


def test_the_six_numbers_are_the_first_two_rows_not_columns() -> None:
    np.testing.assert_allclose(rotation_from_6d(ROTATION[:2].ravel()), ROTATION, atol=1e-12)
    # Columns in the six numbers' place give another matrix, so the test can distinguish them.
    assert np.abs(rotation_from_6d(ROTATION[:, :2].T.ravel()) - ROTATION).max() > 0.5


@settings(max_examples=200, deadline=None)
@given(r6=six_numbers)
def test_six_numbers_make_a_rotation_or_are_refused(r6: list[float]) -> None:
    rows = np.array(r6).reshape(2, 3)
    if np.linalg.norm(np.cross(*rows)) < 1e-3:
        return
    R = rotation_from_6d(r6)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(R) == pytest.approx(1)


def test_rows_that_are_zero_or_parallel_are_refused() -> None:
    for r6 in (np.zeros(6), [1, 0, 0, 2, 0, 0]):
        with pytest.raises(ValueError, match="parallel"):
            rotation_from_6d(r6)


def test_pytorch3d_projects_row_vectors_with_left_and_up_axes_onto_the_same_pixel() -> None:
    R_p3d, T = pytorch3d_from_opencv(ROTATION, PLACE)
    X = np.array([0.03, 0.04, 0.1])
    in_p3d = X @ R_p3d + T
    # PyTorch3D's screen: x = W/2 - min/2 (f X/Z + px), with X to the left and Y up.
    focal, principal = 7.5, np.array([0.01, -0.02])
    screen = np.array([960, 540]) - 540 * (focal * in_p3d[:2] / in_p3d[2] + principal)
    np.testing.assert_allclose(
        project(from_ndc(focal, principal, (1920, 1080)), ROTATION, PLACE, X), screen, atol=1e-9
    )


@settings(max_examples=100, deadline=None)
@given(
    axis=st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    t=st.lists(st.floats(-5, 5), min_size=3, max_size=3),
)
def test_going_to_pytorch3d_and_back_returns_the_pose(axis: list[float], t: list[float]) -> None:
    R = cv2.Rodrigues(np.array(axis))[0]
    back = opencv_from_pytorch3d(*pytorch3d_from_opencv(R, t))
    np.testing.assert_allclose(back[0], R, atol=1e-12)
    np.testing.assert_allclose(back[1], t, atol=1e-12)


def test_opengl_s_matrix_places_the_camera_and_looks_along_minus_z() -> None:
    c2w = opengl_c2w(ROTATION, PLACE)
    centre = -ROTATION.T @ PLACE
    np.testing.assert_allclose(c2w[:3, 3], centre, atol=1e-12)
    ahead = ROTATION.T @ ([0, 0, 2.0] - PLACE)
    # Two metres ahead in OpenCV is two metres along -z in OpenGL; without the flip it would be +2.
    np.testing.assert_allclose(np.linalg.inv(c2w) @ [*ahead, 1], [0, 0, -2, 1], atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(c2w), 1)


def test_many_poses_become_many_matrices() -> None:
    R, t = np.stack([ROTATION, np.eye(3)]), np.stack([PLACE, [0, 0, 1]])
    together = opengl_c2w(R, t)
    assert together.shape == (2, 4, 4)
    np.testing.assert_array_equal(together[0], opengl_c2w(ROTATION, PLACE))


def test_many_cameras_see_many_points_in_one_call() -> None:
    K = np.array([[1000.0, 0, 320], [0, 900, 240], [0, 0, 1]])
    R, t = np.stack([np.eye(3), ROTATION]), np.stack([[0, 0, 2.0], PLACE])
    X = np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0.2]])
    together = project(K, R[:, None], t[:, None], X)
    assert together.shape == (2, 3, 2)
    theirs = cv2.projectPoints(X, cv2.Rodrigues(ROTATION)[0], PLACE, K, None)[0][:, 0]
    np.testing.assert_allclose(together[1], theirs, atol=1e-9)


def test_a_point_behind_the_camera_has_no_pixel() -> None:
    with pytest.raises(ValueError, match="in front"):
        project(np.eye(3), np.eye(3), [0, 0, 0], [[0, 0, 1], [0, 0, -1]])


@pytest.mark.parametrize("call", [rotation_from_6d, lambda x: opengl_c2w(np.eye(3), x)])
def test_a_wrong_shape_is_named(call: object) -> None:
    with pytest.raises(ValueError, match="got"):
        call(np.zeros(5))  # type: ignore[operator]  # two callables of one argument


@settings(max_examples=200, deadline=None)
@given(
    axis=st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: np.linalg.norm(v) > 0.1),
    angle=st.one_of(
        st.floats(0, np.pi), st.floats(0, 1e-9), st.floats(np.pi - 1e-9, np.pi), st.just(float(np.pi))
    ),
)
def test_quaternions_give_back_the_rotation_half_turns_included(axis: list[float], angle: float) -> None:
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    R = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    w, a, b, c = quaternion_wxyz(R)
    assert w >= 0
    assert w * w + a * a + b * b + c * c == pytest.approx(1, abs=1e-14)
    back = np.array(
        [
            [1 - 2 * (b * b + c * c), 2 * (a * b - w * c), 2 * (a * c + w * b)],
            [2 * (a * b + w * c), 1 - 2 * (a * a + c * c), 2 * (b * c - w * a)],
            [2 * (a * c - w * b), 2 * (b * c + w * a), 1 - 2 * (a * a + b * b)],
        ]
    )
    assert np.abs(back - R).max() < 1e-13
    vector = rotation_vector(R)
    assert np.linalg.norm(vector) == pytest.approx(angle, abs=1e-7)
    # at a half turn both signs are the same rotation
    assert min(np.abs(vector - s * angle * np.array([x, y, z])).max() for s in (1, -1)) < 1e-6


def test_convention_w_is_first_and_the_quarter_turn_is_not_its_inverse() -> None:
    # (0, 0, -0.7071, 0.7071) with w last, (0.7071, 0, 0, -0.7071) for the inverse
    q = quaternion_wxyz([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    assert q.round(4).tolist() == [0.7071, 0, 0, 0.7071]


def test_inverting_the_camera_to_world_returns_a_rotation_that_was_rounded_to_float32() -> None:
    R = rotation_from_6d([0.3, 0.8, -0.5, 0.1, 0.4, 0.7]).astype(np.float32).astype(np.float64)
    t = np.array([0.1, -0.2, 1.3])
    back = np.linalg.inv(opencv_c2w(R, t))
    assert np.abs(back[:3, :3] - R).max() < 1e-15
    # the transposed matrix, inverted, is another one
    assert np.abs(np.linalg.inv(R.T) - R).max() > 1e-8
    assert np.abs(back[:3, 3] - t).max() < 1e-15
