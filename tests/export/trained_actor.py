"""A generated run as `recover` would hand it to a trainer's export, and the truth about it.

The run itself is made once for all tests, by the fixture `actor`: who changes a file of it takes a copy.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from export_cases import part

from being_remote.camera.crop import crop_from_box
from being_remote.camera.intrinsics import intrinsics_in_source
from being_remote.demo.actor import ActorTruth, make_actor
from being_remote.export import Cameras, RunFiles
from being_remote.tracker.sequence import read_sequence

Actor = tuple[ActorTruth, Cameras, RunFiles]


def run_of(root: Path) -> Actor:
    """A run of 12 frames without pictures: checkpoints, meshes, landmarks."""
    truth = make_actor(root, "roman", frames=12, begin_frames=1, seed=0, pictures=False)
    run = RunFiles(
        truth.output_folder / "checkpoint", truth.output_folder / "mesh", truth.input_folder / "kpt"
    )
    assert truth.box is not None and run.checkpoints is not None
    crop = crop_from_box(truth.box, truth.size_wh, truth.image_size_wh)
    tracked = read_sequence(run.checkpoints)
    numbers = tracked.frame_ids + 2
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
    return part(cameras, np.setdiff1d(np.arange(len(cameras.frame_ids)), places))


def expected(cameras: Cameras, i: int, K: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Where camera i, with this K, sees points of the world: (n, 2) corner pixels."""
    p = (X @ cameras.R[i].T + cameras.t[i]) @ K.T
    return p[:, :2] / p[:, 2:]


def with_copy(
    run: RunFiles, kind: Literal["checkpoints", "meshes", "kpt"], into: Path
) -> tuple[RunFiles, Path]:
    """The run with a folder of its own for one kind of files, and that folder."""
    folder = shutil.copytree(getattr(run, kind), into / kind)
    return replace(run, **{kind: folder}), folder


def with_coefficients(run: RunFiles, into: Path, frames: str = "*.frame", **flame: np.ndarray) -> RunFiles:
    """The run with other FLAME coefficients in some of its frames."""
    import torch

    copy, folder = with_copy(run, "checkpoints", into)
    for path in folder.glob(frames):
        content = torch.load(path, weights_only=False)
        content["flame"].update(flame)
        torch.save(content, path)
    return copy
