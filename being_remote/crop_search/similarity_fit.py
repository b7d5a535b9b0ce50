"""One frame's face in the crop laid over the same face in the source frame: scale, place, and how well.

Points are in the corner convention. A crop neither turns nor skews, so a turn that a free fit finds
is evidence against the pair, not part of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ROUNDS = 12
_CUT = 4.685  # Tukey's: 95 % as sharp as least squares where nothing is wrong
_SIGMA = 1.4826  # of the median absolute deviation, for normal noise


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
