"""The parts of the search, each against what the tracker's own crop does to pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scenes import Scene, as_jpeg

from being_remote.camera.crop import crop_from_box
from being_remote.camera.free_crop import free_crop
from being_remote.crop_search import whole_pixels
from being_remote.crop_search.crop_rendering import (
    Window,
    content_window,
    find_bars,
    grey_of,
    make_crop,
    warp,
    whole_crops,
)
from being_remote.crop_search.picture_difference import mismatch, pixels_equal
from being_remote.crop_search.registration import correlation, register

SCENE = Scene(size_wh=(640, 360), box=(150, 450, 20, 320), seed=11)
FRAME = SCENE.frame(3)
GREY = grey_of(FRAME)
TRUTH = np.array([300.0, 300.0, 150.0, 20.0])
STORED = grey_of(SCENE.crop(FRAME))
WINDOW = content_window(STORED)


def test_the_crop_made_again_is_the_trackers_with_its_bars() -> None:
    for box in ((150, 450, 20, 320), (0, 200, 10, 311), (301, 639, 160, 359), (20, 520, 1, 359)):
        scene = Scene(size_wh=SCENE.size_wh, box=box, seed=1)
        assert pixels_equal(
            scene.crop(FRAME), make_crop(FRAME, crop_from_box(box, SCENE.size_wh, (512, 512)))
        )


@pytest.mark.parametrize("box", [(150, 450, 20, 320), (40, 600, 60, 259)])
def test_the_fractional_crop_is_the_whole_one_where_it_is_whole(box: tuple[int, int, int, int]) -> None:
    crop = crop_from_box(box, SCENE.size_wh, (512, 512))
    made = grey_of(make_crop(FRAME, crop))
    warped = warp(GREY, np.array([*crop.padded_size_wh, *crop.origin]), (0.0, 0.0), (512, 512))
    part = content_window(made)
    assert np.abs(part.of(warped) - part.of(made)).mean() < 0.7
    # Half a pixel more, as with pixel centres on whole numbers, and it is another picture.
    off = warp(
        GREY,
        np.array([*crop.padded_size_wh, crop.origin[0] + 0.5, crop.origin[1] + 0.5]),
        (0.0, 0.0),
        (512, 512),
    )
    assert np.abs(part.of(off) - part.of(made)).mean() > 1.2


@pytest.mark.parametrize("start", [(0, 0, 0, 0), (6, 6, -5, 4), (-12, -12, 9, 3)])
def test_registration_finds_the_box_to_hundredths(start: tuple[float, ...]) -> None:
    fit = register(STORED, WINDOW, GREY, TRUTH + start)
    assert fit is not None
    assert fit.box == pytest.approx(TRUTH, abs=0.02)
    assert fit.skew == pytest.approx((0, 0), abs=0.05)


def test_each_number_of_the_box_is_distinguished_from_the_others() -> None:
    for change in np.eye(4) * 1.0:
        fit = register(grey_of(_crop_at(TRUTH + 4 * change)), WINDOW, GREY, TRUTH)
        assert fit is not None
        assert fit.box == pytest.approx(TRUTH + 4 * change, abs=0.05)


def test_a_turned_source_shows_as_skew_with_its_angle() -> None:
    A = cv2.getRotationMatrix2D((300, 170), 0.5, 1)
    turned = grey_of(np.asarray(cv2.warpAffine(FRAME, A, SCENE.size_wh), dtype=np.uint8))
    fit = register(STORED, WINDOW, turned, TRUTH)
    assert fit is not None
    # OpenCV turns counter-clockwise in a picture whose y goes down: x gains downwards, y loses to the right.
    assert np.rad2deg(fit.skew / 300) == pytest.approx((0.5, -0.5), abs=0.03)


@pytest.mark.slow
def test_the_error_bars_cover_what_compression_does() -> None:
    errors = []
    for number in range(1, 9):
        scene = Scene(size_wh=SCENE.size_wh, box=SCENE.box, seed=11)
        stored = grey_of(scene.crop(scene.frame(number)))
        fit = register(stored, WINDOW, grey_of(as_jpeg(scene.frame(number), 25)), TRUTH, near=True)
        assert fit is not None
        errors.append((fit.box - TRUTH) / fit.std)
    spread = np.sqrt(np.mean(np.square(errors)))
    assert 0.3 < spread < 3


def test_another_gain_and_level_change_nothing() -> None:
    dull = np.clip(0.6 * GREY.astype(float) + 40, 0, 255).astype(np.uint8)
    fit = register(STORED, WINDOW, dull, TRUTH + np.array([2, 2, -1, 1]))
    assert fit is not None
    assert fit.box == pytest.approx(TRUTH, abs=0.03)


def test_the_lattice_puts_the_truth_first_and_climbs_back_to_it() -> None:
    stored, truth = STORED.astype(np.float32), (300, 300, 150, 20)
    step, margin = whole_pixels.runner_up(stored, WINDOW, GREY, truth)
    assert margin > 1e-4
    assert step in whole_pixels.steps()
    assert whole_pixels.runner_up(stored, WINDOW, GREY, (300, 300, 151, 20))[1] < 0
    assert whole_pixels.best_box([(stored, WINDOW, GREY)], (302, 302, 148, 21)) == truth


def test_bars_are_measured_and_kept_out_of_the_comparison() -> None:
    scene = Scene(size_wh=SCENE.size_wh, box=(20, 520, 1, 359), seed=1)
    grey = grey_of(scene.crop(FRAME))
    left, top, right, bottom = find_bars(grey)
    assert (left, right) == (0, 0)
    assert top == pytest.approx(71 * 512 / 500, abs=2)
    assert bottom == pytest.approx(top, abs=1)
    assert content_window(grey) == Window(4, top + 4, 508, 512 - bottom - 4)


def test_of_the_boxes_with_one_map_the_trackers_own_comes_first() -> None:
    first, second = list(whole_crops((300, 300, 100, -40), (640, 360), (512, 512), (0.0, 0.0)))[:2]
    assert (first.y_min, first.y_max, first.pad_y) == (0, 220, 40)
    assert (second.y_min, second.y_max, second.pad_y) == (1, 219, 41)
    (below, *_) = whole_crops((300, 300, 100, 100), (640, 360), (512, 512), (0.0, 0.0))
    assert (below.y_min, below.y_max, below.pad_y) == (141, 359, 41), "the last row is never used"


@pytest.mark.parametrize("box", [(100, 400, 130, 358), (1, 227, 30, 330), (412, 638, 30, 330)])
def test_a_crop_that_ends_one_row_short_of_the_border_is_among_those_of_its_map(box: tuple[int, ...]) -> None:
    crop = crop_from_box(box, (640, 360), (512, 512))
    map_of_it = (*(int(n) for n in crop.padded_size_wh), *(int(n) for n in crop.origin))
    assert crop in list(whole_crops(map_of_it, (640, 360), (512, 512), (0.0, 0.0)))


def test_pixels_are_equal_but_for_a_level_of_one_in_a_thousand() -> None:
    stored = np.full((100, 100, 3), 90, np.uint8)
    few, many, far = stored.copy(), stored.copy(), stored.copy()
    few[0, :10], many[0, :11], far[0, 0, 0] = 91, 91, 92
    assert [pixels_equal(stored, made) for made in (stored, few, many, far)] == [True, True, False, False]


def test_structure_that_only_one_of_two_pictures_has_is_a_difference() -> None:
    stored = np.random.default_rng(3).integers(0, 255, (480, 480)).astype(np.float32)
    flat = stored.copy()
    flat[:, 240:] = stored.mean()
    for a, b in ((stored, flat), (flat, stored)):
        parts, different = mismatch(a, b, Window(0, 0, 480, 480))
        assert parts == 400 and different == pytest.approx(0.5, abs=0.06)


def test_a_part_that_moved_is_seen_though_the_whole_correlates() -> None:
    stored = STORED.astype(np.float32)
    changed = stored.copy()
    changed[200:330, 180:330] = stored[190:320, 172:322]
    assert correlation(stored, changed) > 0.9
    assert mismatch(stored, stored, WINDOW)[1] == 0
    assert mismatch(stored, changed, WINDOW)[1] > 0.04
    # By so little that each part of it still looks much the same.
    changed = stored.copy()
    changed[150:400, 150:360] = stored[148:398, 148:358]
    assert correlation(stored, changed) > 0.95
    assert mismatch(stored, changed, WINDOW)[1] > 0.04


def _crop_at(box: np.ndarray) -> np.ndarray:
    side_x, side_y, x, y = (int(n) for n in box)
    part = FRAME[y : y + side_y, x : x + side_x]
    return np.asarray(cv2.resize(part, (512, 512), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def test_a_free_crop_is_a_crop_with_fractions() -> None:
    crop = free_crop((333.6, 333.3), (280.2, -20.6), (854, 480), (512, 512))
    assert np.allclose(crop.A, [[333.6 / 512, 0, 280.2], [0, 333.3 / 512, -20.6], [0, 0, 1]])
    assert (crop.x_min, crop.x_max, crop.y_min, crop.pad_y) == (280, 614, 0, 21)
    with pytest.raises(ValueError, match="nothing of a crop"):
        free_crop((100, 100), (900, 0), (854, 480), (512, 512))
