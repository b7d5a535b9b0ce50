"""A run's cameras with nothing symmetric in them, so that no term can be dropped or swapped unseen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from export_cases import cameras_of, rows_6d, turn
from trained_actor import Actor, run_of

from being_remote.camera.crop import crop_from_box
from being_remote.export import Cameras


@pytest.fixture(scope="session")
def actor(tmp_path_factory: pytest.TempPathFactory) -> Actor:
    """A whole run, its cameras, and the truth about it; its files are not to be changed."""
    return run_of(tmp_path_factory.mktemp("tracker"))


@pytest.fixture
def cameras() -> Cameras:
    """The worked example's camera; two frames, the second with a gap before it."""
    crop = crop_from_box((510, 1410, 90, 990), (1920, 1080), (512, 512))
    K = np.array([[2339.0, 0, 255], [0, 2339, 250], [0, 0, 1]])
    t = np.array([[0.01, 0.02, 1.5], [-0.03, 0.0, 1.4]])
    return cameras_of(crop, K, np.stack([turn(0.1), turn(-0.3)]), t, [0, 2])


@pytest.fixture
def frames_folder(tmp_path: Path) -> Path:
    """Genuine `.frame` files 00000 and 00002."""
    import torch

    from being_remote.demo.tracker_recipe import frame_dict

    folder = tmp_path / "checkpoint"
    folder.mkdir()
    rng = np.random.default_rng(5)
    shape = rng.normal(size=(1, 300)).astype(np.float32)
    K = np.array([[2339.0, 0, 255], [0, 2339, 250], [0, 0, 1]])
    for i in (0, 2):
        frame = frame_dict(i, K, turn(0.1 * i), np.array([0.0, 0, 1]), (512, 512), shape, rng)
        # Joints with a known answer: jaw opened 0.25 rad about x, eyes turned apart about y.
        frame["flame"]["jaw"] = rows_6d("x", 0.25)
        frame["flame"]["eyes"] = np.concatenate([rows_6d("y", 0.1), rows_6d("y", -0.2)], axis=1)
        torch.save(frame, folder / f"{i:05d}.frame")
    return folder
