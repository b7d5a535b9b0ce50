"""metrical-tracker's own rules, written out independently: its face box, its crop, its `.frame`.

The generated actor and the stand-in tracker both follow them. This file is also copied beside the
stand-in into a pod's checkout, so it imports only what a tracker's environment has, and nothing of ours.
It shares no code with `camera/`, which is tested against it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_FLIP = np.array([-1.0, -1.0, 1.0])  # OpenCV camera axes <-> PyTorch3D's: x left, y up


def face_box(landmarks_px: Any, size_wh: tuple[int, int], bbox_scale: float) -> tuple[int, int, int, int]:
    """The box by the landmarks (68, 2) of the first image: x_min, x_max, y_min, y_max."""
    whole = landmarks_px.astype(int)
    low, high = whole.min(0), whole.max(0)
    centre = ((low + high) / 2).astype(int)
    size = int(2 * bbox_scale * (centre - low).max())
    first = np.maximum(centre - size // 2, 0)
    last = np.minimum(centre + size // 2, np.array(size_wh) - 1)
    first = first + (last - first) % 2
    return int(first[0]), int(last[0]), int(first[1]), int(last[1])


def crop_image(picture: Any, box: Any, image_size_wh: tuple[int, int]) -> Any:
    """Crop a frame, pad it with zeros to a square, resize it by INTER_CUBIC; without `box` only resize."""
    import cv2

    if box is not None:
        h, w = picture.shape[:2]
        picture = picture[max(box[2], 0) : min(box[3], h - 1), max(box[0], 0) : min(box[1], w - 1)]
        side = max(picture.shape[:2])
        v, u = int((side - picture.shape[0]) / 2), int((side - picture.shape[1]) / 2)
        picture = np.pad(picture, ((v, v), (u, u), (0, 0)))
    return cv2.resize(picture, image_size_wh, interpolation=cv2.INTER_CUBIC)


def crop_map(box: Any, size_wh: tuple[int, int], image_size_wh: tuple[int, int]) -> tuple[Any, Any]:
    """Scale and origin of source pixel = scale * crop pixel + origin, both (x, y)."""
    if box is None:
        return np.array(size_wh) / np.array(image_size_wh), np.zeros(2, dtype=np.int64)
    low = np.maximum([box[0], box[2]], 0)
    extent = np.minimum([box[1], box[3]], np.array(size_wh) - 1) - low
    pad = (extent.max() - extent) // 2
    return (extent + 2 * pad) / np.array(image_size_wh), low - pad


def project(K: Any, R: Any, t: Any, points: Any) -> Any:
    """World points (P, 3) -> pixels (P, 2)."""
    seen = (points @ np.asarray(R).T + t) @ np.asarray(K).T
    return seen[:, :2] / seen[:, 2:]


def frame_dict(
    frame_id: int,
    K_crop: Any,
    R: Any,
    t: Any,
    image_size_wh: tuple[int, int],
    shape: Any,
    rng: np.random.Generator,
    *,
    jaw_moves: bool = True,
) -> dict[str, Any]:
    """One `.frame` as the tracker saves it; NDC values are rounded to float32 first, as it fits them."""
    w, h = image_size_wh
    half = np.float32(min(w, h) / 2)
    focal = np.float32(K_crop[0, 0] / half)
    principal = ((np.array([w, h]) / 2 - K_crop[:2, 2]) / half).astype(np.float32)
    K = np.eye(3, dtype=np.float32)
    K[0, 0] = K[1, 1] = focal * half
    K[:2, 2] = np.array([w, h], np.float32) / np.float32(2) - principal * half
    R_rows = R.T * _FLIP  # row vectors: x_cam = x R + T
    # It talks and looks about: a frozen jaw would mean that the settings are another run's.
    opens, looks = np.radians([4 + 4 * np.sin(0.9 * frame_id), 6 * np.sin(0.31 * frame_id)])
    opens = opens if jaw_moves else 0.0
    eye_6d = np.array([[np.cos(looks), 0, np.sin(looks), 0, 1, 0]])
    flame = {
        "exp": rng.normal(0, 0.3, (1, 100)),
        "shape": shape,
        "tex": rng.normal(0, 0.5, (1, 140)),
        "sh": rng.normal(0, 0.2, (1, 9, 3)),
        "eyes": np.hstack([eye_6d, eye_6d]),
        "eyelids": rng.uniform(0, 0.2, (1, 2)),
        "jaw": np.array([[1, 0, 0, 0, np.cos(opens), -np.sin(opens)]]),
    }
    return {
        "flame": {k: v.astype(np.float32) for k, v in flame.items()},
        "camera": {
            "R": R_rows[:2].reshape(1, 6).astype(np.float32),
            "t": (t * _FLIP)[None].astype(np.float32),
            "fl": np.array([[focal]], np.float32),
            "pp": principal[None],
        },
        "opencv": {"R": R[None].astype(np.float32), "t": t[None].astype(np.float32), "K": K[None]},
        "img_size": np.array([h, w]),
        "frame_id": f"{frame_id:05d}",
        "global_step": 200 * (frame_id + 1),
    }
