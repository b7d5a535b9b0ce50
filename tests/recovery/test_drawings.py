"""What is drawn on a frame is seen by that frame's own camera."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from being_remote.camera.crop import crop_from_box
from being_remote.export import Cameras
from being_remote.recovery.drawings import draw_overlays

CROP = crop_from_box((100, 500, 20, 340), (640, 360), (512, 512))
K = np.array([[900.0, 0, 300], [0, 900, 180], [0, 0, 1]])


def test_of_a_run_with_k_per_frame_each_overlay_goes_by_the_k_of_its_frame(tmp_path: Path) -> None:
    run = cast(Any, SimpleNamespace(meshes=(tmp_path,)))
    other = np.array([[900.0, 0, 450], [0, 900, 120], [0, 0, 1]])
    cameras = Cameras(
        name="roman",
        K_source=K,
        K_crop=K,
        R=np.repeat(np.diag([1.0, -1, -1])[None], 2, axis=0),
        t=np.repeat([[0.0, 0, 1]], 2, axis=0),
        frame_ids=np.arange(2),
        source_numbers=np.arange(2) + 1,
        times_s=None,
        crop=CROP,
        grade="bbox",
        K_each=np.stack([K, other]),
    )
    first, second = draw_overlays(run, None, cameras, [0, 1])
    by_first, by_second = (
        draw_overlays(run, None, replace(cameras, K_source=of_all, K_each=None), [0, 1])
        for of_all in (K, other)
    )
    assert first.png == by_first[0].png
    assert second.jpeg == by_second[1].jpeg != by_first[1].jpeg
