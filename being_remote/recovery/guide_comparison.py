"""The guide's answer beside the right one, with how far it sends rays astray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from being_remote.recovery.report_values import Matrix, matrix

if TYPE_CHECKING:
    from being_remote.export import Cameras


@dataclass(frozen=True)
class RayError:
    """How far the guide's camera sends the ray of one pixel astray."""

    where: str
    crop_px: tuple[float, float]
    source_px: tuple[float, float]
    degrees: float


@dataclass(frozen=True)
class Explanation:
    """The answer of "add the offset, keep the focal length" beside the right one.

    Attributes:
        guide_K: what that recipe gives, corner convention.
        focal_ratio: how many times longer the right focal length is.
        errors: at the crop's centre and its four corners.
    """

    guide_K: Matrix
    focal_ratio: float
    errors: tuple[RayError, ...]


def compare_with_guide(cameras: Cameras, box: tuple[int, int, int, int] | None) -> Explanation:
    """Compare with the guide's step 3, taken literally: cx + x_min, cy + y_min, focal length as stored."""
    import numpy as np

    from being_remote.camera.crop import to_source
    from being_remote.camera.intrinsics import ray_angle_deg

    guide = cameras.K_crop.copy()
    if box is not None:
        guide[:2, 2] += (box[0], box[2])
    w, h = cameras.crop.image_size_wh
    named = {
        "centre": (w / 2, h / 2),
        "top left": (0.0, 0.0),
        "top right": (float(w), 0.0),
        "bottom left": (0.0, float(h)),
        "bottom right": (float(w), float(h)),
    }
    crop_px = np.array(list(named.values()))
    source_px = to_source(cameras.crop, crop_px)
    degrees = ray_angle_deg(cameras.K_source, guide, source_px)
    errors = tuple(
        RayError(where, uv, (float(xy[0]), float(xy[1])), float(angle))
        for (where, uv), xy, angle in zip(named.items(), source_px, degrees, strict=True)
    )
    return Explanation(matrix(guide), float(cameras.K_source[0, 0] / guide[0, 0]), errors)
