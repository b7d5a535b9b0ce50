"""The picture a trainer is given, as a window of the original frame: moved, padded, perhaps resized.

Several trainers take the picture's centre for the principal point. A window of whole pixels around the
principal point, padded with black where it hangs over the frame, gives them a right camera without
resampling. R and t never change. The pictures themselves are made by `export.images`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Tuple

import numpy as np

from being_remote.camera.crop import Crop
from being_remote.camera.intrinsics import through

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

# How far from the middle a recentred principal point may end up. A window that may have an odd or an
# even size has its middle at every half pixel, so none is further than a quarter away.
RESIDUAL_PX = 0.25
# More than any trainer takes; a picture of it is allocated.
MAX_PIXELS = 1 << 26


@dataclass(frozen=True)
class Canvas:
    """A whole-pixel window of the source, and its size in the finished picture."""

    # the window's first corner in the source, pixels; negative where it is padded
    x_min: int
    y_min: int
    # of the window, source pixels
    width: int
    height: int
    # x_min, x_max, y_min, y_max of the source pixels that may appear, ends exclusive; the rest of the
    # window is black
    shown: Tuple[int, int, int, int]
    out_size_wh: Tuple[int, int]  # of the finished picture
    source_size_wh: Tuple[int, int]  # of the original frames, pixels

    @property
    def resampled(self) -> bool:
        """Whether pixels are resized; if not, each is a pixel of the source or black."""
        return self.out_size_wh != (self.width, self.height)

    @property
    def scale_x(self) -> float:
        """Canvas pixels for one source pixel, along x."""
        return self.out_size_wh[0] / self.width

    @property
    def scale_y(self) -> float:
        """Canvas pixels for one source pixel, along y."""
        return self.out_size_wh[1] / self.height

    @property
    def A(self) -> Floats:
        """(3, 3) map from source pixels to canvas pixels, corner convention."""
        sx, sy = self.scale_x, self.scale_y
        return np.array([[sx, 0, -sx * self.x_min], [0, sy, -sy * self.y_min], [0, 0, 1.0]])

    @property
    def copied(self) -> Tuple[int, int, int, int]:
        """x_min, x_max, y_min, y_max of the source pixels that the picture shows."""
        x_min, x_max, y_min, y_max = self.shown
        return (
            max(x_min, self.x_min),
            min(x_max, self.x_min + self.width),
            max(y_min, self.y_min),
            min(y_max, self.y_min + self.height),
        )

    def K(self, K_source: ArrayLike) -> Floats:
        """K for the canvas, from K for the original frames; corner convention."""
        return through(self.A, K_source)

    def off_centre_px(self, K_source: ArrayLike) -> Tuple[float, float]:
        """How far right of and below the canvas's middle the principal point lies, canvas pixels."""
        K = self.K(K_source)
        w, h = self.out_size_wh
        return float(K[0, 2] - w / 2), float(K[1, 2] - h / 2)


def full_frame(source_size_wh: Sequence[int]) -> Canvas:
    w, h = _size(source_size_wh)
    return Canvas(0, 0, w, h, (0, w, 0, h), (w, h), (w, h))


def recentred(K_source: ArrayLike, source_size_wh: Sequence[int]) -> Canvas:
    """The whole frame, padded on one side of each axis until the principal point is in the middle.

    Nothing is resampled or lost. The principal point ends up within `RESIDUAL_PX` of the middle.

    Raises:
        ValueError: the principal point lies outside the frame.

    Example:
        >>> K = [[4111.5, 0, 958.24], [0, 4111.5, 529.45], [0, 0, 1]]
        >>> canvas = recentred(K, (1920, 1080))
        >>> (canvas.x_min, canvas.y_min), canvas.out_size_wh
        ((-4, -21), (1924, 1101))
    """
    size_wh = _size(source_size_wh)
    starts, lengths = [], []
    for centre, length in zip(_principal_point(K_source), size_wh):
        # What is missing on the left, or with a minus on the right.
        missing = round(length - 2 * centre)
        if abs(missing) > length:
            raise ValueError(
                f"the principal point ({centre:.1f} of {length} px) lies outside of the frame: recentred,"
                " it would be padding for the most part"
            )
        starts.append(-max(missing, 0))
        lengths.append(length + abs(missing))
    return _native(starts, lengths, size_wh)


