"""Drawings show what they are handed where they say, and gaps as gaps."""

from __future__ import annotations

import json
import time

import cv2
import numpy as np
import pytest

from being_remote.camera.crop import crop_from_box, resize_only
from being_remote.camera.intrinsics import intrinsics_in_source
from being_remote.report import chart as chart_module
from being_remote.report.chart import COLOURS, MAX_PANELS, WIDTH_PX, Curve, Panel, chart, runs, ticks
from being_remote.report.diagram import Rect, diagram
from being_remote.report.pictures import jpeg, spread
from being_remote.report.plots import camera_path, head_angles_deg, intrinsics, parameter_curves, residuals

LEFT, RIGHT = 104, WIDTH_PX - 34  # of the one panel of a chart
FOOT = 76 + 300 - 50
BLUE, ORANGE = COLOURS[:2]


def like(picture: np.ndarray, colour: tuple[int, int, int], tolerance: int = 30) -> np.ndarray:
    return np.abs(picture.astype(int) - colour).max(axis=-1) <= tolerance


def one(curve: Curve, **more: object) -> np.ndarray:
    return chart("", [Panel("", "", (curve,), **more)])  # type: ignore[arg-type]  # dots, limit


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that is written onto pictures."""
    written: list[str] = []
    real = cv2.putText

    def put(picture: np.ndarray, text: str, *more: object) -> object:
        written.append(text)
        return real(picture, text, *more)  # type: ignore[call-overload]  # passed on as they came

    monkeypatch.setattr(chart_module.cv2, "putText", put)
    return written


def columns_of_the_line(picture: np.ndarray, colour: tuple[int, int, int] = BLUE) -> np.ndarray:
    """For each frame of 0..1000, whether the curve is drawn there; the marks at the foot are not it."""
    drawn = like(picture[138 : FOOT - 12], colour, 60).any(axis=0)
    x = LEFT + np.arange(1001) / 1000 * (RIGHT - LEFT)
    return drawn[np.round(x).astype(int)]


def test_a_curve_is_drawn_where_its_frames_are_and_breaks_where_they_are_not() -> None:
    ids = np.array([i for i in range(1001) if not 300 < i < 400])
    picture = one(Curve("", ids, np.sin(ids / 100)))
    drawn = columns_of_the_line(picture)
    assert drawn[:300].all() and drawn[401:].all() and not drawn[303:397].any()
    marks = like(picture[FOOT - 6 : FOOT - 1], BLUE).all(axis=0)
    at = (np.flatnonzero(marks) - LEFT) / (RIGHT - LEFT) * 1000
    assert at.min() == pytest.approx(300, abs=2) and at.max() == pytest.approx(400, abs=2)


def test_a_single_missing_frame_among_many_is_marked_wide_enough_to_see() -> None:
    ids = np.delete(np.arange(100_000), 50_000)
    marks = like(one(Curve("", ids, ids % 7))[FOOT - 6 : FOOT - 1], BLUE).all(axis=0)
    assert 3 <= marks.sum() <= 6


def test_values_that_are_not_finite_are_gaps_as_well() -> None:
    values = np.sin(np.arange(1001) / 100)
    values[500:600] = np.nan
    values[700:800] = 1e300
    drawn = columns_of_the_line(one(Curve("", np.arange(1001), values)))
    assert drawn[:500].all() and not drawn[503:597].any() and not drawn[703:797].any() and drawn[801:].all()


def test_every_tenth_frame_is_no_gap_but_a_hole_among_them_is() -> None:
    ids = np.delete(np.arange(0, 1001, 10), [50, 51])
    drawn = columns_of_the_line(one(Curve("", ids, ids * 0.001)))
    assert drawn[:490].all() and not drawn[494:516].any() and drawn[521:].all()


def test_higher_values_are_drawn_higher_and_panels_share_their_frames() -> None:
    short = Curve("", np.arange(500, 1001), np.linspace(0, 1, 501))
    full = Curve("", np.arange(1001), np.zeros(1001))
    picture = chart("", [Panel("", "", (short,)), Panel("", "", (full,))])
    rows, cols = np.nonzero(like(picture[138 : FOOT - 12], BLUE, 20))
    assert cols.min() == pytest.approx((LEFT + RIGHT) / 2, abs=3)
    assert rows[cols < cols.min() + 20].mean() > rows[cols > cols.max() - 20].mean() + 100


def test_a_frozen_parameter_is_called_constant_and_a_moving_one_is_not(words: list[str]) -> None:
    ids = np.arange(100)
    panel = Panel("jaw opening", "deg", (Curve("flash", ids, 0 * ids), Curve("round 2", ids, np.sin(ids))))
    picture = parameter_curves("A against B", [panel] * 3)
    assert "flash (constant)" in words and "round 2" in words and "A against B" in words
    assert picture.shape == (76 + 2 * 300, WIDTH_PX, 3)  # two beside each other
    assert like(picture, BLUE).any() and like(picture, ORANGE).any()


def test_residuals_stand_at_their_frames_and_those_over_the_limit_in_another_colour() -> None:
    ids = np.array([0, 250, 500, 1000])
    picture = residuals("x", ids, [0.4, 2.5, np.nan, 0.5], unit="levels", limit=1.5)
    area = picture[138 : FOOT - 1]

    def frames(colour: tuple[int, int, int]) -> set[int]:
        tops = like(area, colour).sum(axis=0) > 8
        return {round((x - LEFT) / (RIGHT - LEFT) * 1000 / 50) * 50 for x in np.flatnonzero(tops)}

    assert frames(BLUE) == {0, 1000}
    assert frames(ORANGE) == {250}
    assert like(area[:, LEFT:RIGHT], (34, 30, 28), 60).sum(axis=1).max() > 400  # the dashed limit


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


def test_the_camera_path_is_the_cameras_centre_not_its_translation(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Panel] = []
    monkeypatch.setattr(
        "being_remote.report.plots.chart", lambda title, panels: drawn.extend(panels) or np.zeros((1, 1, 3))
    )
    R, t = rotation(0, 20) @ rotation(1, 30) @ np.diag([1.0, -1, -1]), np.array([0.3, -0.2, 2.0])
    camera_path("", [0], R[None], t[None])
    centre = [float(np.asarray(curve.values)[0]) for curve in drawn[1].curves]
    assert R @ centre + t == pytest.approx([0, 0, 0], abs=1e-12)
    assert np.asarray(drawn[0].curves[0].values) == pytest.approx([np.linalg.norm(t)])


CROP = crop_from_box((510, 1410, 180, 1080), (1920, 1080), (512, 512))
K_CROP = np.array([[2339.0, 0, 200], [0, 2339, 300], [0, 0, 1]])


def test_both_principal_points_are_drawn_at_their_pixels_and_all_figures_written(words: list[str]) -> None:
    K = intrinsics_in_source(K_CROP, CROP)
    frame = np.full((1080, 1920, 3), (40, 60, 90), np.uint8)
    picture = intrinsics("roman", CROP, K_CROP, K, frame)
    view = diagram(CROP, K_CROP, K).view
    scale = (WIDTH_PX - 72) / view.width
    ring = like(picture, BLUE, 12)
    image_x, image_y = diagram(CROP, K_CROP, K).image.x, diagram(CROP, K_CROP, K).image.y
    for x, y in ((K[0, 2], K[1, 2]), (image_x + 200, image_y + 300)):
        px, py = round(36 + (x - view.x) * scale), round(76 + (y - view.y) * scale)
        assert ring[py, px - 12 : px + 13].sum() >= 4 and ring[py - 12 : py + 13, px].sum() >= 4
        ring[py - 16 : py + 17, px - 16 : px + 17] = False
    assert not ring.any()  # and nowhere else
    text = " ".join(words)
    for figure in ("2339.0000", "200.0000, 300.0000", f"{K[0, 0]:.4f}", f"{K[0, 2]:.4f}, {K[1, 2]:.4f}"):
        assert figure in text
    assert "199.5000, 299.5000" in text and f"{K[0, 2] - 0.5:.4f}" in text


@pytest.mark.parametrize("wide", [True, False])
def test_what_the_tracker_saw_is_shown_as_it_is_and_its_padding_is_black(wide: bool) -> None:
    colour = (40, 60, 90)
    box = (510, 1410, 1, 601) if wide else (1, 601, 90, 990)
    crop = crop_from_box(box, (1920, 1080), (512, 512))
    K = intrinsics_in_source(K_CROP, crop)
    drawn = diagram(crop, K_CROP, K)
    assert drawn.padded == (Rect(510, -149, 900, 900) if wide else Rect(-149, 90, 900, 900))
    picture = intrinsics("", crop, K_CROP, K, np.full((1080, 1920, 3), colour, np.uint8))
    scale = (WIDTH_PX - 72) / drawn.view.width

    def at(x: float, y: float) -> tuple[int, ...]:
        place = round(76 + (y - drawn.view.y) * scale), round(36 + (x - drawn.view.x) * scale)
        return tuple(picture[place].tolist())

    def in_image(u: float, v: float) -> tuple[int, ...]:
        return at(drawn.image.x + u, drawn.image.y + v) if wide else at(drawn.image.x + v, drawn.image.y + u)

    # 150 of 900 px on each side are padding: 85 of 512.
    assert in_image(100, 75) == in_image(100, 437) == (0, 0, 0)
    assert in_image(100, 95) == in_image(100, 417) == colour
    assert at((box[0] + box[1]) / 2, box[2] + 40) == colour
    assert min(at(1800, 1000)) > 120  # what it never saw is pale


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
def test_any_size_and_any_principal_point_can_be_drawn(crop: object, far: float) -> None:
    K = np.array([[900.0, 0, far], [0, 900, -far], [0, 0, 1]])
    assert intrinsics("ünïcode \x1b[31m", crop, K, K).shape[1] == WIDTH_PX  # type: ignore[arg-type]  # a Crop


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
@pytest.mark.parametrize("dots", [False, True])
def test_any_numbers_can_be_drawn(ids: list[int], values: list[float], dots: bool) -> None:
    assert one(Curve("x" * 500, ids, values), dots=dots).shape == (376, WIDTH_PX, 3)


@pytest.mark.parametrize(
    ("ids", "values"), [([0, 0], [1, 2]), ([1, 0], [1, 2]), ([0], [1, 2]), ([[0]], [[1]])]
)
def test_frames_and_values_that_do_not_belong_together_are_refused(
    ids: list[int], values: list[float]
) -> None:
    with pytest.raises(ValueError):
        one(Curve("jaw", ids, values))


@pytest.mark.parametrize("count", [0, MAX_PANELS + 1])
def test_no_panel_and_too_many_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="panels"):
        chart("", [Panel("", "", ())] * count)


def test_a_hundred_thousand_frames_are_drawn_in_a_moment() -> None:
    cv2.setNumThreads(1)
    ids = np.arange(100_000)
    R = np.repeat(np.diag([1.0, -1, -1])[None], len(ids), axis=0)
    t = np.random.default_rng(0).normal([0, 0, 1], 0.01, (len(ids), 3))
    start = time.perf_counter()
    camera_path("long", ids, R, t)
    assert time.perf_counter() - start < 5


def test_ticks_are_round_and_inside() -> None:
    for low, high in [(0, 1), (-3.7, 12.2), (4111.2, 4111.9), (1e-12, 3e-12), (-1e29, 1e29)]:
        values = [v for v, _ in ticks(low, high, 4)]
        room = 1e-6 * (high - low)
        assert 2 <= len(values) <= 9 and low - room <= values[0] and values[-1] <= high + room
    assert "-0.0" not in json.dumps([t for _, t in ticks(-1.0, 1.0, 4)])


def test_runs_are_found() -> None:
    finite = np.array([True, False, True, True])
    assert runs(np.arange(4.0), finite) == [slice(0, 1), slice(2, 4)]


def test_frames_to_show_are_the_first_the_last_and_evenly_between() -> None:
    for count in (1, 2, 11, 12, 13, 838, 100_000):
        chosen = spread(count, 12)
        assert len(chosen) == min(count, 12) and chosen[0] == 0 and chosen[-1] == count - 1
        steps = np.diff(chosen)
        assert count == 1 or steps.max() - steps.min() <= 1
    assert spread(5, 1) == [0] and spread(5, 0) == []


def test_a_wide_picture_becomes_a_small_jpeg_and_a_small_one_keeps_its_size() -> None:
    wide = np.full((2160, 3840, 3), (30, 120, 200), np.uint8)
    data = jpeg(wide)
    small = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert data.startswith(b"\xff\xd8\xff") and small.shape == (720, 1280, 3) and len(data) < 40_000
    assert np.abs(small.astype(int) - (30, 120, 200)).max() < 6
    assert cv2.imdecode(np.frombuffer(jpeg(wide[:90, :160]), np.uint8), 1).shape == (90, 160, 3)
