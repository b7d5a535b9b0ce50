"""Whether a host holds another run: decided by the box, and by the first and the last frame that arrived."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from being_remote.backup_sync.run_change import TRIES, other_camera, other_run
from being_remote.demo.tracker_recipe import frame_dict

OURS, OTHERS = 2300.0, 2310.0


def frame(folder: Path, number: int, focal: float) -> tuple[str, Path]:
    """One `.frame` and where it belongs in a backup."""
    K = np.array([[focal, 0, 255], [0, focal, 250], [0, 0, 1]])
    shape, rng = np.zeros((1, 300), np.float32), np.random.default_rng(number)
    made = frame_dict(number, K, np.eye(3), np.array([0.0, 0, 1]), (512, 512), shape, rng)
    folder.mkdir(exist_ok=True)
    path = folder / f"{number:05d}.frame"
    torch.save(made, path)
    return f"checkpoint/{path.name}", path


@pytest.fixture
def live(tmp_path: Path) -> dict[str, Path]:
    return dict(frame(tmp_path / "live", i, OURS) for i in range(3))


@pytest.mark.parametrize("odd", [0, 2])
def test_another_camera_in_the_first_or_in_the_last_frame_that_arrived_is_another_run(
    tmp_path: Path, live: dict[str, Path], odd: int
) -> None:
    came = dict(frame(tmp_path / "came", i, OTHERS if i == odd else OURS) for i in range(3))
    why = other_run(came, live, {})
    assert why is not None and f"{odd:05d}.frame has f 2310.000" in why and "have f 2300.000" in why


def test_while_the_host_holds_frames_of_the_earlier_camera_another_one_is_a_new_version(
    tmp_path: Path, live: dict[str, Path]
) -> None:
    came = dict([frame(tmp_path / "came", 2, OTHERS)])
    still = {name: live[name] for name in list(live)[:2]}
    assert other_run(came, live, still) is None
    assert other_run(came, live, {}) is not None


def test_another_camera_is_seen_of_frames_that_lie_in_the_history_under_their_hashes(
    tmp_path: Path, live: dict[str, Path]
) -> None:
    name, file = frame(tmp_path / "came", 2, OTHERS)
    moved = file.rename(tmp_path / "0123abcd")  # as of a sync that was killed after it had moved them
    assert other_run({name: moved}, live, {}) is not None


def test_the_same_camera_is_the_same_run_and_nothing_to_compare_with_says_nothing(
    tmp_path: Path, live: dict[str, Path]
) -> None:
    came = dict(frame(tmp_path / "came", i, OURS) for i in range(3))
    assert other_run(came, live, {}) is None
    assert other_camera(came, {}) is None and other_camera({}, live) is None


def test_the_earlier_camera_is_that_of_the_first_frame_that_can_be_read(
    tmp_path: Path, live: dict[str, Path]
) -> None:
    came = dict([frame(tmp_path / "came", 9, OTHERS)])
    names = sorted(live)
    for name in names[: TRIES - 1]:
        live[name].write_bytes(b"torn")
    assert other_camera(came, live) is not None
    live[names[TRIES - 1]].write_bytes(b"torn")
    assert other_camera(came, live) is None  # nothing says so


def test_a_last_frame_that_cannot_be_read_says_nothing_and_the_first_still_does(
    tmp_path: Path, live: dict[str, Path]
) -> None:
    came = dict(frame(tmp_path / "came", i, OTHERS if i == 0 else OURS) for i in range(2))
    came["checkpoint/00001.frame"].write_bytes(b"torn")
    assert other_camera(came, live) is not None


def test_another_box_is_another_run_whatever_the_frames_say(tmp_path: Path, live: dict[str, Path]) -> None:
    boxes = {}
    for name, numbers in (("live", [510, 1410, 90, 990]), ("came", [510, 1410, 90, 988])):
        boxes[name] = tmp_path / f"{name}.pt"
        torch.save(np.array(numbers), boxes[name])
    assert other_run({"bbox.pt": boxes["came"]}, {**live, "bbox.pt": boxes["live"]}, {}) is not None
    assert other_run({"bbox.pt": boxes["live"]}, {**live, "bbox.pt": boxes["live"]}, {}) is None
