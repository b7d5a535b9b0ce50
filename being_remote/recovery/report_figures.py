"""Values of the core as plain numbers, for the report: a crop, a camera, what a search found."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from being_remote.camera.crop import Crop
    from being_remote.crop_search.finding import FrameEvidence
    from being_remote.recovery.found_crop import CropSearch
    from being_remote.tracker.sequence import Sequence as Frames

Matrix = tuple[tuple[float, ...], ...]
T = TypeVar("T")


@dataclass(frozen=True)
class CropFigures:
    """The crop in source pixels, ends exclusive; source pixel = scale * crop pixel + origin (corner).

    `side` and `origin` are whole but for crops that were only estimated.
    """

    x_min: int
    x_max: int
    y_min: int
    y_max: int
    side: float
    pad_x: int
    pad_y: int
    scale_x: float
    scale_y: float
    origin: tuple[float, float]


@dataclass(frozen=True)
class EvidenceFigures:
    """How a crop was found without bbox.pt."""

    method: str  # how it was searched for
    # what of the run was compared with which frames
    evidence: str
    source: str
    reason: str  # what keeps the grade from being better; "" when exact
    # one for each picture looked at; `phantoms` pictures were left out, no `.frame` has them
    frames: tuple[FrameEvidence, ...]
    phantoms: int
    residual: float | None  # mean absolute difference over the frames, levels of 255
    margin: float | None  # the least by which the best crop beats the next one, in correlation
    # the estimate before it was made whole, and its standard error
    side_px: float | None
    side_std_px: float | None
    origin_px: tuple[float | None, float | None]
    origin_std_px: tuple[float | None, float | None]
    # what is left of these errors in K: none where the whole numbers were confirmed by the pixels
    focal_std_percent: float | None
    principal_std_px: tuple[float | None, float | None]
    frame_offset: int | None  # how many frames later than the settings say the pictures lie in `source`
    notes: tuple[str, ...]  # what a person should know besides


@dataclass(frozen=True)
class StretchFigures:
    """Frames with one K, of a run that has several: K of the original frames, and as stored."""

    first_id: int
    last_id: int
    K: Matrix
    K_crop: Matrix


def evidence_figures(search: CropSearch, frames: Frames) -> EvidenceFigures:
    """What a search found, and its errors carried into K.

    With s = side / N, the focal length is s f and the principal point s c + origin; side and origin
    are taken for independent.
    """
    found = search.finding
    sure = found.grade in ("exact", "verified")
    side_std = 0.0 if sure else found.side_std_px
    origin_std = (0.0, 0.0) if sure else found.origin_std_px
    principal_std = [
        math.hypot(float(frames.K[axis, 2]) / frames.image_size_wh[axis] * side_std, origin_std[axis])
        for axis in (0, 1)
    ]
    looked_at = sort_frames(found.frames)
    return copy_fields(
        EvidenceFigures,
        found,
        evidence=search.evidence,
        source=search.source,
        frames=looked_at,
        phantoms=search.phantoms,
        residual=sum(f.residual for f in looked_at) / len(looked_at) if looked_at else None,
        margin=min((f.margin for f in looked_at), default=None),
        focal_std_percent=0.0 if sure else _finite(found.focal_std_percent),
        principal_std_px=_finite(tuple(principal_std)),
    )


def stretch_figures(frames: Frames, crop: Crop) -> tuple[StretchFigures, ...]:
    """Each stretch of a run with K per frame; () where it has one K."""
    from being_remote.camera.intrinsics import intrinsics_in_source

    if len(frames.stretches) == 1:
        return ()
    own = dict(zip(frames.frame_ids.tolist(), frames.K_each, strict=True))
    return tuple(
        StretchFigures(a, b, matrix(intrinsics_in_source(own[a], crop)), matrix(own[a]))
        for a, b in frames.stretches
    )


def sort_frames(frames: Iterable[FrameEvidence]) -> tuple[FrameEvidence, ...]:
    """Sort by frame_id."""
    return tuple(sorted(frames, key=lambda frame: frame.frame_id))


def matrix(K: NDArray[np.float64]) -> Matrix:
    """A (3, 3) array as plain numbers."""
    return tuple(tuple(float(v) for v in row) for row in K)


def copy_fields(kind: type[T], value: Any, /, **more: Any) -> T:
    """A `kind` with the fields of that name of `value`, in plain types."""
    names = [field.name for field in fields(kind) if field.name not in more]  # type: ignore[arg-type]  # a dataclass
    return kind(**{name: _finite(getattr(value, name)) for name in names}, **more)


def _finite(value: Any) -> Any:
    """The value as a plain one; None for a number that is not finite, which JSON does not know."""
    if isinstance(value, tuple):
        return tuple(map(_finite, value))
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
