"""The crop from landmarks: the tracker's own, in crop pixels, against others found on whole frames.

Every frame gives a scale and a place; over many frames they agree, or the pairs are wrong and the
answer is `unknown`. The error bars come from how the frames scatter and from what all frames have in
common. A detector that places points otherwise at another magnification adds an error that no number
of frames shows, so the grade is `landmark` at best. Corner convention throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from being_remote.camera.crop import Crop
from being_remote.camera.free_crop import free_crop
from being_remote.crop_search.crop_rendering import whole_crops
from being_remote.crop_search.finding import Finding
from being_remote.tracker.box_rules import possible_side

Floats = NDArray[np.float64]

_ROUNDS = 12
_CUT = 4.685  # Tukey's: 95 % as sharp as least squares where nothing is wrong
_SIGMA = 1.4826  # of the median absolute deviation, for normal noise

MIN_FRAMES = 3
MISFIT = 0.06  # of the face's size: two detections of one face differ by a third of this at most
TURN_DEG = 2.5  # detections of one face differ by half a degree; a crop never turns
APART = 0.02  # of the side: frames that scatter more do not show one crop
MOVES_PX = 4.0  # the motion of heads that move less shows nothing
OUT_OF_STEP = 0.5  # of the head's motion: what may remain of it in the crop's place
_OUTLIER = 5.0
_BLOCKS = 10  # neighbouring frames err alike, so their number says too much
_FREE_POINTS = 20  # neighbouring landmarks err alike, too: so many are worth a point of their own


@dataclass(frozen=True, eq=False)
class FaceFit:
    """source = scale * crop + origin, fitted to one frame."""

    scale: float  # source pixels for one crop pixel
    origin: Floats  # (2,) where the crop's first corner lies, source pixels
    turn_deg: float  # what a free similarity would turn by; nearly 0 for a right pair
    rest: Floats  # (n, 2) what is left of each point, source pixels
    spread_px: float  # root mean square distance of the source points from their middle
    # (2,) of the points
    middle_crop: Floats
    middle_source: Floats

    @property
    def misfit(self) -> float:
        """How different the two faces are: the median rest in units of the face's size."""
        return float(np.median(np.linalg.norm(self.rest, axis=1)) / self.spread_px)


def fit_face(crop_px: Floats, source_px: Floats) -> FaceFit | None:
    """The similarity between two sets of points (n, 2), gross errors left out; None where there is none.

    Source:
        Least squares in the complex plane (Umeyama's solution for two dimensions), reweighted by
        Tukey's function.

    Example:
        >>> u = np.array([[100.0, 100], [400, 120], [250, 380], [260, 200]])
        >>> fit = fit_face(u, 1.5 * u + [300, -20])
        >>> round(fit.scale, 9), fit.origin.round(6).tolist()
        (1.5, [300.0, -20.0])
    """
    u, x = crop_px[:, 0] + 1j * crop_px[:, 1], source_px[:, 0] + 1j * source_px[:, 1]
    weights = np.ones(len(u))
    for _ in range(_ROUNDS):
        total = weights.sum()
        middle_u, middle_x = (weights @ u) / total, (weights @ x) / total
        du, dx = u - middle_u, x - middle_x
        size = float(weights @ np.abs(du) ** 2)
        if not size > 1e-9:
            return None
        free = complex(weights @ (du.conj() * dx)) / size
        rest = dx - free.real * du
        sigma = _SIGMA * float(np.median(np.abs(rest)))
        # Never to nothing: half of the points may agree to the last bit.
        far = np.abs(rest) / (_CUT * max(sigma, 1e-6 * float(np.abs(dx).max()), 1e-12))
        weights = np.where(far < 1, (1 - np.minimum(far, 1) ** 2) ** 2, 0)
        if weights.sum() < 3:
            return None
    if not free.real > 0:
        return None
    origin = middle_x - free.real * middle_u
    return FaceFit(
        scale=free.real,
        origin=_xy(origin),
        turn_deg=float(np.degrees(np.angle(free))),
        rest=np.stack([rest.real, rest.imag], axis=1),
        spread_px=float(np.sqrt(np.mean(np.abs(x - x.mean()) ** 2))),
        middle_crop=_xy(u.mean()),
        middle_source=_xy(x.mean()),
    )


def robust_std(values: Floats) -> Floats:
    """Standard deviation along the first axis, from the median absolute deviation."""
    return np.asarray(_SIGMA * np.median(np.abs(values - np.median(values, axis=0)), axis=0))


def _xy(z: complex) -> Floats:
    return np.array([z.real, z.imag])


@dataclass(frozen=True, eq=False)
class LandmarkPair:
    """One frame's landmarks in the stored crop and in the original frame."""

    crop_px: Floats  # (n, 2) pixels of the network image, corner convention
    source_px: Floats  # (n, 2) the same points in pixels of the original frame, corner convention


