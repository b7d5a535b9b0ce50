"""The off-by-ones between a frame's id, the source image and the video."""

from __future__ import annotations

import pytest

from being_remote.tracker.numbering import source_frame_number, source_time_s, video_frame_index


def test_the_shipped_configs_skip_one_frame_so_frame_0_is_image_2() -> None:
    # Reading the id as the image's number gives 0, and forgetting begin_frames gives 1.
    assert source_frame_number(0, begin_frames=1) == 2
    assert source_frame_number(837, begin_frames=0) == 838


def test_the_first_source_image_is_the_start_of_the_video() -> None:
    assert source_time_s(1) == 0
    assert source_time_s(26, fps=25) == 1.0


def test_a_video_that_is_not_25_fps_is_found_again_through_time_only() -> None:
    # 29.97 fps: image 101 is frame 120; its number as an index would be 4 s / 5 frames off.
    assert video_frame_index(source_time_s(101), 30000 / 1001) == 120
    assert [video_frame_index(source_time_s(k), 25) for k in (1, 2, 838)] == [0, 1, 837]


@pytest.mark.parametrize(
    "call",
    [
        lambda: source_frame_number(-1, 0),
        lambda: source_frame_number(0, -1),
        lambda: source_time_s(0),
        lambda: source_time_s(1, fps=0),
        lambda: source_time_s(1, fps=float("nan")),
        lambda: video_frame_index(-1, 25),
        lambda: video_frame_index(float("inf"), 25),
    ],
)
def test_numbers_that_mean_no_frame_are_refused(call: object) -> None:
    with pytest.raises(ValueError, match=r"negative|start at 1|no frame"):
        call()  # type: ignore[operator]  # callables without arguments
