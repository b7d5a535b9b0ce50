"""Curves break where frames or values are missing, and the camera's path is what a person sees."""

from __future__ import annotations

import json
import time

import cv2
import numpy as np
import pytest

from being_remote.report.curves import Curve, Panel, camera_path, frame_range, head_angles_deg, value_range
from being_remote.report.page.render import FOOT, LEFT, RIGHT, lay_out_panels, ticks

FRAMES = (0.0, 1000.0)


def pieces(curve: Curve) -> list[tuple[float, float]]:
    """The first and last frame of each unbroken piece."""
    ids = curve.frame_ids
    return [(ids[piece[0]], ids[piece[-1]]) for piece in curve.segments(FRAMES)]


def test_a_curve_breaks_where_frames_are_missing_and_they_are_marked() -> None:
    ids = np.array([i for i in range(1001) if not 300 < i < 400])
    curve = Curve("", ids, np.sin(ids / 100))
    assert pieces(curve) == [(0, 300), (400, 1000)]
    assert curve.missing(FRAMES) == [(300, 400)]


def test_frames_before_and_after_a_shorter_curve_are_marked() -> None:
    assert Curve("", np.arange(100, 901), np.arange(801)).missing(FRAMES) == [(0, 100), (900, 1000)]
    assert Curve("", [], []).missing(FRAMES) == [FRAMES]


def test_a_single_missing_frame_among_many_is_marked_wide_enough_to_see() -> None:
    ids = np.delete(np.arange(100_000), 50_000)
    ((start, end),) = Curve("", ids, ids % 7).missing((0, 99_999))
    assert start == 49_999 and 150 < end - start < 250


def test_values_that_are_not_finite_are_gaps_as_well() -> None:
    values = np.sin(np.arange(1001) / 100)
    values[500:600] = np.nan
    values[700:800] = 1e300
    assert pieces(Curve("", np.arange(1001), values)) == [(0, 499), (600, 699), (800, 1000)]


def test_every_tenth_frame_is_no_gap_but_a_hole_among_them_is() -> None:
    ids = np.delete(np.arange(0, 1001, 10), [50, 51])
    assert pieces(Curve("", ids, ids * 0.001)) == [(0, 490), (520, 1000)]


def test_many_narrow_gaps_stay_few_pieces_and_marks() -> None:
    ids = np.delete(np.arange(100_000), np.arange(7, 100_000, 10))
    curve = Curve("", ids, ids)
    assert len(curve.segments((0, 99_999))) == 1 and len(curve.missing((0, 99_999))) < 600


def test_a_frozen_parameter_is_called_constant_and_a_moving_one_is_not() -> None:
    ids = np.arange(100)
    assert Curve("flash", ids, 0 * ids).label == "flash (constant)"
    assert Curve("round 2", ids, np.sin(ids)).label == "round 2"


def test_a_range_that_is_only_rounding_is_not_drawn_as_motion() -> None:
    low, high = value_range(Panel("", "", (Curve("", [0, 1, 2], [5e8, 5e8 + 1e-9, 5e8]),)))
    assert high - low > 1e7


@pytest.mark.parametrize(
    ("ids", "values"), [([0, 0], [1, 2]), ([1, 0], [1, 2]), ([0], [1, 2]), ([[0]], [[1]])]
)
def test_frames_and_values_that_do_not_belong_together_are_refused(
    ids: list[int], values: list[float]
) -> None:
    with pytest.raises(ValueError):
        Curve("jaw", ids, values)


def test_in_the_page_panels_share_their_frames_and_higher_values_are_higher() -> None:
    short = Curve("", np.arange(500, 1001), np.linspace(0, 1, 501))
    full = Curve("", np.arange(1001), np.zeros(1001))
    panel, _ = lay_out_panels([Panel("", "", (short,)), Panel("", "", (full,))])
    points = [tuple(map(float, p.split())) for p in panel.curves[0].path[1:].split("L")]
    assert points[0][0] == pytest.approx((LEFT + RIGHT) / 2, abs=0.1) and points[-1][0] == RIGHT
    assert points[-1][1] < points[0][1] < FOOT
    assert panel.curves[0].marks == ((LEFT, pytest.approx((RIGHT - LEFT) / 2, abs=0.1)),)


