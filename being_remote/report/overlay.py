"""The picture that shows whether a recovered camera is right: drawn on the original frame.

The tracker's crop and its padding, the principal point, and the fitted mesh (or the head's axes) seen
through the recovered K. If the camera is right the mesh lies on the face. Pixel for pixel the size of
the frame; positions are drawn to a fraction of a pixel. This reads no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from being_remote.camera.crop import Crop
from being_remote.camera.intrinsics import fov_deg
from being_remote.report.pictures import Colour, Picture, put_text, text_width
from being_remote.tracker.ply import Mesh

Floats = NDArray[np.float64]
Point = Sequence[float] | Floats

CROP: Colour = (64, 190, 255)  # BGR, all of them
PRINCIPAL: Colour = (210, 80, 255)
MESH: Colour = (255, 235, 120)
CANVAS: Colour = (58, 52, 48)
_TEXT: Colour = (240, 240, 240)
_AXES: tuple[tuple[str, Colour], ...] = (("x", (80, 80, 255)), ("y", (90, 220, 90)), ("z", (255, 140, 70)))
_AXIS_M = 0.08
_SHIFT = 6  # cv2 draws at 1/64 px
_FAR_PX = 1e6  # cv2 has 32 bits for a position; what lies farther out is left out


@dataclass(frozen=True)
class OverlayFrame:
    """What is drawn: `picture` (H, W, 3) BGR of one original frame or None, its pose, and `mesh` or None."""

    title: str
    K: Floats
    R: Floats
    t: Floats
    crop: Crop
    mesh: Mesh | None
    picture: Picture | None


def draw(shown: OverlayFrame) -> Picture:
    """The overlay (H, W, 3) BGR, as large as the original frame."""
    width, height = shown.crop.source_size_wh
    unit = max(0.4, height / 1080)
    canvas = np.full((height, width, 3), CANVAS, np.uint8)
    picture = canvas if shown.picture is None else shown.picture.copy()
    _dim_outside(picture, shown.crop)
    if shown.mesh is not None:
        _points(picture, shown, shown.mesh, unit)
    else:
        _axes(picture, shown, unit)
    _crop(picture, shown.crop, unit)
    _cross(picture, (width / 2, height / 2), (200, 200, 200), 7 * unit, unit)
    _principal_point(picture, shown.K, unit)
    _legend(picture, shown, unit)
    return picture


def _fixed(xy: Point) -> tuple[int, int]:
    """Corner pixels -> cv2's fixed point, whose pixel centres are whole."""
    return round((float(xy[0]) - 0.5) * 2**_SHIFT), round((float(xy[1]) - 0.5) * 2**_SHIFT)


def _near(*points: Point) -> bool:
    return bool((np.abs(np.array(points, float)) < _FAR_PX).all())


def _line(picture: Picture, a: Point, b: Point, colour: Colour, thickness: int) -> None:
    if not _near(a, b):
        return
    cv2.line(picture, _fixed(a), _fixed(b), colour, thickness, cv2.LINE_AA, _SHIFT)


def _dim_outside(picture: Picture, crop: Crop) -> None:
    """What the tracker never saw is shown darker."""
    inside = picture[crop.y_min : crop.y_max, crop.x_min : crop.x_max].copy()
    cv2.convertScaleAbs(picture, dst=picture, alpha=0.55)
    picture[crop.y_min : crop.y_max, crop.x_min : crop.x_max] = inside


def _points(picture: Picture, shown: OverlayFrame, mesh: Mesh, unit: float) -> None:
    """The vertices that face the camera, as fine dots over the face."""
    in_camera = mesh.vertices @ shown.R.T + shown.t
    front = in_camera[:, 2] > 1e-6
    if mesh.faces is not None:
        front &= _facing(in_camera, mesh.faces)
    pixels = in_camera[front] @ shown.K.T
    xy = pixels[:, :2] / pixels[:, 2:]
    size = np.array(picture.shape[1::-1])
    layer = picture.copy()
    for point in xy[((xy > -10) & (xy < size + 10)).all(axis=1)]:
        cv2.circle(layer, _fixed(point), round(2.0 * unit * 2**_SHIFT), MESH, -1, cv2.LINE_AA, _SHIFT)
    cv2.addWeighted(layer, 0.8, picture, 0.2, 0, dst=picture)


