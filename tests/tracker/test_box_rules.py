"""A box that the tracker would not have written on a video is named so, and one that it would have is not."""

from __future__ import annotations

import pytest

from being_remote.tracker.box_file import Box
from being_remote.tracker.box_rules import cut_axes, find_edits, is_square_before_cut

FULL_HD = (1920, 1080)


@pytest.mark.parametrize(
    ("box", "square"),
    [
        ((510, 1410, 90, 990), True),
        ((510, 1410, 1, 839), True),  # the upper border cut its height
        ((510, 1410, 241, 1079), True),
        ((1, 839, 90, 990), True),  # the left border cut its width
        ((1081, 1919, 90, 990), True),
        ((510, 1410, 100, 938), False),
        ((510, 1348, 90, 990), False),
        ((1, 901, 100, 938), False),  # a border cut the longer side, which leaves the shorter one unexplained
        ((510, 1348, 1, 901), False),
    ],
)
def test_a_box_is_square_unless_a_border_cut_its_shorter_side(box: Box, square: bool) -> None:
    assert is_square_before_cut(box, FULL_HD) is square
    swapped = (*box[2:], *box[:2])
    assert is_square_before_cut(swapped, FULL_HD[::-1]) is square


def test_a_border_cuts_at_the_first_and_the_last_but_one_pixel_and_an_even_side_begins_at_1() -> None:
    for x, y, cut in (
        ((2, 1918), (2, 1078), (False, False)),
        ((1, 1918), (2, 1078), (True, False)),
        ((0, 1918), (1, 1078), (True, True)),
        ((2, 1919), (2, 1078), (True, False)),
        ((2, 1918), (2, 1079), (False, True)),
    ):
        assert cut_axes((*x, *y), FULL_HD) == cut


def test_a_box_up_to_the_last_pixel_that_the_tracker_uses_is_not_called_edited() -> None:
    assert find_edits((1119, 1919, 279, 1079), FULL_HD) == []
    for box in ((1120, 1920, 279, 1079), (1119, 1919, 280, 1080)):
        assert ["last column or row" in problem for problem in find_edits(box, FULL_HD)] == [True]