def recentred_square(K_source: ArrayLike, crop: Crop, side_px: int) -> Canvas:
    """The smallest square around the principal point that holds all of the tracker's crop, resized.

    In the picture of `side_px` the principal point is within `RESIDUAL_PX` of the middle.

    Raises:
        ValueError: the square would be larger than any picture.

    Example:
        >>> from being_remote.camera.crop import crop_from_box
        >>> crop = crop_from_box((510, 1410, 90, 990), (1920, 1080), (512, 512))
        >>> K = [[4111.5, 0, 958.24], [0, 4111.5, 529.45], [0, 0, 1]]
        >>> canvas = recentred_square(K, crop, 512)
        >>> canvas.x_min, canvas.y_min, canvas.width, canvas.height
        (497, 68, 922, 922)
    """
    size_wh = crop.source_size_wh
    centre = _principal_point(K_source)
    bounds = ((crop.x_min, crop.x_max), (crop.y_min, crop.y_max))
    side = math.ceil(2 * max(max(c - low, high - c) for c, (low, high) in zip(centre, bounds)))
    while True:
        # x and y share one side, so that its being odd or even cannot suit both; a larger square
        # that is shrunk more brings the rest below the limit.
        if side * side > MAX_PIXELS:
            raise ValueError(f"a square around the principal point would have a side of {side} px")
        starts = [_round(c - side / 2) for c in centre]
        rest = max(abs(start + side / 2 - c) for start, c in zip(starts, centre))
        if rest * side_px / side <= RESIDUAL_PX and _holds(starts, side, bounds):
            break
        side += 1
    width, height = size_wh
    return Canvas(
        starts[0], starts[1], side, side, (0, width, 0, height), (side_px, side_px), (width, height)
    )


def window(K_source: ArrayLike, source_size_wh: Sequence[int], size_wh: Sequence[int]) -> Canvas:
    """A window of `size_wh` around the principal point at native scale; off by at most half a pixel.

    Example:
        >>> K = [[4111.5, 0, 958.24], [0, 4111.5, 529.45], [0, 0, 1]]
        >>> canvas = window(K, (1920, 1080), (768, 768))
        >>> canvas.x_min, canvas.y_min, canvas.resampled
        (574, 145, False)
    """
    lengths = _size(size_wh)
    starts = [_round(c - length / 2) for c, length in zip(_principal_point(K_source), lengths)]
    return _native(starts, lengths, _size(source_size_wh))


def tracker_crop(crop: Crop) -> Canvas:
    """The tracker's own crop, padded with black as the tracker does; its K is the stored one.

    Raises:
        ValueError: the crop is an estimate that is not whole.
    """
    numbers = (*crop.origin, *crop.padded_size_wh)
    if any(number != int(number) for number in numbers):
        x, y, w, h = numbers
        raise ValueError(
            f"the crop is only estimated ({w:.2f}x{h:.2f} px at {x:.2f}, {y:.2f}): it cannot be cut out again"
        )
    x, y, w, h = map(int, numbers)
    shown = (crop.x_min, crop.x_max, crop.y_min, crop.y_max)
    return Canvas(x, y, w, h, shown, crop.image_size_wh, crop.source_size_wh)


def _native(starts: Sequence[int], lengths: Sequence[int], source_size_wh: Tuple[int, int]) -> Canvas:
    w, h = source_size_wh
    width, height = lengths
    return Canvas(starts[0], starts[1], width, height, (0, w, 0, h), (width, height), (w, h))


def _holds(starts: Sequence[int], side: int, bounds: Sequence[Tuple[int, int]]) -> bool:
    return all(start <= low and high <= start + side for start, (low, high) in zip(starts, bounds))


def _round(value: float) -> int:
    # Halves up: Python's own rounding would put neighbouring windows two pixels apart.
    return math.floor(value + 0.5)


def _principal_point(K_source: ArrayLike) -> Tuple[float, float]:
    K = np.asarray(K_source, dtype=np.float64)
    if K.shape != (3, 3) or not np.all(np.isfinite(K)):
        raise ValueError(f"one finite K (3, 3) is needed, got shape {K.shape}")
    if np.abs(K[:2, 2]).max() > MAX_PIXELS:
        raise ValueError(f"the principal point ({K[0, 2]:.3g}, {K[1, 2]:.3g}) is nowhere near the frame")
    return float(K[0, 2]), float(K[1, 2])


def _size(size_wh: Sequence[int]) -> Tuple[int, int]:
    width, height = (operator.index(v) for v in size_wh)
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ValueError(f"no picture has {width}x{height} pixels")
    return width, height
