"""Values of the core as plain numbers, for reports: a crop, a camera, the evidence of a search or check."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from being_remote.camera.crop import Crop
    from being_remote.crop_search.finding import CropCheck, FrameEvidence
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
class FrameFigures:
    """One stored picture against the crop made again; see `crop_search.FrameEvidence`."""

    frame_id: int
    source_number: int
    frame_offset: int
    agrees: bool
    equal: bool
    residual: float | None
    score: float | None
    margin: float | None
    offset_told: bool = False


@dataclass(frozen=True)
class EvidenceFigures:
    """How a crop was found without bbox.pt.

    Attributes:
        method: how it was searched for.
        evidence, source: what of the run was compared with which frames.
        reason: what keeps the grade from being better; "" when exact.
        frames: one for each picture looked at; `phantoms` pictures were left out, no `.frame` has them.
        residual: mean absolute difference over the frames, levels of 255.
        margin: the least by which the best crop beats the next one, in correlation.
        side_px, side_std_px, origin_px, origin_std_px: the estimate before it was made whole, and its
            standard error.
        focal_std_percent, principal_std_px: what is left of these errors in K: none where the whole
            numbers were confirmed by the pixels.
        frame_offset: how many frames later than the settings say the pictures lie in `source`.
        notes: what a person should know besides.
    """

    method: str
    evidence: str
    source: str
    reason: str
    frames: tuple[FrameFigures, ...]
    phantoms: int
    residual: float | None
    margin: float | None
    side_px: float | None
    side_std_px: float | None
    origin_px: tuple[float | None, float | None]
    origin_std_px: tuple[float | None, float | None]
    focal_std_percent: float | None
    principal_std_px: tuple[float | None, float | None]
    frame_offset: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class CheckFigures:
    """Whether stored crops are this crop of the frames at hand.

    Attributes:
        agrees: None where that is unknown; `reason` says why.
        exact: every picture looked at has equal pixels.
        source: the frames it was compared with.
        frame_offset: how many frames later than the settings say the pictures lie there.
        notes: what a person should know besides.
    """

    agrees: bool | None
    exact: bool
    reason: str
    source: str | None
    frames: tuple[FrameFigures, ...]
    frame_offset: int | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StretchFigures:
    """Frames with one K, of a run that has several: K of the original frames, and as stored."""

    first_id: int
    last_id: int
    K: Matrix
    K_crop: Matrix


def crop_figures(crop: Crop) -> CropFigures:
    """The crop's numbers for the report."""
    return _copy_fields(CropFigures, crop)


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
    looked_at = _frame_figures(found.frames)
    residuals = [f.residual for f in looked_at if f.residual is not None]
    return _copy_fields(
        EvidenceFigures,
        found,
        evidence=search.evidence,
        source=search.source,
        frames=looked_at,
        phantoms=search.phantoms,
        residual=sum(residuals) / len(residuals) if residuals else None,
        margin=min((f.margin for f in looked_at if f.margin is not None), default=None),
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


def check_figures(check: CropCheck, source: str | None) -> CheckFigures:
    """A check's numbers for the report."""
    return _copy_fields(CheckFigures, check, source=source, frames=_frame_figures(check.frames))


def matrix(K: NDArray[np.float64]) -> Matrix:
    """A (3, 3) array as plain numbers."""
    return tuple(tuple(float(v) for v in row) for row in K)


def _frame_figures(evidence: Iterable[FrameEvidence]) -> tuple[FrameFigures, ...]:
    return tuple(_copy_fields(FrameFigures, e) for e in sorted(evidence, key=lambda e: e.frame_id))


def _copy_fields(kind: type[T], value: Any, /, **more: Any) -> T:
    """A `kind` with the fields of that name of `value`, in plain types."""
    names = [field.name for field in fields(kind) if field.name not in more]  # type: ignore[arg-type]  # a dataclass
    return kind(**{name: _finite(getattr(value, name)) for name in names}, **more)


def _finite(value: Any) -> Any:
    """The value as a plain one; None for a number that is not finite, which JSON does not know."""
    if isinstance(value, tuple):
        return tuple(map(_finite, value))
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
