"""What cropping did: where the tracker's image and the original frame lie beside each other, at one scale.

Positions are in source pixels, corner convention; the page and the plot draw them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from being_remote.camera.crop import Crop

Point = tuple[float, float]


@dataclass(frozen=True)
class Rect:
    """A rectangle from its first corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> Point:
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True)
class CropDiagram:
    """Positions of everything that is drawn."""

    view: Rect  # all of it, with a margin
    # the tracker's image and the original frame
    image: Rect
    frame: Rect
    # what of the frame was cut out, and the square it was padded to (None: not padded)
    used: Rect
    padded: Rect | None
    # the principal points; None where outside the view
    principal_image: Point | None
    principal_frame: Point | None
    # from the image's near corners to those of the place it was made of
    links: tuple[tuple[Point, Point], ...]
    mark: float  # half the size of a cross


def lay_out_crop(crop: Crop, K_crop: NDArray[np.float64], K_source: NDArray[np.float64]) -> CropDiagram:
    """Lay the two pictures out beside each other, the frame's first corner at (0, 0).

    Example:
        >>> from being_remote.camera.crop import crop_from_box
        >>> K = np.diag([1000.0, 1000, 1])
        >>> drawn = lay_out_crop(crop_from_box((510, 1410, 90, 990), (1920, 1080), (512, 512)), K, K)
        >>> drawn.used, drawn.padded, drawn.image.height
        (Rect(x=510, y=90, width=900, height=900), None, 512)
    """
    width, height = crop.source_size_wh
    image_w, image_h = crop.image_size_wh
    (left, top), (padded_w, padded_h) = crop.origin, crop.padded_size_wh
    frame = Rect(0, 0, width, height)
    used = Rect(crop.x_min, crop.y_min, crop.x_max - crop.x_min, crop.y_max - crop.y_min)
    padded = Rect(left, top, padded_w, padded_h) if crop.pad_x or crop.pad_y else None
    whole = padded or used
    gap = 0.07 * (width + image_w)
    image = Rect(min(left, 0) - gap - image_w, height / 2 - image_h / 2, image_w, image_h)
    x0, y0 = image.x, min(0.0, top, image.y)
    x1, y1 = max(width, left + padded_w), max(height, top + padded_h, image.y + image_h)
    margin = 0.012 * (x1 - x0)
    view = Rect(x0 - margin, y0 - margin, x1 - x0 + 2 * margin, y1 - y0 + 2 * margin)
    near = image.x + image.width
    return CropDiagram(
        view=view,
        image=image,
        frame=frame,
        used=used,
        padded=padded,
        principal_image=_inside(view, image.x + K_crop[0, 2], image.y + K_crop[1, 2]),
        principal_frame=_inside(view, K_source[0, 2], K_source[1, 2]),
        links=(
            ((near, image.y), (whole.x, whole.y)),
            ((near, image.y + image.height), (whole.x, whole.y + whole.height)),
        ),
        mark=margin,
    )


def _inside(view: Rect, x: float, y: float) -> Point | None:
    fits = view.x <= x <= view.x + view.width and view.y <= y <= view.y + view.height
    return (float(x), float(y)) if fits else None
