"""A crop whose map is an estimate: its side and its place need not be whole pixels.

The tracker's own crops are whole (`crop.Crop`). One that was estimated against a rescaled video, or
from landmarks, is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from being_remote.camera.crop import Crop


@dataclass(frozen=True)
class FreeCrop(Crop):
    """As `Crop`, but the map is that of the estimate, and the rows and columns used are its nearest."""

    free_size_wh: Tuple[float, float]  # size after padding, before the resize, source pixels
    free_origin: Tuple[float, float]  # the crop's first corner, source pixels, corner convention

    @property
    def padded_size_wh(self) -> tuple[float, float]:
        return self.free_size_wh

    @property
    def origin(self) -> tuple[float, float]:
        return self.free_origin


def free_crop(
    size_wh: Tuple[float, float],
    origin: Tuple[float, float],
    source_size_wh: Tuple[int, int],
    image_size_wh: Tuple[int, int],
    pad_xy: Tuple[float, float] = (0.0, 0.0),
) -> FreeCrop:
    """A crop from its estimated size and origin; `pad_xy` is what was padded on the left and above.

    Raises:
        ValueError: nothing of it lies in the frame.

    Example:
        >>> crop = free_crop((600.2, 600.2), (340.1, -20.4), (1280, 720), (512, 512))
        >>> crop.x_min, crop.y_min, crop.pad_y, crop.A[0].round(4).tolist()
        (340, 0, 20, [1.1723, 0.0, 340.1])
    """
    bounds = []
    for size, start, length, pad in zip(size_wh, origin, source_size_wh, pad_xy):
        pad = max(pad, -start, start + size - length, 0.0)
        low, high = max(round(start + pad), 0), min(round(start + size - pad), length)
        if high <= low:
            raise ValueError(f"nothing of a crop of {size:.1f} px at {start:.1f} lies in a frame of {length}")
        bounds.append((low, high, round(pad)))
    (x_min, x_max, pad_x), (y_min, y_max, pad_y) = bounds
    return FreeCrop(x_min, x_max, y_min, y_max, pad_x, pad_y, source_size_wh, image_size_wh, size_wh, origin)
