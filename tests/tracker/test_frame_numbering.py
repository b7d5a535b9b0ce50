"""The off-by-ones between a frame's id, the source image and the video."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from being_remote.tracker.frame_numbering import frames_in_source, source_frame_numbers


def number_of(frame_id: int, begin_frames: int, source_images: int = 0) -> int:
    return int(source_frame_numbers([frame_id], begin_frames, source_images)[0])


def test_the_shipped_configs_skip_one_frame_so_frame_0_is_image_2() -> None:
    # Reading the id as the image's number gives 0, and forgetting begin_frames gives 1.
    assert number_of(0, begin_frames=1) == 2
    assert number_of(837, begin_frames=0) == 838


def test_gaps_keep_the_numbers_of_the_frames_that_are_left() -> None:
    # Counted over the files that are there, the third would be image 4.
    assert source_frame_numbers([0, 1, 5], begin_frames=1).tolist() == [2, 3, 7]


def test_targets_that_count_images_from_0_and_from_1_meet_the_same_moment() -> None:
    # GaussianTalker's img_id is 0-based, ffmpeg's file is 1-based, FlashAvatar wants frame_id + 1:
    # with begin_frames 1 these are three numbers for one picture.
    number = number_of(10, begin_frames=1)
    assert (number, number - 1, 10 + 1) == (12, 11, 11)
    assert even_video(25, 40)[number - 1] == 11 and even_video(50, 80)[number - 1] == 22


def test_an_fps_above_the_videos_shows_every_frame_twice() -> None:
    assert frames_in_source(np.arange(40) / 25, 50)[25 - 1] == 12


def even_video(rate: float, frames: int) -> list[int]:
    return frames_in_source(np.arange(frames) / rate, 25).tolist()


@pytest.mark.parametrize("count", [1, 9_999, 10_000, 99_999, 100_000, 100_001, 100_019, 123_456])
def test_source_images_beyond_five_digits_are_counted_in_the_trackers_text_order(count: int) -> None:
    names = sorted(f"{n:05d}.png" for n in range(1, count + 1))
    wanted = [int(name[:-4]) for name in names]
    assert source_frame_numbers(range(count), 0, source_images=count).tolist() == wanted
    assert source_frame_numbers(range(0, count - 7, 13), 7, count).tolist() == wanted[7::13]


@pytest.mark.soak
@pytest.mark.parametrize("count", [999_999, 1_000_000, 1_234_567])
def test_every_place_among_a_million_source_images(count: int) -> None:
    names = sorted(f"{n:05d}.png" for n in range(1, count + 1))
    wanted = [int(name[:-4]) for name in names]
    assert source_frame_numbers(range(count), 0, source_images=count).tolist() == wanted


def test_up_to_99999_images_the_count_changes_nothing_and_beyond_it_does() -> None:
    assert number_of(10_000, 1, source_images=99_999) == number_of(10_000, 1) == 10_002
    assert number_of(10_000, 1, source_images=100_000) == 10_001
    assert number_of(9_999, 1, source_images=100_000) == 100_000


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
    shown = even_video(float(rate), 2100)
    for number in (*range(1, 200), 838):
        assert shown[number - 1] == _by_ffmpegs_rule(number, Fraction(25), rate)


def test_a_video_of_60_fps_starts_with_its_second_frame() -> None:
    # The nearest in time would be frame 0, and the number as an index lags 58 % behind.
    shown = even_video(60, 300)
    assert (shown[0], shown[100]) == (1, 241)


@pytest.mark.parametrize(
    "call",
    [
        lambda: source_frame_numbers([-1], 0),
        lambda: source_frame_numbers([0], -1),
        lambda: source_frame_numbers([0, 5], 1, 6),
        lambda: source_frame_numbers([3, -1], 0),
        lambda: source_frame_numbers([0], 0, 10**12),
        lambda: frames_in_source([0.0], 0),
        lambda: frames_in_source([0.0], float("inf")),
        lambda: frames_in_source([], 25),
    ],
)
def test_numbers_that_mean_no_frame_are_refused(call: object) -> None:
    with pytest.raises(ValueError, match=r"negative|fps is positive|beyond the 6 images|put in order"):
        call()  # type: ignore[operator]  # callables without arguments
