"""Values over frames, as charts show them: panels of curves, where a curve breaks, and the camera's path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Span = tuple[float, float]  # first and last

# Told apart by the colour-blind, too. Source: Okabe and Ito, "Color Universal Design".
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
MAX_VALUE = 1e30  # more than any value that means something; float64 still squares it
FACING = np.diag([1.0, -1.0, -1.0])  # world-to-camera of a head that looks straight into the camera
MAX_NAME = 60  # letters
MAX_POINTS = 2000  # of a piece of a curve; more are not seen


class Curve:
    """One value at each of some frames.

    Attributes:
        frame_ids: (N,) ascending.
        values: (N,); NaN where there is none.
    """

    def __init__(self, name: str, frame_ids: ArrayLike, values: ArrayLike) -> None:
        ids, given = np.asarray(frame_ids, np.float64), np.asarray(values, np.float64)
        if ids.ndim != 1 or ids.shape != given.shape or not np.isfinite(ids).all():
            raise ValueError(f"{name!r}: (N,) frames and (N,) values, got {ids.shape} and {given.shape}")
        if (np.diff(ids) <= 0).any():
            raise ValueError(f"{name!r}: frames must ascend")
        self.name, self.frame_ids = name, ids
        self.values: Floats = np.where(np.abs(given) < MAX_VALUE, given, np.nan)

    @property
    def label(self) -> str:
        """Its name, and whether it is constant."""
        values = self.values[np.isfinite(self.values)]
        constant = values.size > 1 and values.min() == values.max()
        return self.name[:MAX_NAME] + (" (constant)" if constant else "")

    def segments(self, frames: Span) -> list[NDArray[np.intp]]:
        """Indices of its values in pieces without a gap; what is too narrow to be seen is left out.

        Example:
            >>> curve = Curve("jaw", [0, 10, 20, 50, 60], [1, 1, 1, 1, np.nan])
            >>> [piece.tolist() for piece in curve.segments((0, 60))]
            [[0, 1, 2], [3]]
        """
        present, gaps = self._gaps((frames[1] - frames[0]) / 2000)
        return [self._thin(piece) for piece in np.split(present, gaps + 1)] if len(present) else []

    def missing(self, frames: Span) -> list[Span]:
        """From where to where it has no value, each span wide enough to be seen.

        Example:
            >>> Curve("jaw", [0, 10, 20, 50, 60], [1, 1, 1, 1, np.nan]).missing((0, 60))
            [(20.0, 50.0), (50.0, 60.0)]
        """
        present, gaps = self._gaps(0)
        ids = self.frame_ids[present]
        starts, ends = [frames[0], *ids[gaps], *ids[-1:]], [*ids[:1], *ids[gaps + 1], frames[1]]
        least = (frames[1] - frames[0]) / 500
        spans: list[Span] = []
        for start, end in zip(starts, ends, strict=True):
            if end <= start:
                continue
            if spans and start < spans[-1][1]:
                spans[-1] = (spans[-1][0], max(float(end), spans[-1][1]))
            else:
                spans.append((float(start), max(float(end), float(start) + least)))
        return spans

    def _thin(self, piece: NDArray[np.intp]) -> NDArray[np.intp]:
        """The lowest and highest value of each part of a long piece, and its ends."""
        if len(piece) <= MAX_POINTS:
            return piece
        parts = np.array_split(piece, MAX_POINTS // 2)
        extremes = [part[pick(self.values[part])] for part in parts for pick in (np.argmin, np.argmax)]
        return np.unique([piece[0], *extremes, piece[-1]])

    def _gaps(self, least: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Indices of its values, and after which of these frames are left out, by its own smallest step."""
        present = np.flatnonzero(np.isfinite(self.values))
        step = np.diff(self.frame_ids).min(initial=np.inf)
        return present, np.flatnonzero(np.diff(self.frame_ids[present]) > max(1.5 * step, least))


@dataclass(frozen=True)
class Panel:
    """Curves on one axis."""

    title: str
    unit: str
    curves: tuple[Curve, ...]


def frame_range(panels: Iterable[Panel]) -> Span:
    """The first and last frame of all panels, which share them."""
    ids = np.concatenate([curve.frame_ids for panel in panels for curve in panel.curves] or [np.zeros(0)])
    first, last = (float(ids.min()), float(ids.max())) if ids.size else (0.0, 1.0)
    return (first, last) if first < last else (first - 0.5, last + 0.5)


def value_range(panel: Panel) -> Span:
    """The lowest and highest value of a panel, with some room."""
    values = np.concatenate([curve.values for curve in panel.curves] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    # A range that is only rounding would draw noise as if it were motion.
    moves = high - low > 1e-9 * max(abs(low), abs(high))
    room = 0.08 * (high - low) if moves else 0.1 * abs(high) or 1.0
    return low - room, high + room


def camera_path(frame_ids: ArrayLike, R: ArrayLike, t: ArrayLike) -> tuple[Panel, ...]:
    """How far the head is from the camera, where the camera is seen from the head, and how the head turns.

    Args:
        frame_ids: (N,) ascending; what is missing is shown as a gap.
        R, t: (N, 3, 3), (N, 3) world-to-camera, OpenCV axes, metres; the world is the head at rest.
    """
    R, t = np.asarray(R, np.float64), np.asarray(t, np.float64)
    centre = -np.einsum("nji,nj->ni", R, t)

    def curves(names: Sequence[str], columns: Floats) -> tuple[Curve, ...]:
        return tuple(Curve(name, frame_ids, columns[:, i]) for i, name in enumerate(names))

    distance = Curve("", frame_ids, np.linalg.norm(t, axis=1))
    around = curves(("x: subject's left", "y: up", "z: front"), centre)
    return (
        Panel("distance of the head", "m, over frames", (distance,)),
        Panel("path of the camera around the head", "m", around),
        Panel("turn of the head", "deg", curves(("yaw", "pitch", "roll"), head_angles_deg(R))),
    )


def head_angles_deg(R: ArrayLike) -> Floats:
    """Yaw, pitch and roll (N, 3) in degrees of a head that is seen at R (N, 3, 3), world-to-camera.

    All zero when it looks straight into the camera. As seen in the picture: positive yaw turns the
    face to the right edge, positive pitch up, positive roll is clockwise.

    Source:
        R diag(1, -1, -1) = Ry(-yaw) Rx(-pitch) Rz(roll) in OpenCV axes, solved for the angles.

    Example:
        >>> a = np.radians(10)
        >>> turned = [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
        >>> (head_angles_deg([turned @ np.diag([1.0, -1, -1])]).round(6) + 0.0).tolist()
        [[0.0, 0.0, 10.0]]
    """
    turned = np.asarray(R, np.float64) @ FACING
    yaw = -np.arctan2(turned[:, 0, 2], turned[:, 2, 2])
    pitch = np.arcsin(np.clip(turned[:, 1, 2], -1, 1))
    roll = np.arctan2(turned[:, 1, 0], turned[:, 1, 1])
    angles: Floats = np.degrees(np.stack([yaw, pitch, roll], axis=-1))
    return angles
