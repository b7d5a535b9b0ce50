"""Draws the demo's head into a frame: rays against the surface, light, and a room behind.

Pixels are in the corner convention (the first pixel's centre is at 0.5). Slow parts run on a coarse
grid and are enlarged; the stick-on dots are drawn exactly where the camera sees them, so that tests
can measure positions in the finished picture to a few hundredths of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from being_remote.demo import head

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

REFERENCE_HEIGHT_PX = 1080
_LIGHT = np.array([-0.50, -0.55, -0.67]) / np.linalg.norm([0.50, 0.55, 0.67])  # camera axes, to the lamp


@dataclass(frozen=True)
class Studio:
    """What all frames share: the paint, the relief as a table, and the room."""

    paint: NDArray[np.float32]
    relief: NDArray[np.float32]
    normals: NDArray[np.float32]
    room: Picture

    @property
    def scale(self) -> float:
        """Size of this picture relative to a 1080-row one."""
        return float(self.room.shape[0] / REFERENCE_HEIGHT_PX)


def make_studio(size_wh: tuple[int, int], chin_xy: tuple[float, float], seed: int) -> Studio:
    """Prepare everything that does not move; `chin_xy` is where the neck goes, in pixels."""
    x, y, z = head.grid(512)
    relief = head.relief(x, y, z)
    points = head.surface(np.stack([x, y, z], axis=-1))
    normals = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    # Seen from the front the rim of the sphere is steeper than the table can hold: take the ellipsoid's.
    smooth = np.stack([x, y, z], axis=-1) / head.AXES_M
    blend = np.clip(z / 0.3, 0, 1)[..., None] ** 2
    normals = blend * _unit(normals) + (1 - blend) * _unit(smooth)
    return Studio(
        head.paint(1024),
        relief.astype(np.float32),
        _unit(normals).astype(np.float32),
        _room(size_wh, chin_xy, np.random.default_rng(seed)),
    )


def draw(studio: Studio, K: Floats, R: Floats, t: Floats) -> Picture:
    """The frame (H, W, 3) BGR that the camera K (3, 3), R (3, 3), t (3,) sees; the room stands still."""
    picture: Picture = studio.room.copy()
    height, width = picture.shape[:2]
    step = max(1, round(4 * studio.scale))
    centre = K @ t / t[2]
    reach = head.RADIUS_M / t[2] * K.diagonal()[:2]
    low = np.maximum(np.floor((centre[:2] - reach) / step) * step, 0).astype(int)
    high = np.minimum(np.ceil((centre[:2] + reach) / step) * step, [width, height]).astype(int)
    if (high <= low).any():
        return picture
    (x0, y0), cells = low, -(-(high - low) // step)
    u = x0 + (np.arange(cells[0]) + 0.5) * step
    v = y0 + (np.arange(cells[1]) + 0.5) * step
    x, y = np.meshgrid((u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1])
    rays = np.stack([x, y, np.ones_like(x)], axis=-1)
    direction, inside_px = _hit(studio.relief, rays @ R / head.AXES_M, (-R.T @ t) / head.AXES_M, step)

    light = _light(_look_up(studio.normals, direction) * [1, 1, 1] @ R.T, rays)
    coarse = np.dstack([_table_xy(direction, studio.paint.shape[0]), light, inside_px]).astype(np.float32)
    size = (int(cells[0] * step), int(cells[1] * step))
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)[: height - y0, : width - x0]
    colour = cv2.remap(studio.paint, fine[..., 0], fine[..., 1], cv2.INTER_LINEAR)
    lit = colour * fine[..., 2:3] + fine[..., 3:4]
    alpha = np.clip(0.5 + fine[..., 4:5], 0, 1)
    part = picture[y0 : y0 + lit.shape[0], x0 : x0 + lit.shape[1]]
    part[:] = np.clip(alpha * lit * 255 + (1 - alpha) * part + 0.5, 0, 255).astype(np.uint8)
    for point in head.marker_points() @ R.T + t:
        _dot(picture, (K @ point / point[2])[:2], studio.scale)
    return picture


def _hit(
    relief: NDArray[np.float32], rays: Floats, origin: Floats, step: int
) -> tuple[Floats, NDArray[np.float32]]:
    """Where rays meet the head, as directions, and how many pixels inside its outline they are.

    The surface is an ellipsoid scaled by a relief that varies slowly: meet the scaled unit sphere,
    look the scale up there, and repeat.
    """
    a, b, c = (rays**2).sum(-1), rays @ origin, float(origin @ origin)
    scale = np.ones_like(a)
    for _ in range(8):
        room = b * b - a * (c - scale**2)
        along = (-b - np.sqrt(np.maximum(room, 0))) / a
        direction = _unit(origin + along[..., None] * rays)
        scale = 0.5 * scale + 0.5 * _look_up(relief, direction)
    slope_y, slope_x = np.gradient(room, step)
    return direction, (room / (np.hypot(slope_x, slope_y) + 1e-12)).astype(np.float32)


def _light(normals_cam: Floats, rays: Floats) -> Floats:
    """Brightness factor and highlight (..., 2) for normals in camera axes."""
    diffuse = np.clip(normals_cam @ _LIGHT, 0, None)
    facing = np.clip(-(normals_cam * _unit(rays)).sum(-1), 0, 1)
    half = _unit(_LIGHT - _unit(rays))
    shine = np.clip((normals_cam * half).sum(-1), 0, None) ** 40
    return np.dstack([(0.36 + 0.72 * diffuse) * (0.62 + 0.38 * facing**0.6), 0.16 * shine])


def _table_xy(direction: Floats, size: int) -> Floats:
    """Pixel coordinates (..., 2), centre-on-integers as cv2.remap takes them, in a painting of `size`."""
    flipped = direction[..., :2] * [1, -1]
    return np.asarray((flipped / head.PAINT_EXTENT + 1) * (size / 2) - 0.5)


def _look_up(table: NDArray[np.float32], direction: Floats) -> Floats:
    xy = _table_xy(direction, table.shape[0]).astype(np.float32)
    found = cv2.remap(table, xy[..., 0], xy[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, dtype=np.float64)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))


def _dot(picture: Picture, xy: Floats, scale: float) -> None:
    """A white dot on a black one, exactly round and exactly at `xy` (corner pixels).

    The white one fades out softly, so that its centre survives the tracker's resize, which does not
    smooth before it shrinks.
    """
    outer, inner, soft = 10.5 * scale, 5.0 * scale, 6.0 * scale
    low = np.floor(xy - outer - 1).astype(int)
    high = np.ceil(xy + outer + 1).astype(int)
    if (low < 0).any() or (high > picture.shape[1::-1]).any():
        return
    x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5 - xy[0], np.arange(low[1], high[1]) + 0.5 - xy[1])
    radius = np.hypot(x, y)
    black = np.clip(outer + 0.5 - radius, 0, 1)[..., None]
    white = (0.5 + 0.5 * np.cos(np.pi * np.clip((radius - inner) / soft + 0.5, 0, 1)))[..., None]
    part = picture[low[1] : high[1], low[0] : high[0]]
    part[:] = ((1 - black) * part + 245 * white + 12 * (black - white) + 0.5).astype(np.uint8)


def _room(size_wh: tuple[int, int], chin_xy: tuple[float, float], rng: np.random.Generator) -> Picture:
    """A wall, a shelf of books and a picture, out of focus, and the shoulders in front of them."""
    w, h = size_wh
    s = h / REFERENCE_HEIGHT_PX
    across, down = np.meshgrid(np.linspace(0, 1, w), np.linspace(0, 1, h))
    shade = 0.80 - 0.30 * down - 0.22 * (across - 0.35) ** 2
    wall = np.dstack([shade * 178, shade * 176, shade * 160]).astype(np.float32)

    def box(x0: float, y0: float, x1: float, y1: float, colour: tuple[float, ...]) -> None:
        corners = [(round(x * s), round(y * s)) for x, y in ((x0, y0), (x1, y1))]
        cv2.rectangle(wall, corners[0], corners[1], colour, -1)

    for shelf in (300, 590, 880):
        x = 40.0
        while x < 0.30 * w / s:
            thick, tall = rng.uniform(22, 52), rng.uniform(150, 225)
            hue = rng.uniform(0.35, 0.85) * np.array([rng.uniform(60, 190) for _ in range(3)])
            box(x, shelf - tall, x + thick - 4, shelf, tuple(hue))
            box(x + 4, shelf - tall * 0.8, x + thick - 8, shelf - tall * 0.74, tuple(hue * 1.4))
            x += thick
        box(0, shelf, 0.31 * w / s, shelf + 18, (52, 74, 98))
    right = w / s - 330
    box(right, 170, right + 250, 500, (40, 52, 66))
    box(right + 16, 186, right + 234, 484, (206, 214, 216))
    for k in range(5):
        box(right + 40 + 34 * k, 440 - 44 * k, right + 66 + 34 * k, 450, (150 - 25 * k, 110, 70 + 28 * k))
    wall = np.asarray(cv2.GaussianBlur(wall, (0, 0), 5 * s), dtype=np.float32)
    grain = cv2.resize(rng.normal(0, 1, (h // 6 + 1, w // 6 + 1)), (w, h), interpolation=cv2.INTER_CUBIC)
    wall += 1.6 * grain[..., None].astype(np.float32)
    _shoulders(wall, chin_xy, s)
    return np.asarray(np.clip(wall, 0, 255).astype(np.uint8))


def _shoulders(wall: NDArray[np.float32], chin_xy: tuple[float, float], s: float) -> None:
    """Neck and pullover below `chin_xy`, drawn into the wall."""
    h, w = wall.shape[:2]
    x, y = np.meshgrid((np.arange(w) + 0.5 - chin_xy[0]) / s, (np.arange(h) + 0.5 - chin_xy[1]) / s)
    neck_half = 98 + 0.0016 * np.clip(y - 20, 0, None) ** 2
    neck = np.clip((neck_half - np.abs(x)) / 2 + 0.5, 0, 1) * (y > -140)
    skin = (0.50 + 0.20 * np.clip(y / 150, 0, 1)) * (1.0 - 0.30 * np.clip((x + 60) / 150, 0, 1) ** 2)
    wall += neck[..., None] * (skin[..., None] * 235 * np.array([0.55, 0.68, 0.90]) - wall)
    side = np.abs(x)
    top = 118 + 60 * (np.clip(side, 0, 480) / 230) ** 1.25 - 34 * np.exp(-((side - 120) ** 2) / 1500)
    top = np.where(side < 120, 84 + 70 * np.cos(np.clip(x / 120, -1, 1) * np.pi / 2), top)
    top = top + 0.0026 * np.clip(side - 380, 0, None) ** 2
    cloth = np.clip((y - top) / 2 + 0.5, 0, 1)
    knit = 0.92 + 0.08 * np.sin(x / 5.0 + 1.2 * np.sin(y / 7.0)) * np.sin(y / 4.5)
    collar = 1 - 0.35 * np.exp(-((y - top - 30) ** 2) / 60)
    light = (0.95 - 0.0005 * (x + 200)) * knit * collar
    wall += cloth[..., None] * (light[..., None] * np.array([96.0, 70.0, 44.0]) * 1.25 - wall)
