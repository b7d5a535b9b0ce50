"""What an attempt begins with: a path that the tracker can work in, its pictures, and frames of one fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import frame_factory as factory
import pytest

from being_remote.tracker.begin import (
    REPLACED,
    find_resumable_files,
    frame_names,
    least_frames,
    unusable_path,
)

REQUEST: dict[str, Any] = {
    "folder": "demo",
    "crop_image": False,
    "begin_frames": 0,
    "end_frames": 0,
    "keyframes": [0],
}


@pytest.mark.parametrize("word", ["source", "images", "kpt", "png", "jpg"])
def test_a_path_with_a_word_that_the_tracker_replaces_is_not_worked_in(word: str) -> None:
    assert word in REPLACED
    assert f"holds {word!r}" in (unusable_path(f"/workspace/my-{word}-2") or "")


def test_the_pictures_that_the_settings_leave_out_at_both_ends_are_not_expected(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    for number in range(1, 11):
        (tmp_path / "source" / f"{number:05d}.png").touch()
    assert frame_names(str(tmp_path), REQUEST)[-1] == "00010.png"
    left = frame_names(str(tmp_path), {**REQUEST, "begin_frames": 2, "end_frames": 3})
    assert left == [f"{number:05d}.png" for number in range(3, 8)]


def test_a_run_is_only_resumed_where_every_key_frame_can_have_its_final_k() -> None:
    assert least_frames(REQUEST) == 8
    assert least_frames({**REQUEST, "keyframes": list(range(9))}) == 18


@pytest.mark.parametrize(("steps", "whole"), [((100, 200, 300, 400), 4), ((100, 200, 150, 160), 2)])
def test_frames_that_the_key_frame_stage_left_are_not_resumed_from(
    tmp_path: Path, steps: tuple[int, ...], whole: int
) -> None:
    checkpoint = tmp_path / "output/demo/checkpoint"
    checkpoint.mkdir(parents=True)
    for number, step in enumerate(steps):
        content = {**factory.content(f"{number:05d}", seed=number), "global_step": step}
        (checkpoint / f"{number:05d}.frame").write_bytes(factory.saved(content))
    found = find_resumable_files(str(tmp_path), REQUEST)
    assert len(found.frames) == whole
    assert whole == len(steps) or found.why == "00002.frame is of another stage of the fit"
