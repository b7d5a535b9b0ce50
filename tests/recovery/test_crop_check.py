"""Frames that were compared by the video's count get the numbers of the poses that show them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from being_remote.crop_search.finding import FrameEvidence
from being_remote.recovery.crop_check import number_in_source


def numbered(frame_id: int, source_number: int, frame_offset: int) -> tuple[int, int, bool]:
    """The source number, offset and certainty of one compared frame of a run of three poses.

    The video shows them in its frames 10, 12 and 13, counted from 0; by the settings they are numbers 2 to
    4, and by the pixels 5 to 7.
    """
    case = SimpleNamespace(frames=SimpleNamespace(frame_ids=np.arange(3)), numbers={0: 2, 1: 3, 2: 4})
    mapped = SimpleNamespace(frames=np.array([10, 12, 13]), offset=3)
    alike = (True, True, 0.0, 1.0, 0.1, (0, 0, 0, 0), (0, 0, 0, 0), 0.0)
    compared = FrameEvidence(frame_id, source_number, True, frame_offset, *alike)
    (found,) = number_in_source([compared], cast(Any, case), cast(Any, mapped))
    return found.source_number, found.frame_offset, found.offset_told


def test_a_crop_found_at_its_own_frame_has_the_number_of_its_pose() -> None:
    assert numbered(1, 13, 0) == (6, 0, True)


def test_a_crop_found_at_the_frame_of_another_pose_has_its_own_number_and_its_offset() -> None:
    assert numbered(1, 13, 1) == (6, 1, True)
    assert numbered(1, 13, -2) == (6, -1, True)  # two frames of the video are one of source/


def test_a_crop_found_at_a_frame_of_no_pose_is_listed_at_its_own_with_an_unknown_offset() -> None:
    assert numbered(0, 11, 1) == (5, 0, False)
