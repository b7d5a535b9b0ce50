"""An estimate is made whole only where no neighbour, no other padding and no second box fits the pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scenes import Drawn, Picture, Scene

from being_remote.camera.crop import crop_from_box
from being_remote.camera.free_crop import FreeCrop
from being_remote.crop_search.crop_rendering import content_window, grey_of, make_crop
from being_remote.crop_search.picture_consensus import Consensus
from being_remote.crop_search.picture_matching import Frames, Match, prepare_view
from being_remote.crop_search.registration import Fit
from being_remote.crop_search.whole_pixels import (
    _black,
    compare_with_crop,
    make_whole,
    move_box,
    runner_up,
    score_box,
    score_lattice,
)

SCENE = Scene(size_wh=(640, 360), box=(150, 450, 20, 320), seed=11, image=256)


def agreed(scene: Scene, box: Any) -> tuple[Consensus, Frames]:
    """What a picture of a scene says that was found in this box, and the frames."""
    fit = Fit(np.array(box, float), np.full(4, 0.02), np.zeros(2), np.zeros(2), 0.99)
    matches = tuple(Match(prepare_view(one), 0, True, fit, 50, 0.0) for one in scene.stored([2]))
    return Consensus(matches, (), 0, fit.box, fit.std), Frames(scene.source(6))


def test_an_estimate_beside_the_box_that_fits_best_is_not_made_whole() -> None:
    assert make_whole(*agreed(SCENE, (300, 300, 150, 20))) == crop_from_box(SCENE.box, (640, 360), (256, 256))
    for beside in ((300, 300, 151, 20), (301, 301, 150, 20)):
        assert isinstance(make_whole(*agreed(SCENE, beside)), FreeCrop), beside


@pytest.mark.parametrize("box", [(100, 400, 1, 219), (100, 400, 0, 220)])
def test_of_two_paddings_with_one_map_the_one_that_the_pixels_show_is_taken(box: tuple[int, ...]) -> None:
    scene = replace(SCENE, box=box, backdrop="grain")
    crop = crop_from_box(box, (640, 360), (256, 256))
    assert make_whole(*agreed(scene, (300, 300, 100, -40))) == crop


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_a_picture_that_shows_something_in_any_bar_was_not_cut_so(side: str) -> None:
    box = (100, 400, 1, 219) if side in ("top", "bottom") else (1, 219, 30, 330)
    crop = crop_from_box(box, (640, 360), (256, 256))
    picture = grey_of(make_crop(SCENE.frame(2), crop))
    assert _black(picture, crop, None)
    bar = {"top": np.s_[:20], "bottom": np.s_[-20:], "left": np.s_[:, :20], "right": np.s_[:, -20:]}[side]
    picture[bar] = 90
    assert not _black(picture, crop, None)


def test_pixels_that_a_second_box_gives_as_well_are_no_margin() -> None:
    def faint(number: int) -> Picture:
        frame = np.full((360, 640, 3), 100, np.uint8)
        frame[30:34, 160:164] = frame[308:312, 438:442] = 101
        return frame

    crop = crop_from_box(SCENE.box, (640, 360), (256, 256))
    stored = replace(SCENE.stored([2])[0], picture=make_crop(faint(2), crop))
    fit = Fit(np.array([300.0, 300, 150, 20]), np.full(4, 0.02), np.zeros(2), np.zeros(2), 0.99)
    match, frames = Match(prepare_view(stored), 0, True, fit, 50, 0.0), Frames(Drawn((640, 360), 3, faint))
    assert runner_up(match.view.grey32, match.view.window, frames.grey(2), (300, 300, 150, 20))[1] > 0
    found = compare_with_crop(match, frames, crop, agrees=True)
    assert found.equal and found.margin == 0


def test_the_lattice_keeps_the_centre_where_it_changes_the_side() -> None:
    stored, frame = grey_of(SCENE.crop(SCENE.frame(3))), grey_of(SCENE.frame(3))
    grey, window, box = stored.astype(np.float32), content_window(stored), (300, 300, 150, 20)
    lattice = score_lattice(grey, window, frame, box)
    side, here = list(lattice.side_steps).index(2), list(lattice.shifts_px).index(0)
    moved = move_box(box, (2, 2, -1, -1))
    assert lattice.scores[side, here, here] == score_box(grey, window, frame, moved)
    moved = move_box(box, (2, 2, 0, -3))  # one to the right, two up
    assert lattice.scores[side, here - 2, here + 1] == score_box(grey, window, frame, moved)
