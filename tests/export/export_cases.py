"""Cameras to export, drawn by hypothesis and by hand, and rotations as the tracker stores them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from being_remote.camera.crop import Crop, crop_from_box
from being_remote.camera.intrinsics import intrinsics_in_source
from being_remote.camera.pose import rotation_from_6d
from being_remote.export import Cameras


def cameras_of(
    crop: Crop, K_crop: np.ndarray, R: np.ndarray, t: np.ndarray, frame_ids: list[int] | None = None
) -> Cameras:
    """Cameras as `recover` makes them: source number = frame_id + 2, times at 25 fps."""
    ids = np.arange(len(R)) if frame_ids is None else np.array(frame_ids)
    return Cameras(
        name="roman",
        K_source=intrinsics_in_source(K_crop, crop),
        K_crop=K_crop,
        R=R,
        t=t,
        frame_ids=ids,
        source_numbers=ids + 2,
        times_s=(ids + 1) / 25,
        crop=crop,
        grade="bbox",
    )


def held_still(cameras: Cameras, n: int) -> Cameras:
    """`n` frames of the first camera."""
    return replace(
        cameras,
        R=np.broadcast_to(cameras.R[0], (n, 3, 3)),
        t=np.broadcast_to(cameras.t[0], (n, 3)),
        frame_ids=np.arange(n),
        source_numbers=np.arange(n) + 2,
        times_s=None,
    )


def part(cameras: Cameras, keep: slice | np.ndarray) -> Cameras:
    """Some of the frames."""
    return replace(
        cameras,
        R=cameras.R[keep],
        t=cameras.t[keep],
        frame_ids=cameras.frame_ids[keep],
        source_numbers=cameras.source_numbers[keep],
        times_s=None if cameras.times_s is None else cameras.times_s[keep],
        video_frames=None if cameras.video_frames is None else cameras.video_frames[keep],
    )


def turn(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.diag([1.0, -1.0, -1.0])


def rows_6d(axis: str, angle: float) -> np.ndarray:
    """(1, 6): the first two rows of a rotation matrix for column vectors."""
    c, s = np.cos(angle), np.sin(angle)
    R = {"x": [[1, 0, 0], [0, c, -s], [0, s, c]], "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]]}[axis]
    return np.array([R[0] + R[1]], np.float32)


@st.composite
def any_cameras(draw: st.DrawFn) -> Cameras:
    """Cameras of any even box in any frame, any poses (half turns among them), gaps in the ids."""
    width, height = draw(st.integers(80, 4096)), draw(st.integers(80, 2160))
    side = 2 * draw(st.integers(16, min(width, height) // 2 - 8))
    x_min, y_min = draw(st.integers(0, width - side)), draw(st.integers(0, height - side))
    image = draw(st.sampled_from([256, 512, 768]))
    crop = crop_from_box((x_min, x_min + side, y_min, y_min + side), (width, height), (image, image))
    unit = st.floats(-1, 1)
    f, cx, cy = draw(st.floats(1.5, 8)) * image, *(image * (0.5 + 0.05 * draw(unit)) for _ in "xy")
    K = np.array([[f, 0, cx], [0, f, cy], [0, 0, 1]])
    n = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    R = rotation_from_6d(rng.normal(size=(n, 6)))
    if draw(st.booleans()):
        R[0] = np.diag(draw(st.sampled_from([(1.0, -1, -1), (-1.0, 1, -1), (-1.0, -1, 1), (1.0, 1, 1)])))
    ids = np.cumsum(rng.integers(1, 4, n)) - 1
    return cameras_of(crop, K, R, rng.normal((0, 0, 3), 1, (n, 3)), ids.tolist())
