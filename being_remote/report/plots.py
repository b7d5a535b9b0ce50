"""Drawings for people who live in a terminal: the camera's path, how well the checks went, K, and
two runs' parameters side by side.

Each is a picture (H, W, 3) BGR on white; `overlay.png` makes a file of it. They show what they are
handed and judge nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from being_remote.camera.crop import Crop
from being_remote.report.chart import COLOURS, INK, PAPER, QUIET, Curve, Panel, chart, write
from being_remote.report.diagram import Diagram, Point, Rect, diagram

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

# The pose of a head that looks straight into the camera, world-to-camera in OpenCV axes.
_FACING = np.diag([1.0, -1.0, -1.0])
_WIDTH_PX, _HEADING_PX, _CAPTION_PX, _MARGIN_PX = 1600, 76, 196, 36
_MAX_HEIGHT_PX = 1600


def camera_path(title: str, frame_ids: ArrayLike, R: ArrayLike, t: ArrayLike) -> Picture:
    """How far the head is from the camera, where the camera is seen from the head, and how the head turns.

    Args:
        title: above all.
        frame_ids: (N,) ascending; what is missing is shown as a gap.
        R, t: (N, 3, 3), (N, 3) world-to-camera, OpenCV axes, metres; the world is the head at rest.
    """
    R, t = np.asarray(R, np.float64), np.asarray(t, np.float64)
    centre = -np.einsum("nji,nj->ni", R, t)
    angles = head_angles_deg(R)

    def curves(names: Sequence[str], columns: Floats) -> tuple[Curve, ...]:
        return tuple(Curve(name, frame_ids, columns[:, i]) for i, name in enumerate(names))

    distance = Curve("", frame_ids, np.linalg.norm(t, axis=1))
    return chart(
        title,
        [
            Panel("distance of the head", "m, over frames", (distance,)),
            Panel(
                "path of the camera around the head",
                "m",
                curves(("x: subject's left", "y: up", "z: front"), centre),
            ),
            Panel("turn of the head", "deg", curves(("yaw", "pitch", "roll"), angles)),
        ],
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
    turned = np.asarray(R, np.float64) @ _FACING
    yaw = -np.arctan2(turned[:, 0, 2], turned[:, 2, 2])
    pitch = np.arcsin(np.clip(turned[:, 1, 2], -1, 1))
    roll = np.arctan2(turned[:, 1, 0], turned[:, 1, 1])
    angles: Floats = np.degrees(np.stack([yaw, pitch, roll], axis=-1))
    return angles


def residuals(
    title: str, frame_ids: ArrayLike, values: ArrayLike, *, unit: str, limit: float | None = None
) -> Picture:
    """A measurement of each frame looked at, standing on zero, and the limit; what exceeds it stands out.

    Args:
        title: what was measured.
        frame_ids, values: (N,); a value that is not finite was not measured, and is an x.
        unit: of the values.
        limit: the largest good value, or None.
    """
    panel = Panel("", f"{unit}, over frames", (Curve(title, frame_ids, values),), dots=True, limit=limit)
    return chart(title, [panel])


def parameter_curves(title: str, panels: Sequence[Panel]) -> Picture:
    """Parameters over frames as small multiples, two beside each other; one `Curve` a run in each panel.

    A parameter that a run never changed is called constant in its panel.
    """
    return chart(title, panels, columns=2)


def intrinsics(
    title: str, crop: Crop, K_crop: Floats, K_source: Floats, frame: Picture | None = None
) -> Picture:
    """K before and after: the tracker's image beside the original frame, the crop and both centres drawn.

    Args:
        title: above all.
        crop: the tracker's crop.
        K_crop, K_source: (3, 3) corner convention.
        frame: (H, W, 3) BGR, an original frame to draw on; None: plain.
    """
    drawn = diagram(crop, K_crop, K_source)
    room = _MAX_HEIGHT_PX - _HEADING_PX - _CAPTION_PX
    scale = min((_WIDTH_PX - 2 * _MARGIN_PX) / drawn.view.width, room / drawn.view.height)
    height = round(drawn.view.height * scale) + _HEADING_PX + _CAPTION_PX
    paper = np.full((height, _WIDTH_PX, 3), PAPER, np.uint8)
    place = _Place(drawn.view, scale)
    write(paper, title, (_MARGIN_PX, 50), INK, 0.95, width=_WIDTH_PX - 2 * _MARGIN_PX)
    if frame is not None:
        _pictures(paper, drawn, crop, frame, place)
    _lines(paper, drawn, place)
    base = height - _CAPTION_PX + 44
    _figures(paper, "before", crop.image_size_wh, K_crop, (_MARGIN_PX, base))
    _figures(paper, "after", crop.source_size_wh, K_source, (_WIDTH_PX // 2, base))
    box = (
        f"x {crop.x_min} to {crop.x_max}, y {crop.y_min} to {crop.y_max}, padding {crop.pad_x} x {crop.pad_y}"
    )
    write(
        paper, f"crop: {box}; circle: principal point, cross: centre", (_MARGIN_PX, base + 108), QUIET, 0.58
    )
    return paper


class _Place:
    """From the diagram's pixels to the paper's."""

    def __init__(self, view: Rect, scale: float) -> None:
        self.view, self.scale = view, scale

    def __call__(self, point: Point) -> tuple[int, int]:
        x = _MARGIN_PX + (point[0] - self.view.x) * self.scale
        return round(x), round(_HEADING_PX + (point[1] - self.view.y) * self.scale)

    def corners(self, box: Rect) -> tuple[tuple[int, int], tuple[int, int]]:
        return self((box.x, box.y)), self((box.x + box.width, box.y + box.height))


def _pictures(paper: Picture, drawn: Diagram, crop: Crop, frame: Picture, place: _Place) -> None:
    """The frame, paler outside of the crop, and what of it the tracker saw."""
    used = frame[crop.y_min : crop.y_max, crop.x_min : crop.x_max]
    pale = np.asarray(cv2.addWeighted(frame, 0.45, np.full_like(frame, 255), 0.55, 0), np.uint8)
    pale[crop.y_min : crop.y_max, crop.x_min : crop.x_max] = used
    _fill(paper, place.corners(drawn.frame), pale)
    image = drawn.image
    per_x, per_y = 1 / crop.scale_x, 1 / crop.scale_y
    seen = Rect(
        image.x + (crop.x_min - crop.origin[0]) * per_x,
        image.y + (crop.y_min - crop.origin[1]) * per_y,
        drawn.used.width * per_x,
        drawn.used.height * per_y,
    )
    first, last = place.corners(image)
    cv2.rectangle(paper, first, last, (0, 0, 0), -1)  # the tracker pads with zeros
    _fill(paper, place.corners(seen), used)


def _fill(paper: Picture, corners: tuple[tuple[int, int], tuple[int, int]], picture: Picture) -> None:
    (x0, y0), (x1, y1) = corners
    if x1 > x0 and y1 > y0:
        paper[y0:y1, x0:x1] = cv2.resize(picture, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)


def _lines(paper: Picture, drawn: Diagram, place: _Place) -> None:
    crop_colour = COLOURS[1]
    cv2.rectangle(paper, *place.corners(drawn.frame), QUIET, 1)
    for box in filter(None, (drawn.padded, drawn.used, drawn.image)):
        cv2.rectangle(paper, *place.corners(box), crop_colour, 1 if box is drawn.padded else 2, cv2.LINE_AA)
    for a, b in drawn.links:
        cv2.line(paper, place(a), place(b), crop_colour, 1, cv2.LINE_AA)
    for box in (drawn.image, drawn.frame):
        for colour, thickness in ((PAPER, 5), (INK, 2)):  # seen on dark pictures too
            cv2.drawMarker(paper, place(box.centre), colour, cv2.MARKER_CROSS, 24, thickness, cv2.LINE_AA)
    for point in filter(None, (drawn.principal_image, drawn.principal_frame)):
        for colour, thickness in ((PAPER, 6), (COLOURS[0], 3)):
            cv2.circle(paper, place(point), 11, colour, thickness, cv2.LINE_AA)


def _figures(paper: Picture, name: str, size_wh: tuple[int, int], K: Floats, xy: tuple[int, int]) -> None:
    write(paper, f"{name}: {size_wh[0]} x {size_wh[1]}", xy, INK, 0.72)
    f, c = f"f = {K[0, 0]:.4f}, {K[1, 1]:.4f} px", f"c = {K[0, 2]:.4f}, {K[1, 2]:.4f} px"
    opencv = f"OpenCV: c = {K[0, 2] - 0.5:.4f}, {K[1, 2] - 0.5:.4f}"
    write(paper, f"{f}    {c}", (xy[0], xy[1] + 34), INK, 0.58)
    write(paper, opencv, (xy[0], xy[1] + 64), QUIET, 0.58)
