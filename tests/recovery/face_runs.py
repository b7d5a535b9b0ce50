"""Finished runs whose faces move as a test says, with settings and box where the tracker puts them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from being_remote.demo.tracker_recipe import frame_dict

REST = (1, 0, 0, 0, 1, 0)
BOX = (510, 1410, 90, 990)
K_CROP = np.array([[2339.0, 0, 255], [0, 2339, 250], [0, 0, 1]])


def opened(degrees: float) -> list[float]:
    """A jaw that is open so far, as the tracker stores it."""
    a = np.radians(degrees)
    return [1, 0, 0, 0, float(np.cos(a)), -float(np.sin(a))]


def usual(number: int) -> dict[str, Any]:
    """Everything moves."""
    a = np.radians(number)
    look = [float(np.cos(a)), 0, float(np.sin(a)), 0, 1, 0]
    return {
        "jaw": [opened(5 + number % 4)],
        "eyes": [[*look, *look]],
        "eyelids": [[0.1 + 0.01 * number, 0.1]],
        "exp": np.full((1, 100), 0.05 * (number % 5)),
    }


def flashavatar(number: int) -> dict[str, Any]:
    """As the tracker's defaults make it: the jaw is not fitted."""
    return {**usual(number), "jaw": [REST]}


def make_run(
    checkout: Path,
    name: str,
    face: Callable[[int], dict[str, Any]] = usual,
    *,
    frames: int = 6,
    ids: list[int] | None = None,
    settings: str | None = "",
    image_size_wh: tuple[int, int] = (512, 512),
    K: np.ndarray[Any, Any] = K_CROP,
    box: bool = True,
) -> Path:
    """One output folder of a checkout, and its input folder; returns the output."""
    output = checkout / "output" / name
    (output / "checkpoint").mkdir(parents=True)
    given = checkout / "input" / name
    given.mkdir(parents=True)
    rng = np.random.default_rng(0)
    shape = np.zeros((1, 300), np.float32)
    for i in ids if ids is not None else range(frames):
        a = np.radians(0.5 * i)
        R = np.array([[np.cos(a), 0, np.sin(a)], [0, -1, 0], [np.sin(a), 0, -np.cos(a)]])
        content = frame_dict(i, K, R, np.array([0.01, 0.02, 1.0 + 0.001 * i]), image_size_wh, shape, rng)
        content["flame"].update({k: np.array(v, np.float32) for k, v in face(i).items()})
        torch.save(content, output / "checkpoint" / f"{i:05d}.frame")
    if settings is not None:
        config = checkout / "configs" / "actors" / f"{name}.yml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(f"actor: './input/{name}'\n{settings}")
    if box:
        torch.save(np.array(BOX), given / "bbox.pt")
    return output
