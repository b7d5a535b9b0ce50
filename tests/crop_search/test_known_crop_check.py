"""A known crop against the stored pictures: one pixel off is seen, and so is another video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scenes import Scene, as_h264, as_jpeg

from being_remote.camera.crop import crop_from_box
from being_remote.crop_search import known_crop_check
from being_remote.crop_search.crop_rendering import Box4
from being_remote.crop_search.known_crop_check import check_crop
from being_remote.crop_search.picture_matching import Frames, Match, PictureView
from being_remote.crop_search.registration import Fit

SMALL = Scene(size_wh=(640, 360), box=(190, 490, 30, 330), seed=7, image=256)
STORED = SMALL.stored(range(2, 12))


def _crop(*box: int):  # type: ignore[no-untyped-def]  # a Crop
    return crop_from_box(box, SMALL.size_wh, (256, 256))


def test_the_right_crop_agrees_to_the_pixel() -> None:
    check = check_crop(_crop(*SMALL.box), STORED, SMALL.source(12))
    assert (check.agrees, check.exact, check.frame_offset, check.reason) == (True, True, 0, "")
    assert len(check.frames) == 3


@pytest.mark.parametrize(
    "box", [(191, 491, 30, 330), (190, 490, 29, 329), (189, 491, 29, 331), (190, 492, 30, 332)]
)
def test_a_crop_one_pixel_off_does_not_agree_and_the_right_one_is_named(box: tuple[int, ...]) -> None:
    check = check_crop(_crop(*box), STORED, SMALL.source(12))
    assert (check.agrees, check.exact) == (False, False)
    assert "side 300.0 at 190.0, 30.0" in check.reason


@pytest.mark.slow
def test_it_also_agrees_where_source_and_pictures_were_compressed() -> None:
    check = check_crop(_crop(*SMALL.box), STORED, SMALL.source(12, lambda f: as_jpeg(f, 40)))
    assert (check.agrees, check.exact, check.frame_offset) == (True, False, 0)
    assert (
        check_crop(_crop(191, 491, 30, 330), STORED, SMALL.source(12, lambda f: as_jpeg(f, 40))).agrees
        is False
    )


def test_the_pixels_are_only_called_equal_where_those_of_every_picture_are() -> None:
    lossy = [
        replace(one, picture=as_jpeg(one.picture, 95)) if n == 0 else one for n, one in enumerate(STORED)
    ]
    check = check_crop(_crop(*SMALL.box), lossy, SMALL.source(12))
    assert check.agrees and [e.equal for e in check.frames].count(True) == 2
    assert not check.exact


def test_pictures_that_are_all_placed_vaguely_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def vague(view: PictureView, frames: Frames, box: Box4, offset: int, *, wide: bool) -> Match:
        fit = Fit(box, np.full(4, 0.08), np.zeros(2), np.zeros(2), 0.99)
        return Match(view, offset, True, fit, parts=50, mismatch=0.0)

    monkeypatch.setattr(known_crop_check, "search_near", vague)
    check = check_crop(_crop(*SMALL.box), STORED, SMALL.source(12))
    assert check.agrees is None and len(check.frames) == 3
    assert "is placed only to +-0.08 px" in check.reason


def test_the_offset_of_the_frame_numbers_is_reported() -> None:
    check = check_crop(_crop(*SMALL.box), SMALL.stored(range(4, 12), claimed=-1), SMALL.source(14))
    assert (check.agrees, check.frame_offset) == (True, 1)


@pytest.mark.slow
def test_another_take_does_not_agree() -> None:
    check = check_crop(_crop(*SMALL.box), STORED, replace(SMALL, take=1).source(12))
    assert check.agrees is False
    assert "something else" in check.reason


def test_flat_pictures_leave_it_unknown() -> None:
    flat = [replace(one, picture=np.full((256, 256, 3), 99, np.uint8)) for one in STORED]
    check = check_crop(_crop(*SMALL.box), flat, SMALL.source(12))
    assert check.agrees is None
    assert check.reason


def test_a_clip_of_something_else_entirely_does_not_agree() -> None:
    # Registration runs away there, which is no reason to leave the question open.
    noise = SMALL.source(12, lambda f: np.random.default_rng(1).integers(0, 256, f.shape).astype(np.uint8))
    assert check_crop(_crop(*SMALL.box), STORED, noise).agrees is False


@pytest.mark.slow
def test_strong_compression_leaves_the_right_crop_undenied(tmp_path: Path) -> None:
    scene = Scene(size_wh=(640, 360), box=(219, 477, 10, 268), backdrop="plain", fill=0.4, seed=64)
    squeezed = as_h264(tmp_path / "video.mp4", scene, 8, 35)
    truth, other = (crop_from_box((x, x + 258, 10, 268), scene.size_wh, (512, 512)) for x in (219, 221))
    check = check_crop(truth, scene.stored([2, 5, 7]), squeezed)
    assert check.agrees is not False, check.reason
    assert max(e.mismatch for e in check.frames) > 0.04, "no longer a hard case"
    assert check_crop(other, scene.stored([2, 5, 7]), squeezed).agrees is False