def test_a_hundred_thousand_frames_are_a_small_chart_that_keeps_its_extremes() -> None:
    ids = np.arange(100_000)
    R = np.repeat(np.diag([1.0, -1, -1])[None], len(ids), axis=0)
    t = np.random.default_rng(0).normal([0, 0, 1], 0.01, (len(ids), 3))
    t[54_321] = [0, 0, 3]
    start = time.perf_counter()
    distance, *_ = panels = lay_out_panels(camera_path(ids, R, t))
    assert time.perf_counter() - start < 5
    assert sum(len(curve.path) for panel in panels for curve in panel.curves) < 300_000
    heights = [float(p.split()[1]) for p in distance.curves[0].path[1:].split("L")]
    assert min(heights) < sorted(heights)[1] - 20


def test_ticks_are_round_and_inside() -> None:
    for low, high in [(0, 1), (-3.7, 12.2), (4111.2, 4111.9), (1e-12, 3e-12), (-1e29, 1e29)]:
        values = [v for v, _ in ticks(low, high, 4)]
        room = 1e-6 * (high - low)
        assert 2 <= len(values) <= 9 and low - room <= values[0] and values[-1] <= high + room
    assert "-0.0" not in json.dumps([t for _, t in ticks(-1.0, 1.0, 4)])


def rotation(axis: int, degrees: float) -> np.ndarray:
    a = np.zeros(3)
    a[axis] = np.radians(degrees)
    return np.asarray(cv2.Rodrigues(a)[0])


@pytest.mark.parametrize(
    ("angles", "moved", "towards"),
    [
        # What a part of the head does in the picture, x right, y down, when only that angle grows.
        ((20.0, 0.0, 0.0), (0, 0, 1), (1, 0)),  # the nose goes right
        ((0.0, 20.0, 0.0), (0, 0, 1), (0, -1)),  # the nose goes up
        ((0.0, 0.0, 20.0), (0, 1, 0), (1, 0)),  # the top of the head goes right: clockwise
    ],
)
def test_angles_have_the_signs_that_are_seen(
    angles: tuple[float, ...], moved: tuple[int, ...], towards: tuple[int, int]
) -> None:
    yaw, pitch, roll = angles
    R = rotation(1, -yaw) @ rotation(0, -pitch) @ rotation(2, roll) @ np.diag([1.0, -1, -1])
    assert head_angles_deg([R])[0] == pytest.approx(angles, abs=1e-9)
    at_rest = np.diag([1.0, -1, -1]) @ moved
    seen = (R @ moved - at_rest)[:2]
    assert seen @ towards > 0.3 and abs(seen @ towards[::-1]) < 0.1


def test_three_angles_at_once_come_back() -> None:
    R = rotation(1, -31) @ rotation(0, 12) @ rotation(2, -7) @ np.diag([1.0, -1, -1])
    assert head_angles_deg(R[None])[0] == pytest.approx([31, -12, -7], abs=1e-9)


def test_the_camera_path_is_the_cameras_centre_not_its_translation() -> None:
    R, t = rotation(0, 20) @ rotation(1, 30) @ np.diag([1.0, -1, -1]), np.array([0.3, -0.2, 2.0])
    distance, path, _ = camera_path([0], R[None], t[None])
    centre = [float(curve.values[0]) for curve in path.curves]
    assert R @ centre + t == pytest.approx([0, 0, 0], abs=1e-12)
    assert distance.curves[0].values == pytest.approx([np.linalg.norm(t)])
    assert frame_range([distance, path]) == (-0.5, 0.5)