def _facing(in_camera: Floats, faces: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which vertices belong to a triangle whose front is seen; whichever way round the mesh is wound."""
    a, b, c = (in_camera[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    centres = (a + b + c) / 3
    outward = np.sign(np.sum(normals * (centres - in_camera.mean(axis=0))))
    seen = outward * np.sum(normals * centres, axis=1) < 0
    marked = np.zeros(len(in_camera), dtype=np.bool_)
    marked[faces[seen].ravel()] = True
    return marked


def _axes(picture: Picture, shown: OverlayFrame, unit: float) -> None:
    """Instead of a mesh: the head's own axes, 8 cm long."""
    ends = np.vstack([np.zeros(3), _AXIS_M * np.eye(3)]) @ shown.R.T + shown.t
    if (ends[:, 2] <= 1e-6).any():
        return
    pixels = ends @ shown.K.T
    xy = pixels[:, :2] / pixels[:, 2:]
    for end, (name, colour) in zip(xy[1:], _AXES, strict=True):
        if not _near(end):
            continue
        _line(picture, xy[0], end, colour, max(1, round(3 * unit)))
        corner = (end[0] + 6 * unit, end[1] - 6 * unit)
        put_text(picture, name, corner, colour, 0.62 * unit, max(1, round(1.2 * unit)))


def _crop(picture: Picture, crop: Crop, unit: float) -> None:
    """Solid: what was cut out. Dashed and hatched: the zeros around it that made it square."""
    ax, ay = crop.origin
    bx, by = ax + crop.padded_size_wh[0], ay + crop.padded_size_wh[1]
    thickness = max(2, 2 * round(unit))
    if crop.pad_x or crop.pad_y:
        _hatch(picture, crop, (round(ax), round(ay), round(bx), round(by)), unit)
        for a, b in _edges(ax, ay, bx, by):
            _dashed(picture, a, b, thickness, 14 * unit)
    for a, b in _edges(crop.x_min, crop.y_min, crop.x_max, crop.y_max):
        _line(picture, a, b, CROP, thickness)


def _edges(
    x0: float, y0: float, x1: float, y1: float
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    return list(zip(corners, corners[1:] + corners[:1], strict=True))


def _hatch(picture: Picture, crop: Crop, padded: tuple[int, int, int, int], unit: float) -> None:
    ax, ay, bx, by = padded
    height, width = picture.shape[:2]
    y, x = np.ogrid[max(ay, 0) : min(by, height), max(ax, 0) : min(bx, width)]
    outside = (x < crop.x_min) | (x >= crop.x_max) | (y < crop.y_min) | (y >= crop.y_max)
    stripes = outside & ((x + y) % max(6, round(22 * unit)) < max(1, round(2 * unit)))
    part = picture[max(ay, 0) : min(by, height), max(ax, 0) : min(bx, width)]
    part[stripes] = (0.65 * part[stripes] + 0.35 * np.array(CROP)).astype(np.uint8)


def _dashed(
    picture: Picture, a: tuple[float, float], b: tuple[float, float], thickness: int, dash: float
) -> None:
    start, whole = np.array(a, float), np.array(b, float) - a
    length = float(np.linalg.norm(whole))
    for at in np.arange(0, length, 2 * dash):
        ends = [start + whole * min(s, length) / length for s in (at, at + dash)]
        _line(picture, ends[0], ends[1], CROP, thickness)


def _cross(picture: Picture, xy: Sequence[float], colour: Colour, arm: float, unit: float) -> None:
    x, y = xy
    for a, b in (((x - arm, y), (x + arm, y)), ((x, y - arm), (x, y + arm))):
        _line(picture, a, b, colour, max(1, round(1.5 * unit)))


def _principal_point(picture: Picture, K: Floats, unit: float) -> None:
    centre = (float(K[0, 2]), float(K[1, 2]))
    if not _near(centre):
        return
    _cross(picture, centre, PRINCIPAL, 22 * unit, unit)
    thickness = max(1, round(2 * unit))
    cv2.circle(
        picture, _fixed(centre), round(11 * unit * 2**_SHIFT), PRINCIPAL, thickness, cv2.LINE_AA, _SHIFT
    )


def _legend(picture: Picture, shown: OverlayFrame, unit: float) -> None:
    """A panel in the corner that is farthest from the crop."""
    crop, K = shown.crop, shown.K
    fov = fov_deg(K, crop.source_size_wh)
    padding = ", no padding"
    if crop.pad_x or crop.pad_y:
        padding = f", padded to {crop.padded_size_wh[0]:g} x {crop.padded_size_wh[1]:g}"
    size = f"{crop.x_max - crop.x_min} x {crop.y_max - crop.y_min}"
    rows: list[tuple[str, Colour | None]] = [
        (shown.title, None),
        (f"tracker's crop: {size} at ({crop.x_min}, {crop.y_min}){padding}", CROP),
        (f"principal point ({K[0, 2]:.2f}, {K[1, 2]:.2f}); frame centre: grey cross", PRINCIPAL),
        ("fitted mesh through the recovered K", MESH)
        if shown.mesh is not None
        else ("no mesh here: the head's axes, 8 cm: x red, y green, z blue", _AXES[0][1]),
        (f"f = {K[0, 0]:.2f}, {K[1, 1]:.2f} px; field of view {fov[0]:.2f} x {fov[1]:.2f} deg", None),
    ]
    if shown.picture is None:
        rows.append(("no picture of this frame is at hand: plain canvas", None))
    line, margin = 30 * unit, 18 * unit
    scale, thickness = 0.62 * unit, max(1, round(1.2 * unit))
    widest = max(text_width(text, scale, thickness) for text, _ in rows)
    panel = np.array([widest + 3.6 * margin, len(rows) * line + margin])
    height, width = picture.shape[:2]
    x0 = margin if (crop.x_min + crop.x_max) / 2 > width / 2 else width - panel[0] - margin
    y0 = height - panel[1] - margin
    low, high = np.maximum([x0, y0], 0).astype(int), np.array([x0 + panel[0], y0 + panel[1]]).astype(int)
    part = picture[low[1] : high[1], low[0] : high[0]]
    part[:] = (part * 0.28 + 10).astype(np.uint8)
    for i, (text, colour) in enumerate(rows):
        base = (low[0] + 2.4 * margin, low[1] + margin * 0.4 + (i + 0.75) * line)
        if colour is not None:
            middle = base[1] - 0.22 * line
            _line(picture, (low[0] + 0.7 * margin, middle), (low[0] + 1.9 * margin, middle), colour, 3)
        put_text(picture, text, base, _TEXT, scale, thickness)
