"""A folder's note says what it holds: nothing else is written into it, and nothing surer is replaced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from being_remote.camera.crop import crop_from_box
from being_remote.errors import UsageError
from being_remote.export import Cameras
from being_remote.recovery.output_folder import claim, find_aside

COUNT = 5
CAMERAS = Cameras(
    name="roman",
    K_source=np.diag([4000.0, 4000, 1]),
    K_crop=np.diag([2300.0, 2300, 1]),
    R=np.repeat(np.eye(3)[None], COUNT, axis=0),
    t=np.ones((COUNT, 3)),
    frame_ids=np.arange(COUNT),
    source_numbers=np.arange(COUNT) + 2,
    times_s=None,
    crop=crop_from_box((510, 1410, 90, 990), (1920, 1080), (512, 512)),
    grade="verified",
    numbers_by="pixels",
    video_frames=np.arange(COUNT) * 2,
)


def first(cameras: Cameras, count: int) -> Cameras:
    """The first frames of a run."""
    parts = {name: getattr(cameras, name)[:count] for name in ("R", "t", "frame_ids", "source_numbers")}
    video_frames = None if cameras.video_frames is None else cameras.video_frames[:count]
    return replace(cameras, **parts, video_frames=video_frames)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, ""),
        ({"grade": "exact"}, ""),
        ({"video_frames": None}, ""),
        ({"name": "vera"}, "another run, 'roman'"),
        ({"video_frames": np.arange(COUNT) * 2 + 1}, "with other frames of its video"),
        ({"grade": "estimated"}, "surer cameras of this run"),
        ({"numbers_by": "settings"}, "surer cameras of this run"),
        ({"source_numbers": np.arange(COUNT) + 3}, "numbered otherwise"),
        ({"K_crop": np.diag([2301.0, 2301, 1])}, "its stored K differs"),
        ({"crop": crop_from_box((510, 1410, 91, 991), (1920, 1080), (512, 512))}, "by another crop"),
        ({"crop": crop_from_box((510, 1410, 90, 990), (1920, 1088), (512, 512))}, "video of another size"),
    ],
)
def test_cameras_that_are_not_those_of_the_note_are_not_written_beside_them(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    claim(tmp_path, CAMERAS, {}, [], aside=None)
    other = replace(CAMERAS, **change)
    if not says:
        assert find_aside(tmp_path, other, {}, [], force=False) is None
        return
    with pytest.raises(UsageError, match=says):
        find_aside(tmp_path, other, {}, [], force=False)
    assert find_aside(tmp_path, other, {}, [], force=True) is not None


def test_a_run_may_grow_at_its_end_and_not_shrink(tmp_path: Path) -> None:
    claim(tmp_path, first(CAMERAS, 3), {}, [], aside=None)
    assert find_aside(tmp_path, CAMERAS, {}, [], force=False) is None
    claim(tmp_path, CAMERAS, {}, [], aside=None)
    with pytest.raises(UsageError, match="5 other frames of this run"):
        find_aside(tmp_path, first(CAMERAS, 3), {}, [], force=False)


def test_another_canvas_of_one_trainer_is_not_mixed_in(tmp_path: Path) -> None:
    claim(tmp_path, CAMERAS, {"insta": [0, 0, 1920, 1080, 1920, 1080]}, [], aside=None)
    assert find_aside(tmp_path, CAMERAS, {"colmap": [1, 0, 9, 9, 9, 9]}, [], force=False) is None
    with pytest.raises(UsageError, match="holds insta for another canvas"):
        find_aside(tmp_path, CAMERAS, {"insta": [1, 0, 1920, 1080, 1920, 1080]}, [], force=False)
