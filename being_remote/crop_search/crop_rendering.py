"""The tracker's crop made again, for whole numbers and for fractions, and which part of a picture is bars.

A map is four numbers, `Box4`: (side_x, side_y, origin_x, origin_y) in source pixels, corner
convention, so that source x = origin_x + side_x * u / N for the crop pixel u of N.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from being_remote.camera.crop import Crop, crop_from_box

Picture = NDArray[np.uint8]
Grey = NDArray[np.float32]
Box4 = NDArray[np.float64]
_T = TypeVar("_T", bound=np.generic)

# A bar is zeros, but a JPEG's are not quite, and the resize rings beside its edge.
_BAR_MEAN, _BAR_PEAK = 3.0, 24.0
# Columns next to a bar or to the crop's edge that the cubic kernel fills from beyond.
_EDGE = 4


@dataclass(frozen=True)
class Window:
    """Part of a stored picture: columns u0..u1, rows v0..v1, ends exclusive.

    `mask` (h, w) says of the whole picture which pixels of that part count; None: all.
    """

    u0: int
    v0: int
    u1: int
    v1: int
    mask: NDArray[np.bool_] | None = field(default=None, compare=False)

    @property
    def empty(self) -> bool:
        return self.u1 - self.u0 < 32 or self.v1 - self.v0 < 32

    def of(self, picture: NDArray[_T]) -> NDArray[_T]:
        return picture[self.v0 : self.v1, self.u0 : self.u1]

    def counted(self, picture: NDArray[_T]) -> NDArray[_T]:
        """The pixels of that part that count; in a row where some do not."""
        part = self.of(picture)
        return part if self.mask is None else part[self.of(self.mask)]


def grey_of(picture: Picture) -> Picture:
    """Brightness (H, W) of a BGR picture."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def find_bars(grey: Picture) -> tuple[int, int, int, int]:
    """Black columns and rows at the left, top, right and bottom of a stored picture."""
    columns = (grey.mean(0) <= _BAR_MEAN) & (grey.max(0) <= _BAR_PEAK)
    rows = (grey.mean(1) <= _BAR_MEAN) & (grey.max(1) <= _BAR_PEAK)
    return _run(columns), _run(rows), _run(columns[::-1]), _run(rows[::-1])


def content_window(grey: Picture) -> Window:
    """What of a stored picture certainly shows the frame: neither bars nor what lies at an edge."""
    left, top, right, bottom = find_bars(grey)
    height, width = grey.shape
    return Window(left + _EDGE, top + _EDGE, width - right - _EDGE, height - bottom - _EDGE)


def make_crop(frame: Picture, crop: Crop) -> Picture:
    """The tracker's crop of a frame: slice, pad with zeros, resize with INTER_CUBIC.

    Source:
        metrical-tracker c2a51724, image.py (`crop_image`, `squarefiy`).
    """
    part: Any = frame[crop.y_min : crop.y_max, crop.x_min : crop.x_max]
    if crop.pad_x or crop.pad_y:
        x, y = crop.pad_x, crop.pad_y
        part = cv2.copyMakeBorder(part, y, y, x, x, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(cv2.resize(part, crop.image_size_wh, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def warp(frame: Picture, box: Box4, skew: tuple[float, float], size_wh: tuple[int, int]) -> Grey:
    """A grey frame (H, W) resampled as the crop of fractions `box` would be; float32.

    `skew` is what x gains from the crop's left-to-right middle downwards, and y likewise, source pixels:
    zero for any crop of the tracker; a turned or sheared source shows in it.
    """
    (width, height), (sx, sy, ox, oy) = size_wh, box
    A = np.array(
        [
            [sx / width, skew[0] / height, ox + (sx / width + skew[0] / height - skew[0] - 1) / 2],
            [skew[1] / width, sy / height, oy + (sy / height + skew[1] / width - skew[1] - 1) / 2],
        ]
    )
    # Only what is needed becomes float: a 4K frame would be 33 MB.
    corners = A @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]], dtype=np.float64)
    low = np.clip(np.floor(corners.min(1)).astype(int) - 8, 0, None)
    high = np.minimum(np.ceil(corners.max(1)).astype(int) + 8, frame.shape[::-1])
    if (high - low < 2).any():
        return np.zeros((height, width), np.float32)
    part = frame[low[1] : high[1], low[0] : high[0]].astype(np.float32, copy=False)
    A[:, 2] -= low
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    made = cv2.warpAffine(part, A, size_wh, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(made, dtype=np.float32)


def whole_crops(
    box: tuple[int, int, int, int],
    source_size_wh: tuple[int, int],
    image_size_wh: tuple[int, int],
    bars_seen: tuple[float, float],
) -> Iterator[Crop]:
    """Every crop of the tracker's recipe with that map, those that its own box rule makes first.

    `bars_seen` are the black bars' widths in the picture, left and above, as fractions of its sides: the
    map leaves open how much of the crop is padding.
    """
    side_x, side_y, origin_x, origin_y = box
    width, height = source_size_wh
    tried: set[tuple[int, int]] = set()
    for pad_x in _pads(side_x, origin_x, width, bars_seen[0]):
        for pad_y in _pads(side_y, origin_y, height, bars_seen[1]):
            if (pad_x and pad_y) or (pad_x, pad_y) in tried:
                continue
            tried.add((pad_x, pad_y))
            x0, x1 = origin_x + pad_x, origin_x + side_x - pad_x
            y0, y1 = origin_y + pad_y, origin_y + side_y - pad_y
            if x0 < 0 or y0 < 0 or x1 >= width or y1 >= height or x1 <= x0 or y1 <= y0:
                continue
            crop = crop_from_box((x0, x1, y0, y1), source_size_wh, image_size_wh)
            if crop.origin == (origin_x, origin_y) and crop.padded_size_wh == (side_x, side_y):
                yield crop


def _pads(side: int, origin: int, length: int, bar: float) -> list[int]:
    """Likely paddings along one axis: as the frame's border asks for, or one more; then as is seen."""
    needed = max(-origin, origin + side - (length - 1), 0)
    tried = round(bar * side)
    return [needed, needed + 1, *(p for p in range(tried - 3, tried + 4) if p > needed + 1)]


def _run(flags: NDArray[np.bool_]) -> int:
    """How many values are true before the first that is not."""
    return int(flags.argmin()) if not flags.all() else len(flags)