@dataclass(frozen=True, eq=False)
class _Estimate:
    """Side and origin (x, y) over all frames, with standard errors, and the middle's own."""

    values: Floats
    stds: Floats
    middle: Floats
    middle_stds: Floats
    pattern_px: float


def from_landmarks(
    pairs: Sequence[LandmarkPair],
    source_size_wh: tuple[int, int],
    image_size_wh: tuple[int, int],
    *,
    detector: str,
    bbox_scale: float | None = None,
) -> Finding:
    """Find the crop that lays the stored landmarks over those of the original frames.

    Args:
        pairs: a few frames at least, spread over the clip and in its order, all of one set of points;
            those without a face (all zero) are skipped.
        image_size_wh: of the network image, square.
        detector: what found the landmarks, for people.
        bbox_scale: the tracker's setting, where it is known: a whole side must be one that it gives.

    Returns:
        Grade `landmark`, with standard errors, or `unknown` with the reason. Whole numbers only where
        the errors leave one choice; else a `FreeCrop`.

    Raises:
        ValueError: the pairs are not all of the same points.
    """
    if len({shape for p in pairs for shape in (p.crop_px.shape, p.source_px.shape)}) > 1:
        raise ValueError("the pairs are of different sets of points")
    method = f"landmarks of {detector}"
    faces = [p for p in pairs if p.crop_px.any() and p.source_px.any()]
    fits = [fit for p in faces if (fit := fit_face(p.crop_px, p.source_px)) is not None]
    alike = [f for f in fits if f.misfit < MISFIT and abs(f.turn_deg) < TURN_DEG]
    if why := _too_few(len(pairs), len(faces), fits, alike):
        return Finding("unknown", None, method, why)
    size = image_size_wh[0]
    values = np.array([[f.scale * size, *f.origin] for f in alike])
    good = _together(values)
    kept, values = [f for f, ok in zip(alike, good, strict=True) if ok], values[good]
    if why := _contradiction(kept, values, len(alike)):
        return Finding("unknown", None, method, why)
    found = _combine(kept, values, size)
    crop = _whole(found, source_size_wh, image_size_wh, bbox_scale) or _free(
        found, source_size_wh, image_size_wh
    )
    if crop is None:
        where = f"{found.values[0]:.0f} px at ({found.values[1]:.0f}, {found.values[2]:.0f})"
        return Finding("unknown", None, method, f"the crop that fits, {where}, lies outside the frame")
    return Finding(
        "landmark",
        crop,
        method,
        "landmarks alone: a detector places its points a little otherwise at another magnification, which"
        " commonly moves the crop by 1 to 3 px and is not in the error bars",
        side_px=float(found.values[0]),
        side_std_px=float(found.stds[0]),
        origin_px=(float(found.values[1]), float(found.values[2])),
        origin_std_px=(float(found.stds[1]), float(found.stds[2])),
        notes=tuple(_notes(pairs, faces, kept, values, found)),
    )


def _too_few(pairs: int, faces: int, fits: Sequence[FaceFit], alike: Sequence[FaceFit]) -> str:
    if faces < MIN_FRAMES:
        return f"of {pairs} frames only {faces} have landmarks in both places; {MIN_FRAMES} are needed"
    if 2 * len(alike) >= faces and len(alike) >= MIN_FRAMES:
        return ""
    misfit = np.median([f.misfit for f in fits]) if fits else np.nan
    turn = np.median([abs(f.turn_deg) for f in fits]) if fits else np.nan
    return (
        f"only in {len(alike)} of {faces} frames can the two faces be the same one: they differ by"
        f" {100 * misfit:.1f} % of their size and are turned by {turn:.1f} degrees (medians): another"
        " person, another take, or other frames"
    )


def _together(values: Floats) -> NDArray[np.bool_]:
    """Which frames agree with the median of all."""
    spread = np.maximum(robust_std(values), 1e-4 * np.median(values[:, 0]))
    return np.asarray((np.abs(values - np.median(values, axis=0)) < _OUTLIER * spread).all(axis=1))


def _contradiction(kept: Sequence[FaceFit], values: Floats, among: int) -> str:
    """Why these frames do not show one static crop; "" where they do."""
    if len(kept) < MIN_FRAMES or 2 * len(kept) < among:
        return f"only {len(kept)} of {among} frames agree on one crop"
    side = float(np.median(values[:, 0]))
    middles = values[:, 1:] + values[:, :1] / 2
    scatter = np.array([robust_std(values[:, 0]), *robust_std(middles)])
    if scatter.max() > APART * side:
        return (
            f"the frames do not agree on one crop: its side scatters by {scatter[0]:.1f} px and its middle by"
            f" {scatter[1]:.1f}, {scatter[2]:.1f} px: another take, or other frames"
        )
    moved = robust_std(np.array([f.middle_source for f in kept]))
    for axis in (0, 1):
        if moved[axis] > MOVES_PX and scatter[1 + axis] > OUT_OF_STEP * moved[axis]:
            return (
                f"the heads do not move together: the face moves by {moved[axis]:.1f} px in the frames, and"
                f" {scatter[1 + axis]:.1f} px of that do not show in the crops: another take, or other frames"
            )
    return ""


