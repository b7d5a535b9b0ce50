"""The shape, the paint and the landmarks of the demo's head: an ellipsoid with a face and a hat.

Everything is a function of a direction on the unit sphere (x to the head's left as the camera sees
it: right in the picture, y up, z out of the face). A surface point is `AXES_M * direction *
relief(direction)`, in metres, in the head's own frame, which is the tracker's world. No I/O.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

AXES_M = np.array([0.074, 0.098, 0.090])
RADIUS_M = 0.125  # every surface point lies within
HAT_RIM = 0.50
PAINT_EXTENT = 1.05  # the painting spans [-extent, extent] in direction x and y

_SKIN, _DARK_SKIN, _BLUSH = (0.55, 0.68, 0.90), (0.38, 0.48, 0.70), (0.50, 0.52, 0.93)
_LIPS, _MOUTH, _HAIR, _WHITE = (0.36, 0.34, 0.74), (0.16, 0.15, 0.33), (0.10, 0.16, 0.24), (0.93, 0.94, 0.95)
_IRIS, _BLACK = (0.55, 0.42, 0.20), (0.05, 0.05, 0.06)
_HAT_A, _HAT_B, _RIM = (0.52, 0.36, 0.12), (0.80, 0.84, 0.88), (0.36, 0.24, 0.10)


def _bell(*scaled: Floats) -> Floats:
    return np.asarray(np.exp(-0.5 * sum(s * s for s in scaled)))


def _step(value: Floats, width: float) -> Floats:
    """0 below, 1 above, smooth over `width` around 0."""
    t = np.clip(value / width + 0.5, 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


def relief(x: Floats, y: Floats, z: Floats) -> Floats:
    """How far the surface stands out over the ellipsoid, as a factor, for unit directions."""
    side = np.abs(x)
    face = (
        0.17 * _bell(x / 0.10, (y + 0.12) / 0.17)
        + 0.08 * _bell(x / 0.11, (y + 0.24) / 0.07)
        - 0.05 * _bell((side - 0.34) / 0.14, (y - 0.15) / 0.09)
        + 0.02 * _bell(x / 0.5, (y - 0.31) / 0.06)
        + 0.035 * _bell(x / 0.20, (y + 0.52) / 0.09)
        + 0.050 * _bell(x / 0.22, (y + 0.84) / 0.13)
        + 0.025 * _bell((side - 0.45) / 0.16, (y + 0.17) / 0.15)
    )
    jaw = -0.10 * _bell((side - 0.80) / 0.25, (y + 0.62) / 0.28)
    hat = 0.045 * _step(y - HAT_RIM, 0.04) + 0.03 * _bell((y - HAT_RIM - 0.08) / 0.06)
    return np.asarray(1.0 + face * _step(z - 0.15, 0.3) + jaw + hat)


def surface(directions: Floats) -> Floats:
    """Points on the head in metres for directions (..., 3), which need not be unit length.

    Example:
        >>> bool(surface(np.array([0.0, 0.0, 1.0]))[2] > AXES_M[2])  # the nose stands out
        True
    """
    unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    return np.asarray(AXES_M * unit * relief(unit[..., 0], unit[..., 1], unit[..., 2])[..., None])


def _front(xy: Floats) -> Floats:
    """The directions (N, 3) of the face whose first two parts are `xy` (N, 2)."""
    return np.column_stack([xy, np.sqrt(np.clip(1 - (xy**2).sum(1), 0, None))])


def mesh() -> tuple[Floats, NDArray[np.int32]]:
    """Vertices (V, 3) in metres and triangles (F, 3) of the whole head."""
    rings, spokes = 48, 64
    elevation = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)[1:-1]
    azimuth = np.arange(spokes) * (2 * np.pi / spokes)
    e, a = np.meshgrid(elevation, azimuth, indexing="ij")
    rows = np.stack([np.cos(e) * np.sin(a), np.sin(e), np.cos(e) * np.cos(a)], axis=-1).reshape(-1, 3)
    vertices = surface(np.vstack([rows, [[0, -1, 0], [0, 1, 0]]]))
    here = np.arange(len(rows)).reshape(rings - 1, spokes)
    right = np.roll(here, -1, axis=1)
    lower, upper = here[:-1].ravel(), here[1:].ravel()
    lower_right, upper_right = right[:-1].ravel(), right[1:].ravel()
    bottom, top = np.full(spokes, len(rows)), np.full(spokes, len(rows) + 1)
    faces = np.vstack(
        [
            np.column_stack([lower, lower_right, upper]),
            np.column_stack([upper, lower_right, upper_right]),
            np.column_stack([bottom, right[0], here[0]]),
            np.column_stack([top, here[-1], right[-1]]),
        ]
    )
    return vertices, faces.astype(np.int32)


def landmarks_68() -> Floats:
    """68 points (68, 3) on the face in metres, in the order of the face_alignment set."""
    turn = np.linspace(0, np.pi, 17)
    jaw = np.column_stack([-0.92 * np.cos(turn), 0.12 - 0.98 * np.sin(turn)])
    brow = np.column_stack([np.linspace(-0.56, -0.16, 5), 0.33 + 0.05 * np.sin(np.linspace(0.3, 2.8, 5))])
    bridge = np.column_stack([np.zeros(4), np.linspace(0.17, -0.22, 4)])
    nostrils = np.column_stack([np.linspace(-0.13, 0.13, 5), -0.29 - 0.02 * np.array([0, 1, 2, 1, 0])])
    eye = np.array([0.13, 0.055]) * _circle(6) + [-0.34, 0.15]
    mouth = np.array([0.27, 0.10]) * _circle(12) + [0, -0.52]
    inner = np.array([0.20, 0.03]) * _circle(8) + [0, -0.52]
    mirror = np.array([-1, 1])
    other_eye = (eye * mirror)[[3, 2, 1, 0, 5, 4]]
    parts = [jaw, brow, (brow * mirror)[::-1], bridge, nostrils, eye, other_eye, mouth, inner]
    return surface(_front(np.vstack(parts)))


def landmarks_478() -> Floats:
    """478 points (478, 3) on the face in metres: 468 spread evenly, 10 around the irises."""
    k = np.arange(468)
    radius, angle = np.sqrt((k + 0.5) / 468), k * (np.pi * (3 - np.sqrt(5)))
    spread = np.column_stack([0.85 * radius * np.cos(angle), 0.72 * radius * np.sin(angle) - 0.17])
    iris = np.vstack([[0, 0], 0.035 * _circle(4)])
    eyes = [iris + np.array([x, 0.15]) for x in (-0.34, 0.34)]
    return surface(_front(np.vstack([spread, *eyes])))


def marker_points() -> Floats:
    """The stick-on dots (7, 3) in metres, as motion capture uses them: points to measure pictures by."""
    xy = [(-0.58, -0.22), (0.58, -0.22), (0.0, 0.40), (-0.33, 0.43), (0.33, 0.43), (0.0, -0.80), (0.0, 0.22)]
    return surface(_front(np.array(xy)))


def _circle(count: int) -> Floats:
    """Points (count, 2) of the unit circle from the left, over the top, round."""
    angle = np.pi - np.arange(count) * (2 * np.pi / count)
    return np.column_stack([np.cos(angle), np.sin(angle)])


def grid(size: int) -> tuple[Floats, Floats, Floats]:
    """Directions of a (size, size) painting seen from the front, row 0 at the top."""
    axis = ((np.arange(size) + 0.5) / size * 2 - 1) * PAINT_EXTENT
    x, y = np.meshgrid(axis, -axis)
    length = np.maximum(np.hypot(x, y), 1e-9)
    inside = np.minimum(1.0, 0.9999 / length)  # beyond the rim of the sphere the rim's value is kept
    x, y = x * inside, y * inside
    return x, y, np.sqrt(1 - x * x - y * y)


@cache
def paint(size: int) -> NDArray[np.float32]:
    """The painted face (size, size, 3), BGR in 0..1, without light; read-only: all actors share it."""
    x, y, z = grid(size)
    side = np.abs(x)
    soft = 3.0 / size
    picture = np.empty((size, size, 3))
    picture[:] = _SKIN

    def put(mask: Floats, colour: tuple[float, float, float]) -> None:
        picture[:] += mask[..., None] * (np.array(colour) - picture)

    def disc(cx: float, cy: float, rx: float, ry: float, edge: float = soft) -> Floats:
        return _step(1 - np.hypot((side - cx) / rx, (y - cy) / ry), edge / min(rx, ry))

    put(0.55 * _bell((side - 0.46) / 0.15, (y + 0.27) / 0.12), _BLUSH)
    put(0.40 * _bell((side - 0.34) / 0.17, (y - 0.15) / 0.10), _DARK_SKIN)
    put(0.35 * _bell(x / 0.12, (y + 0.32) / 0.04), _DARK_SKIN)
    put(0.8 * disc(0.06, -0.30, 0.03, 0.018, 0.02), _DARK_SKIN)
    freckles = _bell((np.sin(61 * x + 9 * y) * np.sin(53 * y - 7 * x) - 1) / 0.10)
    put(0.5 * freckles * _bell((side - 0.30) / 0.16, (y + 0.14) / 0.08), _DARK_SKIN)
    almond = _step(1 - np.hypot((side - 0.34) / 0.135, (y - 0.15) / 0.062), 0.10)
    put(disc(0.34, 0.155, 0.150, 0.075, 0.02), _DARK_SKIN)
    put(almond, _WHITE)
    put(almond * disc(0.34, 0.15, 0.056, 0.064), _IRIS)
    put(almond * disc(0.34, 0.15, 0.026, 0.030), _BLACK)
    put(_step(1 - np.hypot((x + 0.325), (y - 0.165)) / 0.012, 0.4), _WHITE)
    put(_step(1 - np.hypot((x - 0.355), (y - 0.165)) / 0.012, 0.4), _WHITE)
    lid = np.abs(np.hypot((side - 0.34) / 0.14, (y - 0.15) / 0.066) - 1)
    put(_step(0.10 - lid, 0.08) * _step(y - 0.15, 0.03), _HAIR)
    arch = 0.33 + 0.05 * np.sin(np.clip((side - 0.12) / 0.50, 0, 1) * np.pi)
    put(_step(0.028 - np.abs(y - arch), 0.02) * _step(0.22 - np.abs(side - 0.36), 0.04), _HAIR)
    smile = -0.52 + 0.55 * x * x
    put(_step(1 - np.hypot(x / 0.28, (y - smile) / 0.095), 0.06), _LIPS)
    put(_step(0.010 - np.abs(y - smile), 0.012) * _step(0.25 - side, 0.05), _MOUTH)

    turn, height = np.arctan2(x, z), np.arcsin(y)
    checks = np.sign(np.sin(turn * 16) * np.sin((height - 0.10) * 22))
    hat = _step(y - HAT_RIM, soft * 2)
    put(hat * (checks > 0), _HAT_A)
    put(hat * (checks <= 0), _HAT_B)
    rim = hat * _step(HAT_RIM + 0.15 - y, soft * 2)
    put(rim, _RIM)
    put(0.35 * rim * _step(np.sin(turn * 90), 0.6), _HAT_B)
    put(0.5 * _bell((y - HAT_RIM + 0.015) / 0.02) * (1 - hat), _DARK_SKIN)
    painted = picture.astype(np.float32)
    painted.setflags(write=False)
    return painted
