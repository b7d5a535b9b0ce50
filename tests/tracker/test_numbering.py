"""The off-by-ones between a frame's id, the source image and the video."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from being_remote.tracker.numbering import source_frame_number, source_time_s, video_frame_index


def test_the_shipped_configs_skip_one_frame_so_frame_0_is_image_2() -> None:
    # Reading the id as the image's number gives 0, and forgetting begin_frames gives 1.
    assert source_frame_number(0, begin_frames=1) == 2
    assert source_frame_number(837, begin_frames=0) == 838


def test_the_first_source_image_is_the_start_of_the_video() -> None:
    assert source_time_s(1) == 0
    assert source_time_s(26, fps=25) == 1.0


def _by_ffmpegs_rule(number: int, source_fps: Fraction, video_fps: Fraction) -> int:
    """Frame by frame: each goes to the place that its time rounds to, later ones overwrite."""
    shown = None
    for i in range(10_000):
        place = math.floor(i * source_fps / video_fps + Fraction(1, 2))
        if place > number - 1:
            break
        shown = i
    assert shown is not None
    return shown


@pytest.mark.parametrize(
    "video_fps", ["15", "24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60"]
)
def test_a_source_image_shows_the_frame_that_ffmpegs_fps_filter_puts_there(video_fps: str) -> None:
    rate = Fraction(video_fps)
    for number in (*range(1, 200), 838):
        assert video_frame_index(number, 25, float(rate)) == _by_ffmpegs_rule(number, Fraction(25), rate)


def test_a_video_of_60_fps_starts_with_its_second_frame() -> None:
    # The nearest in time would be frame 0, and the number as an index lags 58 % behind.
    assert video_frame_index(1, 25, 60) == 1
    assert video_frame_index(101, 25, 60) == 241


@pytest.mark.parametrize(
    "call",
    [
        lambda: source_frame_number(-1, 0),
        lambda: source_frame_number(0, -1),
        lambda: source_time_s(0),
        lambda: source_time_s(1, fps=0),
        lambda: source_time_s(1, fps=float("nan")),
        lambda: video_frame_index(0, 25, 25),
        lambda: video_frame_index(1, 25, float("inf")),
        lambda: video_frame_index(1, 0, 25),
    ],
)
def test_numbers_that_mean_no_frame_are_refused(call: object) -> None:
    with pytest.raises(ValueError, match=r"negative|start at 1"):
        call()  # type: ignore[operator]  # callables without arguments