def _combine(kept: Sequence[FaceFit], values: Floats, size: int) -> _Estimate:
    middles = values[:, 1:] + values[:, :1] / 2
    mean_rest = np.mean([f.rest for f in kept], axis=0)
    pattern = float(np.sqrt(np.mean(mean_rest**2)))
    # An error that all frames share, propagated through the fit as if `_FREE_POINTS` points had one each.
    spread = np.mean([f.spread_px / f.scale for f in kept])
    off_centre = np.mean([f.middle_crop for f in kept], axis=0)
    share = pattern / np.sqrt(min(_FREE_POINTS, len(mean_rest)))
    scale_std, place_std = share / spread, share
    common = np.array([size * scale_std, *np.hypot(place_std, off_centre * scale_std)])
    common_middle = np.hypot(place_std, (off_centre - size / 2) * scale_std)
    return _Estimate(
        values.mean(axis=0),
        np.hypot(_error_of_mean(values), common),
        middles.mean(axis=0),
        np.hypot(_error_of_mean(middles), common_middle),
        pattern,
    )


def _error_of_mean(values: Floats) -> Floats:
    """Of single frames, or of stretches of the clip: the larger."""
    count = len(values)
    error = values.std(axis=0, ddof=1) / np.sqrt(count)
    if count >= 2 * _BLOCKS:
        means = np.array([block.mean(axis=0) for block in np.array_split(values, _BLOCKS)])
        error = np.maximum(error, means.std(axis=0, ddof=1) / np.sqrt(_BLOCKS))
    return np.asarray(error)


def _whole(
    found: _Estimate,
    source_size_wh: tuple[int, int],
    image_size_wh: tuple[int, int],
    bbox_scale: float | None,
) -> Crop | None:
    """The one crop of whole numbers within three standard errors, where there is but one."""
    side = 2 * round(found.values[0] / 2)
    origin = [round(float(m) - side / 2) for m in found.middle]
    off = [float(found.values[0]) - side, *(found.middle - side / 2 - origin)]
    # The tracker's sides are even, so the next one is 2 px away.
    room = (1.0, 0.5, 0.5)
    bars = 3 * np.array([found.stds[0], *found.middle_stds])
    if (bars > room).any() or (np.abs(off) > np.maximum(bars, 0.05)).any():
        return None
    if bbox_scale is not None and not _allowed(side, origin, source_size_wh, bbox_scale):
        return None
    crops = whole_crops((side, side, origin[0], origin[1]), source_size_wh, image_size_wh, (0.0, 0.0))
    return next(crops, None)


def _allowed(side: int, origin: Sequence[int], source_size_wh: tuple[int, int], bbox_scale: float) -> bool:
    """Whether the tracker makes such a crop; one that a border may have cut can have any side."""
    if any(o < 1 or o + side > n - 2 for o, n in zip(origin, source_size_wh, strict=True)):
        return True
    return possible_side(side, bbox_scale)


def _free(found: _Estimate, source_size_wh: tuple[int, int], image_size_wh: tuple[int, int]) -> Crop | None:
    side, x, y = (float(v) for v in found.values)
    try:
        return free_crop((side, side), (x, y), source_size_wh, image_size_wh)
    except ValueError:
        return None  # says that nothing of it lies in the frame


def _notes(
    pairs: Sequence[LandmarkPair],
    faces: Sequence[LandmarkPair],
    kept: Sequence[FaceFit],
    values: Floats,
    found: _Estimate,
) -> list[str]:
    counts = [f"{len(kept)} frames agree"]
    if len(faces) < len(pairs):
        counts.append(f"{len(pairs) - len(faces)} without a face were skipped")
    if len(kept) < len(faces):
        counts.append(f"{len(faces) - len(kept)} that fit badly were left out")
    rest = float(np.median([np.median(np.linalg.norm(f.rest, axis=1)) for f in kept]))
    notes = [
        ", ".join(counts),
        f"points lie {rest:.2f} px from where they should (median), of which {found.pattern_px:.2f} px are"
        f" the same in every frame; from frame to frame the side scatters by"
        f" {values[:, 0].std(ddof=1):.2f} px",
    ]
    moved = robust_std(np.array([f.middle_source for f in kept])).max()
    if moved < MOVES_PX:
        notes.append(
            f"the face moves by {moved:.1f} px only: another take of the same scene would look the same"
        )
    return notes
