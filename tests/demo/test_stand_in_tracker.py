"""The stand-in obeys the tracker's file contract, odd cases included."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from tracker_checkout import install

from being_remote.demo import stand_in_tracker, tracker_recipe
from being_remote.demo.actor import ActorTruth, make_actor
from being_remote.errors import TornFile
from being_remote.tracker.box_file import read_box
from being_remote.tracker.frame_file import read_frame
from being_remote.tracker.sequence import read_sequence

UNSAFE_LOADS = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory) -> ActorTruth:
    checkout = tmp_path_factory.mktemp("mt")
    truth = make_actor(checkout, "demo", frames=5, size_wh=(640, 360), video=False)
    install(checkout, truth)
    return truth


@pytest.fixture
def fresh(actor: ActorTruth, tmp_path: Path) -> Path:
    """A checkout whose actor has only source images and an identity."""
    checkout = tmp_path / "mt"
    given = checkout / "input" / "demo"
    shutil.copytree(actor.input_folder / "source", given / "source")
    for name in ("identity.npy", stand_in_tracker.TRUTH):
        shutil.copy(actor.input_folder / name, given)
    for name in ("tracker.py", "stand_in_tracker.py", "tracker_recipe.py"):
        shutil.copy(actor.input_folder.parent.parent / name, checkout)
    shutil.copytree(actor.input_folder.parent.parent / "configs", checkout / "configs")
    return checkout


def track(
    checkout: Path, settings: str = "", env: Mapping[str, str] = UNSAFE_LOADS
) -> subprocess.CompletedProcess[str]:
    (checkout / "demo.yml").write_text(
        f"actor: './input/demo'\nbegin_frames: 1\nkeyframes: [0, 1]\n{settings}"
    )
    return subprocess.run(
        [sys.executable, "tracker.py", "--cfg", "demo.yml"],
        cwd=checkout,
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.slow
def test_a_run_leaves_what_the_tracker_leaves_and_stores_the_true_camera(
    actor: ActorTruth, fresh: Path
) -> None:
    done = track(fresh)
    assert done.returncode == 0, done.stderr
    given, made = fresh / "input/demo", fresh / "output/demo"
    frames = read_sequence(made / "checkpoint")
    assert frames.frame_ids.tolist() == [0, 1, 2, 3, 4] and frames.warnings == ()
    # The very same as the generator writes: box, K in float32, poses.
    assert read_box(given / "bbox.pt") == actor.box
    assert np.array_equal(frames.K, read_frame(actor.output_folder / "checkpoint/00000.frame").K)
    assert np.allclose(frames.R, actor.R, atol=1e-6) and np.allclose(frames.t, actor.t, atol=1e-6)
    assert len(list((given / "images").iterdir())) == len(list((given / "kpt").iterdir())) == 6
    assert np.allclose(
        np.load(given / "kpt_dense/00003.npy"), np.load(actor.input_folder / "kpt_dense/00003.npy")
    )
    assert np.load(given / "kpt/00001.npy").shape == (68, 2)
    assert len(list((made / "mesh").iterdir())) == len(list((made / "input").iterdir())) == 5
    assert (made / "train.log").read_text().count("Color loss") == 5


@pytest.mark.slow
def test_caches_make_it_ignore_another_crop_and_a_lost_box_is_not_missed(fresh: Path) -> None:
    assert track(fresh).returncode == 0
    first = read_box(fresh / "input/demo/bbox.pt")
    shutil.rmtree(fresh / "output")
    assert track(fresh, "bbox_scale: 3.5\n").returncode == 0
    assert read_box(fresh / "input/demo/bbox.pt") == first
    (fresh / "input/demo/bbox.pt").unlink()
    shutil.rmtree(fresh / "output")
    assert track(fresh).returncode == 0
    assert not (fresh / "input/demo/bbox.pt").exists()


@pytest.mark.slow
def test_finished_runs_and_runs_without_key_frames_end_with_0(fresh: Path) -> None:
    none = track(fresh, "keyframes: []\n")
    assert none.returncode == 0 and "Keyframes are empty" in none.stderr
    assert not list((fresh / "output/demo/checkpoint").iterdir())
    assert track(fresh).returncode == 0
    again = track(fresh)
    assert again.returncode == 0 and "has finished" in again.stderr


@pytest.mark.slow
def test_it_resumes_from_the_last_frame_and_fails_at_a_torn_one_every_time(fresh: Path) -> None:
    assert track(fresh, env={**UNSAFE_LOADS, "STAND_IN_DIE_AT": "3"}).returncode == -9
    checkpoint = fresh / "output/demo/checkpoint"
    assert sorted(p.name for p in checkpoint.iterdir()) == ["00000.frame", "00001.frame", "00002.frame"]
    torn = track(fresh, env={**UNSAFE_LOADS, "STAND_IN_TEAR_AT": "3"})
    assert torn.returncode == -9 and "loaded for frame 00002" in torn.stderr
    with pytest.raises(TornFile):
        read_frame(checkpoint / "00003.frame")
    assert track(fresh).returncode == track(fresh).returncode == 1
    (checkpoint / "00003.frame").unlink()
    assert track(fresh).returncode == 0
    assert read_sequence(checkpoint).warnings == ()


@pytest.mark.slow
def test_key_frames_leave_another_k_under_the_first_names_until_they_are_tracked(fresh: Path) -> None:
    assert track(fresh, env={**UNSAFE_LOADS, "STAND_IN_DIE_AT": "1"}).returncode == -9
    checkpoint = fresh / "output/demo/checkpoint"
    assert not np.array_equal(
        read_frame(checkpoint / "00000.frame").K, read_frame(checkpoint / "00001.frame").K
    )


@pytest.mark.slow
def test_a_file_in_the_checkout_makes_it_misbehave_too(fresh: Path) -> None:
    (fresh / "stand_in.json").write_text('{"STAND_IN_EXIT_AT": "2:9"}')
    assert track(fresh).returncode == 9
    assert len(list((fresh / "output/demo/checkpoint").iterdir())) == 2


@pytest.mark.slow
def test_its_plain_loads_fail_on_new_torch_without_the_environment_variable(fresh: Path) -> None:
    assert tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 6)
    assert track(fresh, env={"STAND_IN_DIE_AT": "3"}).returncode == -9
    refused = track(fresh, env={})
    assert refused.returncode == 1 and "weights_only" in refused.stderr


@pytest.mark.parametrize(
    "wrong", ["image_size: 768", "bbox_scale: 3", "optimize_jaw: 1", "w_pho: 350.0", "sampling: []"]
)
def test_it_refuses_what_yacs_refuses(fresh: Path, wrong: str) -> None:
    done = track(fresh, wrong)
    assert done.returncode == 1
    assert "Type mismatch" in done.stderr or "Non-existent config key" in done.stderr
    assert not (fresh / "output").exists()


@pytest.mark.slow
def test_without_images_video_or_identity_it_ends_with_an_error(fresh: Path) -> None:
    (fresh / "input/demo/identity.npy").unlink()
    assert track(fresh).returncode == 255
    shutil.rmtree(fresh / "input/demo/source")
    gone = track(fresh)
    assert gone.returncode == 1 and "Neither images nor a video" in gone.stderr


def test_what_is_copied_into_a_checkout_names_nothing_of_ours() -> None:
    for module in (stand_in_tracker, tracker_recipe):
        assert "being_remote" not in Path(module.__file__).read_text()
