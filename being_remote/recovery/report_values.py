"""Values of the core as plain numbers, for reports: a crop, a camera, the evidence of a search or check."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from being_remote.camera.crop import Crop
    from being_remote.crop_search.finding import CropCheck, FrameEvidence
    from being_remote.recovery.found_crop import CropSearch
    from being_remote.tracker.sequence import Sequence as Frames

Matrix = tuple[tuple[float, ...], ...]


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
        reason: why the grade is no better; "" when exact.
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
        agrees: None where that could not be told or was not looked at; `reason` says why.
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


def evidence_figures(search: CropSearch, frames: Frames) -> EvidenceFigures:
    """What a search found, and its errors carried into K.

    With s = side / N, the focal length is s f and the principal point s c + origin; side and origin
    are taken for independent.
    """
    found = search.finding
    sure = found.grade in ("exact", "verified")
    side_std = 0.0 if sure else found.side_std_px
    origin_std = (0.0, 0.0) if sure else found.origin_std_px
    principal = tuple(
        _known(math.hypot(float(frames.K[axis, 2]) / frames.image_size_wh[axis] * side_std, origin_std[axis]))
        for axis in (0, 1)
    )
    looked_at = _frames(found.frames)
    return EvidenceFigures(
        method=found.method,
        evidence=search.evidence,
        source=search.source,
        reason=found.reason,
        frames=looked_at,
        phantoms=search.phantoms,
        residual=_mean([f.residual for f in looked_at]),
        margin=min((f.margin for f in looked_at if f.margin is not None), default=None),
        side_px=_known(found.side_px),
        side_std_px=_known(found.side_std_px),
        origin_px=(_known(found.origin_px[0]), _known(found.origin_px[1])),
        origin_std_px=(_known(found.origin_std_px[0]), _known(found.origin_std_px[1])),
        focal_std_percent=0.0 if sure else _known(found.focal_std_percent),
        principal_std_px=(principal[0], principal[1]),
        frame_offset=found.frame_offset,
        notes=found.notes,
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
    return CheckFigures(
        check.agrees,
        check.exact,
        check.reason,
        source,
        _frames(check.frames),
        check.frame_offset,
        check.notes,
    )


def matrix(K: NDArray[np.float64]) -> Matrix:
    """A (3, 3) array as plain numbers."""
    return tuple(tuple(float(v) for v in row) for row in K)


def _frames(evidence: Iterable[FrameEvidence]) -> tuple[FrameFigures, ...]:
    return tuple(_frame(e) for e in sorted(evidence, key=lambda e: e.frame_id))


def _frame(e: FrameEvidence) -> FrameFigures:
    return FrameFigures(
        e.frame_id,
        e.source_number,
        e.frame_offset,
        bool(e.agrees),
        bool(e.equal),
        _known(e.residual),
        _known(e.score),
        _known(e.margin),
        bool(e.offset_told),
    )


def _known(value: float) -> float | None:
    """JSON knows no NaN."""
    return float(value) if math.isfinite(value) else None


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
