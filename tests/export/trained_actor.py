"""A generated run as `recover` would hand it to a trainer's export, and the truth about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from being_remote.camera.crop import crop_from_box
from being_remote.camera.intrinsics import intrinsics_in_source
from being_remote.demo.actor import Truth, make_actor
from being_remote.export import Cameras, RunFiles
from being_remote.tracker.sequence import read_sequence


def run_of(root: Path, *, frames: int = 12, begin_frames: int = 1) -> tuple[Truth, Cameras, RunFiles]:
    """A run without pictures: checkpoints, meshes, landmarks."""
    truth = make_actor(root, "roman", frames=frames, begin_frames=begin_frames, seed=0, pictures=False)
    run = RunFiles(
        truth.output_folder / "checkpoint", truth.output_folder / "mesh", truth.input_folder / "kpt"
    )
    assert truth.box is not None and run.checkpoints is not None
    crop = crop_from_box(truth.box, truth.size_wh, truth.image_size_wh)
    tracked = read_sequence(run.checkpoints)
    numbers = tracked.frame_ids + begin_frames + 1
    cameras = Cameras(
        name="roman",
        K_source=intrinsics_in_source(tracked.K, crop),
        K_crop=tracked.K,
        R=tracked.R,
        t=tracked.t,
        frame_ids=tracked.frame_ids,
        source_numbers=numbers,
        times_s=(numbers - 1) / 25,
        crop=crop,
        grade="bbox",
    )
    return truth, cameras, run


def without(cameras: Cameras, *places: int) -> Cameras:
    """The same with gaps."""
    keep = np.setdiff1d(np.arange(len(cameras.frame_ids)), places)
    assert cameras.times_s is not None
    return replace(
        cameras,
        R=cameras.R[keep],
        t=cameras.t[keep],
        frame_ids=cameras.frame_ids[keep],
        source_numbers=cameras.source_numbers[keep],
        times_s=cameras.times_s[keep],
    )
