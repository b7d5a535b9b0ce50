"""The demo's camera and how the head moves before it; seeded."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Edge = Literal["top", "bottom", "left", "right", "none"]

# The face's place, as fractions of width and height, where its box meets an edge.
_PLACES = {
    "top": (0.585, 0.366),
    "bottom": (0.45, 0.66),
    "left": (0.20, 0.50),
    "right": (0.80, 0.50),
    "none": (0.55, 0.51),
}


def full_frame_camera(size_wh: tuple[int, int], rng: np.random.Generator) -> Floats:
    """A long lens whose principal point is near the frame's centre, not on it."""
    w, h = size_wh
    focal = (4211.37 + rng.uniform(-60, 60)) * h / 1080
    off = rng.uniform(-0.012, 0.012, 2) * h
    return np.array([[focal, 0, w / 2 + off[0]], [0, focal, h / 2 + off[1]], [0, 0, 1.0]])


def motion(
    K: Floats, size_wh: tuple[int, int], edge: Edge, count: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """World-to-camera (count, 3, 3) and (count, 3): a person who looks around while talking."""
    depth = 1.5
    face_xy = np.array(_PLACES[edge]) * size_wh
    centre_xy = face_xy - [0, 69 * size_wh[1] / 1080]  # the face's landmarks lie below the head's middle
    phase = rng.uniform(0, 2 * np.pi, 6)
    turn = np.arange(count)[:, None] * (2 * np.pi / np.array([38, 29, 47, 41, 31, 53])) + phase
    yaw, pitch, roll, *_ = (np.sin(turn) * [0.20, 0.09, 0.05, 0, 0, 0]).T
    about_y = _stack(np.cos(yaw), 0, np.sin(yaw), 0, 1, 0, -np.sin(yaw), 0, np.cos(yaw))
    about_x = _stack(1, 0, 0, 0, np.cos(pitch), -np.sin(pitch), 0, np.sin(pitch), np.cos(pitch))
    about_z = _stack(np.cos(roll), -np.sin(roll), 0, np.sin(roll), np.cos(roll), 0, 0, 0, 1)
    R = about_y @ about_x @ about_z @ np.diag([1.0, -1.0, -1.0])
    t = np.empty((count, 3))
    t[:, 2] = depth + 0.02 * np.sin(turn[:, 5])
    t[:, :2] = (centre_xy - K[:2, 2]) / K[0, 0] * depth + 0.009 * np.sin(turn[:, 3:5])
    return R, t


def _stack(*entries: Floats | float) -> Floats:
    """Nine numbers or arrays (N,) -> (N, 3, 3), row by row."""
    return np.stack(np.broadcast_arrays(*entries), axis=-1).reshape(-1, 3, 3).astype(np.float64)
