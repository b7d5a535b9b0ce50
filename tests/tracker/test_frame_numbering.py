"""The off-by-ones between a frame's id, the source image and the video."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from being_remote.tracker.frame_numbering import (
    source_frame_number,
    source_frame_numbers,
    source_time_s,
    video_frame_index,
)


def test_the_shipped_configs_skip_one_frame_so_frame_0_is_image_2() -> None:
    # Reading the id as the image's number gives 0, and forgetting begin_frames gives 1.
    assert source_frame_number(0, begin_frames=1) == 2
    assert source_frame_number(837, begin_frames=0) == 838


def test_gaps_keep_the_numbers_of_the_frames_that_are_left() -> None:
    # Counted over the files that are there, the third would be image 4.
    assert [source_frame_number(i, begin_frames=1) for i in (0, 1, 5)] == [2, 3, 7]


def test_targets_that_count_images_from_0_and_from_1_meet_the_same_moment() -> None:
    # GaussianTalker's img_id is 0-based, ffmpeg's file is 1-based, FlashAvatar wants frame_id + 1:
    # with begin_frames 1 these are three numbers for one picture.
    number = source_frame_number(10, begin_frames=1)
    assert (number, number - 1, 10 + 1) == (12, 11, 11)
    assert source_time_s(number) == 11 / 25
    assert video_frame_index(number, 25, 25) == 11 and video_frame_index(number, 25, 50) == 22


def test_another_fps_moves_the_time_but_not_the_number() -> None:
    assert source_time_s(source_frame_number(24, 0), fps=50) == 0.48
    assert video_frame_index(25, 50, 25) == 12  # every frame stands there twice


@pytest.mark.parametrize("count", [1, 9_999, 10_000, 99_999, 100_000, 100_001, 100_019, 123_456])
def test_source_images_beyond_five_digits_are_counted_in_the_trackers_text_order(count: int) -> None:
    names = sorted(f"{n:05d}.png" for n in range(1, count + 1))
    wanted = [int(name[:-4]) for name in names]
    assert source_frame_numbers(range(count), 0, source_images=count).tolist() == wanted
    assert source_frame_number(count - 1, 0, source_images=count) == wanted[-1]
    assert source_frame_numbers(range(0, count - 7, 13), 7, count).tolist() == wanted[7::13]


@pytest.mark.soak
@pytest.mark.parametrize("count", [999_999, 1_000_000, 1_234_567])
def test_every_place_among_a_million_source_images(count: int) -> None:
    names = sorted(f"{n:05d}.png" for n in range(1, count + 1))
    wanted = [int(name[:-4]) for name in names]
    assert source_frame_numbers(range(count), 0, source_images=count).tolist() == wanted


def test_up_to_99999_images_the_count_changes_nothing_and_beyond_it_does() -> None:
    assert source_frame_number(10_000, 1, source_images=99_999) == source_frame_number(10_000, 1) == 10_002
    assert source_frame_number(10_000, 1, source_images=100_000) == 10_001
    assert source_frame_number(9_999, 1, source_images=100_000) == 100_000


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
        lambda: source_frame_number(5, 1, source_images=6),
        lambda: source_frame_numbers([0, 5], 1, 6),
        lambda: source_frame_numbers([3, -1], 0),
        lambda: source_time_s(0),
        lambda: source_time_s(1, fps=0),
        lambda: source_time_s(1, fps=float("nan")),
        lambda: video_frame_index(0, 25, 25),
        lambda: video_frame_index(1, 25, float("inf")),
        lambda: video_frame_index(1, 0, 25),
    ],
)
def test_numbers_that_mean_no_frame_are_refused(call: object) -> None:
    with pytest.raises(ValueError, match=r"negative|start at 1|none of 6 images"):
        call()  # type: ignore[operator]  # callables without arguments
