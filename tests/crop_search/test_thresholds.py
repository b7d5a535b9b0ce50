"""The thresholds of grading, consensus and check: made-up evidence on both sides of each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from being_remote.camera.crop import crop_from_box
from being_remote.camera.free_crop import free_crop
from being_remote.crop_search.finding import FrameEvidence, StoredCrop
from being_remote.crop_search.image_search import common_offset, grade_crop
from being_remote.crop_search.known_crop_check import _judge
from being_remote.crop_search.picture_consensus import Consensus, find_consensus
from being_remote.crop_search.picture_matching import Match, prepare_view
from being_remote.crop_search.registration import Fit
from being_remote.crop_search.whole_pixels import whole_box

CROP = crop_from_box((400, 900, 100, 600), (1280, 720), (512, 512))
BOX = np.array([500.0, 500, 400, 100])
EVIDENCE = FrameEvidence(0, 1, True, 0, True, True, 0.0, 0.9, 0.01, (0, 0, 1, 0), (0, 0, 0, 0), 0.0)
RNG = np.random.default_rng(0)
VIEW = prepare_view(StoredCrop(0, 1, RNG.integers(0, 255, (64, 64, 3), np.uint8), ""))


def match(box: Any = BOX, *, std: float = 0.02, n: int = 0, **more: Any) -> Match:
    """A picture that was found, good unless `more` says otherwise."""
    fit = Fit(np.asarray(box, float), np.full(4, std), np.zeros(2), np.full(2, 0.02), more.pop("score", 0.99))
    fit = replace(fit, skew=np.array(more.pop("skew", (0.0, 0.0)), float))
    view = replace(VIEW, stored=replace(VIEW.stored, frame_id=n))
    return Match(view, 0, True, fit, more.pop("parts", 50), more.pop("mismatch", 0.0))


def consensus(std: float = 0.02, box: Any = BOX) -> Consensus:
    return Consensus((match(),), (), 0, np.asarray(box, float), np.full(4, std))


def grade(evidence: list[FrameEvidence], std: float = 0.02) -> str:
    return grade_crop(consensus(std), CROP, evidence)[0]


# Grading

LOSSY = replace(EVIDENCE, equal=False)


def test_exact_takes_three_equal_pictures_with_a_margin() -> None:
    assert grade([EVIDENCE] * 3) == "exact"
    assert grade([EVIDENCE] * 3 + [LOSSY]) == "exact"
    assert grade([EVIDENCE] * 2 + [LOSSY]) == "verified"
    assert grade([EVIDENCE] * 2 + [replace(EVIDENCE, margin=0.0)]) != "exact"
    too_few = grade_crop(consensus(), CROP, [EVIDENCE] * 2)
    assert too_few == ("estimated", "only 2 of the pictures could be compared; it takes 3")
    assert grade([EVIDENCE] * 2 + [replace(EVIDENCE, agrees=False)]) == "estimated"


def test_verified_takes_a_margin_of_a_twentieth_of_what_is_missing() -> None:
    above, below = (replace(LOSSY, margin=0.1 * share) for share in (0.051, 0.049))
    assert grade([above] * 3) == "verified"
    assert grade([below] * 3) == "estimated"


def test_verified_takes_three_clear_pictures_and_three_quarters_of_all() -> None:
    unclear = replace(LOSSY, margin=0.0)
    assert grade([LOSSY] * 3 + [unclear]) == "verified"
    assert grade([LOSSY] * 3 + [unclear] * 2) == "estimated"
    assert grade([LOSSY] * 2 + [unclear]) == "estimated"


@pytest.mark.parametrize(("std", "wanted"), [(0.119, "verified"), (0.121, "estimated")])
def test_verified_takes_a_standard_error_below_an_eighth_of_a_pixel(std: float, wanted: str) -> None:
    assert grade([LOSSY] * 3, std) == wanted


def test_a_crop_that_is_not_whole_is_an_estimate_however_sure() -> None:
    crop = free_crop((500.0, 500.0), (400.0, 100.0), (1280, 720), (512, 512), (0.0, 0.0))
    for std, says in ((0.119, "the tracker makes no such crop"), (0.121, "is not whole")):
        found, why = grade_crop(consensus(std), crop, [EVIDENCE] * 5)
        assert found == "estimated" and says in why


@pytest.mark.parametrize(("offset", "near"), [(0.149, True), (0.151, False), (-0.149, True), (-0.151, False)])
def test_whole_numbers_are_those_within_a_seventh_of_a_pixel(offset: float, near: bool) -> None:
    for axis in range(4):
        box = BOX.copy()
        box[axis] += offset
        assert (whole_box(box) == (500, 500, 400, 100)) is near


def test_a_frame_offset_is_that_of_three_quarters_of_those_that_show_one() -> None:
    one, two = replace(EVIDENCE, frame_offset=1), replace(EVIDENCE, frame_offset=2)
    assert common_offset([one] * 3 + [two]) == 1
    assert common_offset([one] * 2 + [two]) is None
    dumb = replace(two, offset_told=False)
    assert common_offset([one] + [dumb] * 5) == 1
    assert common_offset([one] + [replace(two, agrees=False)] * 5) == 1
    assert common_offset([dumb]) is None


# What counts as found


@pytest.mark.parametrize(
    ("more", "good"),
    [
        ({"score": 0.61}, True),
        ({"score": 0.59}, False),
        ({"mismatch": 0.039}, True),
        ({"mismatch": 0.041}, False),
        ({"parts": 6}, True),
        ({"parts": 5}, False),
    ],
)
def test_a_picture_is_found_where_score_parts_and_mismatch_all_say_so(
    more: dict[str, Any], good: bool
) -> None:
    assert match(**more).good is good


# Consensus


def agreed(*matches: Match | None) -> bool:
    return isinstance(find_consensus(matches), Consensus)


@pytest.mark.parametrize(("off", "one"), [(0.49, True), (0.51, False)])
def test_pictures_share_a_box_within_half_a_pixel_or_five_standard_errors(off: float, one: bool) -> None:
    for axis in range(4):
        box = BOX.copy()
        box[axis] += off
        assert agreed(match(), match(), match(box)) is one
        assert agreed(match(std=0.2), match(std=0.2), match(box, std=0.2))


def test_half_of_the_pictures_may_be_found_nowhere_and_no_more() -> None:
    assert agreed(match(), match(), None, None)
    assert not agreed(match(), match(), None, None, None)
    bad = match(mismatch=0.5)
    assert agreed(match(), match(), bad, None)
    assert not agreed(match(), match(), bad, bad, None)


def test_one_picture_of_another_box_is_too_many_however_vague_it_is() -> None:
    def other(px: float, std: float) -> Match:
        return match(np.add(BOX, [0, 0, px, 0]), std=std)

    assert not agreed(match(), match(), match(), other(3.1, 0.5))
    assert agreed(match(), match(), match(), other(2.9, 0.5))
    assert not agreed(match(), match(), match(), other(1.1, 0.04))  # 25 standard errors are 1 px
    assert agreed(match(), match(), match(), other(0.9, 0.04))


@pytest.mark.parametrize(("skew", "crop"), [(0.59, True), (0.61, False)])
def test_a_source_turned_either_way_gives_no_crop(skew: float, crop: bool) -> None:
    for way in ((skew, 0.0), (-skew, 0.0), (0.0, skew), (0.0, -skew)):
        assert agreed(*[match(skew=way)] * 3) is crop  # half a pixel and five standard errors of 0.02


@pytest.mark.parametrize(("std", "crop"), [(4.9, True), (5.1, False)])
def test_a_box_that_is_placed_to_a_hundredth_of_its_side_only_is_none(std: float, crop: bool) -> None:
    assert agreed(*[match(std=std)] * 3) is crop


@pytest.mark.parametrize(("wider", "crop"), [(3.5, True), (3.7, False)])
def test_a_source_that_is_stretched_beyond_rounding_gives_no_crop(wider: float, crop: bool) -> None:
    # 0.5 % of the mean side, one pixel, and five standard errors of 0.02.
    assert agreed(*[match(np.add(BOX, [wider, 0, 0, 0]))] * 3) is crop


# Check


def kind(found: Match) -> str:
    return _judge(found, BOX)[0]


@pytest.mark.parametrize(("off", "wanted"), [(0.39, "for"), (0.41, "against")])
def test_a_box_is_confirmed_within_a_third_of_a_pixel_and_ten_standard_errors(
    off: float, wanted: str
) -> None:
    for axis in range(4):
        box = BOX.copy()
        box[axis] -= off
        assert kind(match(box, std=0.01)) == wanted


@pytest.mark.parametrize(("std", "wanted"), [(0.069, "for"), (0.071, "doubtful")])
def test_a_picture_that_is_placed_to_a_pixel_only_is_no_proof(std: float, wanted: str) -> None:
    assert kind(match(std=std)) == wanted


def test_what_compression_can_make_of_the_same_frame_is_doubtful_and_more_is_against() -> None:
    assert kind(match(mismatch=0.119)) == "doubtful"
    assert kind(match(mismatch=0.121)) == "against"
    assert kind(match(mismatch=0.1, score=0.59)) == "against"
    assert kind(match(np.add(BOX, [0, 0, 1, 0]), mismatch=0.1)) == "against"
