"""Proposals lie where the picture was cut; a frame is told from its neighbours only where it is better."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scenes import Scene

from being_remote.crop_search.crop_rendering import content_window, grey_of
from being_remote.crop_search.image_search import from_images
from being_remote.crop_search.picture_matching import Frames, _climb, match_features, prepare_view

SCENE = Scene(size_wh=(960, 540), box=(240, 740, 20, 520), seed=11, image=256)
FRAME = SCENE.frame(3)
STORED = grey_of(SCENE.crop(FRAME))


def test_features_propose_the_place_to_a_fraction_of_a_crop_pixel() -> None:
    box = match_features(STORED, content_window(STORED), grey_of(FRAME))
    assert box is not None
    assert np.abs(box[:2] - 500).max() < 1
    middle = box[2:] + box[:2] / 2
    assert np.abs(middle - (490, 270)).max() < 0.4  # half a crop pixel is one of the source here


def test_features_of_a_turned_frame_propose_nothing() -> None:
    for degrees, proposed in ((0.5, True), (3.0, False), (-3.0, False)):
        A = cv2.getRotationMatrix2D((490, 270), degrees, 1)
        turned = np.asarray(cv2.warpAffine(FRAME, A, SCENE.size_wh), dtype=np.uint8)
        found = match_features(STORED, content_window(STORED), grey_of(turned))
        assert (found is not None) is proposed, degrees


def test_frames_are_counted_from_1_to_the_last() -> None:
    frames = Frames(SCENE.source(5))
    assert [frames.has(number) for number in (-1, 0, 1, 5, 6)] == [False, False, True, True, False]


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ({-1: 0.5, 0: 0.95, 1: 0.5}, True),
        ({-1: 0.5, 0: 0.95, 1: 0.948}, False),
        ({-1: 0.948, 0: 0.95, 1: 0.5}, False),
    ],
)
def test_a_frame_is_told_only_where_it_fits_better_than_both_its_neighbours(
    scores: dict[int, float], told: bool
) -> None:
    view = prepare_view(SCENE.stored([3])[0])
    assert _climb(view, Frames(SCENE.source(5)), scores.__getitem__, 0) == (0, told)


def test_a_pattern_that_repeats_gives_no_crop_and_is_named() -> None:
    checks = Scene(size_wh=(640, 360), box=(190, 490, 30, 330), backdrop="checks", fill=0, image=256)
    found = from_images(checks.stored(range(2, 5)), checks.source(5))
    assert (found.grade, found.crop) == ("unknown", None)
    assert "a pattern repeats" in found.reason
