"""What `recover` says: its report, and the guide's answer beside the right one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from being_remote.camera.crop import Crop
    from being_remote.export import Cameras

    Floats = NDArray[np.float64]

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class CropFigures:
    """The crop in source pixels, ends exclusive; source pixel = scale * crop pixel + origin (corner)."""

    x_min: int
    x_max: int
    y_min: int
    y_max: int
    side: int
    pad_x: int
    pad_y: int
    scale_x: float
    scale_y: float
    origin: tuple[int, int]


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


@dataclass(frozen=True)
class RecoverReport:
    """Cameras of the original video, and what was written.

    Attributes:
        run, actor: the run's name and the actor it belongs to, if known.
        frames: how many poses there are; `missing_ids` are those that are not.
        K, K_opencv: original frames; corner convention, and OpenCV's. `K_crop` is the stored one.
        fov_deg: degrees of the whole frame, horizontal and vertical.
        grade: "bbox" (this run's own bbox.pt), "unverified" (a bbox.pt that may be another run's) or
            "whole frame" (the run cropped nothing).
        bbox: the file the box was read from.
        outputs: what was written; with `dry_run` what would be.
        notes: what must be done so that a trainer takes the cameras unchanged.
        explain: only when asked for.
    """

    run: str
    actor: str | None
    frames: int
    missing_ids: tuple[int, ...]
    source_size_wh: tuple[int, int]
    image_size_wh: tuple[int, int]
    crop: CropFigures
    K: Matrix
    K_opencv: Matrix
    K_crop: Matrix
    fov_deg: tuple[float, float]
    grade: str
    bbox: str | None
    outputs: tuple[str, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    explain: Explanation | None
    dry_run: bool

    @property
    def exit_code(self) -> int:
        """0: what goes wrong is an error, not a report."""
        return 0


def explain(cameras: Cameras, box: tuple[int, int, int, int] | None) -> Explanation:
    """The guide's step 3, taken literally: cx + x_min, cy + y_min, focal length as stored."""
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


def figures(crop: Crop) -> CropFigures:
    """The crop's numbers for the report."""
    return CropFigures(
        crop.x_min,
        crop.x_max,
        crop.y_min,
        crop.y_max,
        crop.side,
        crop.pad_x,
        crop.pad_y,
        crop.scale_x,
        crop.scale_y,
        crop.origin,
    )


def matrix(K: Floats) -> Matrix:
    """A (3, 3) array as plain numbers."""
    return tuple(tuple(float(v) for v in row) for row in K)
