"""The tracker's crop, pad and resize as one exact affine map between crop and source pixels.

The tracker cuts one fixed box out of every frame, pads the shorter side with zeros and resizes the
result to its network image. That whole-number arithmetic is repeated here to the pixel, with its
quirks: the last row and column are never used, and the padding is rounded down.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Crop:
    """What was cut out of every source frame, and its size in the network image.

    Example:
        >>> crop = crop_from_box((340, 940, 0, 600), (1280, 720), (512, 512))
        >>> crop.side, crop.origin, crop.scale_x
        (600, (340, 0), 1.171875)
    """

    # the columns and rows of the source that were used, end-exclusive
    x_min: int
    x_max: int
    y_min: int
    y_max: int
    # columns of zeros added on the left and again on the right; rows above and below
    pad_x: int
    pad_y: int
    source_size_wh: tuple[int, int]  # of the original frames, pixels
    image_size_wh: tuple[int, int]  # of the tracker's network image, pixels

    @property
    def padded_size_wh(self) -> tuple[float, float]:
        """Size after padding, before the resize; not square when the padding was rounded down."""
        return self.x_max - self.x_min + 2 * self.pad_x, self.y_max - self.y_min + 2 * self.pad_y

    @property
    def side(self) -> float:
        """The longer side after padding, source pixels."""
        return max(self.padded_size_wh)

    @property
    def scale_x(self) -> float:
        """Source pixels for one crop pixel, along x."""
        return self.padded_size_wh[0] / self.image_size_wh[0]

    @property
    def scale_y(self) -> float:
        """Source pixels for one crop pixel, along y."""
        return self.padded_size_wh[1] / self.image_size_wh[1]

    @property
    def origin(self) -> tuple[float, float]:
        """Where the crop's first corner lies in the source; negative where padding hangs over."""
        return self.x_min - self.pad_x, self.y_min - self.pad_y

    @property
    def A(self) -> Floats:
        """The map from crop to source pixels, (3, 3), corner convention.

        Example:
            >>> crop_from_box((510, 1410, 90, 990), (1920, 1080), (512, 512)).A
            array([[  1.7578125,   0.       , 510.       ],
                   [  0.       ,   1.7578125,  90.       ],
                   [  0.       ,   0.       ,   1.       ]])
        """
        return np.array([[self.scale_x, 0, self.origin[0]], [0, self.scale_y, self.origin[1]], [0, 0, 1.0]])

    def as_json(self) -> Dict[str, Any]:
        """The crop as all our files spell it.

        Example:
            >>> crop_from_box((510, 1410, 90, 990), (1920, 1080), (512, 512)).as_json()["scale"]
            [1.7578125, 1.7578125]
        """
        return {
            "x_min": self.x_min,
            "x_max": self.x_max,
            "y_min": self.y_min,
            "y_max": self.y_max,
            "pad_x": self.pad_x,
            "pad_y": self.pad_y,
            "side": self.side,
            "scale": [self.scale_x, self.scale_y],
            "origin": self.origin,
            "image_size_wh": self.image_size_wh,
        }

    @property
    def clipped(self) -> bool:
        """Whether the frame's border cut the box, so that the face need not be centred in it.

        The tracker's boxes are square until they are cut, one short of the last row and column. False for
        a crop that is the whole frame.
        """
        width, height = self.source_size_wh
        if (self.x_max, self.y_max) == (width, height):
            return False
        touches = 0 in (self.x_min, self.y_min) or self.x_max == width - 1 or self.y_max == height - 1
        return touches or self.x_max - self.x_min != self.y_max - self.y_min


def crop_from_box(box: Sequence[int], source_size_wh: Sequence[int], image_size_wh: Sequence[int]) -> Crop:
    """The crop that the tracker makes of every frame, given the box in its bbox.pt.

    Args:
        box: x_min, x_max, y_min, y_max in source pixels: the tracker's own order, end-exclusive.
        source_size_wh: width, height of the frames that the tracker read.
        image_size_wh: width, height of its network image; square.

    Returns:
        The crop. The last row and column of the frame are never part of it. An odd difference of
        the sides leaves one pixel unpadded: then scale_x != scale_y, as in the tracker.

    Raises:
        ValueError: the box is empty, does not fit the frame, or the network image is not square.
            A box that does not fit is never cut or rescaled: box and size are not of the same video.

    Source:
        metrical-tracker c2a51724, image.py (`get_bbox`, `crop_image`, `squarefiy`).

    Example:
        >>> crop = crop_from_box((510, 1410, 180, 1079), (1920, 1080), (512, 512))
        >>> crop.pad_y, crop.origin, crop.padded_size_wh
        (0, (510, 180), (900, 899))
    """
    x_min, x_max, y_min, y_max = _whole_numbers(box, 4, "a box (x_min, x_max, y_min, y_max)")
    width, height = _size(source_size_wh, "source size")
    image_w, image_h = _size(image_size_wh, "image size")
    text = f"box x {x_min}..{x_max}, y {y_min}..{y_max}"
    if x_max <= x_min or y_max <= y_min:
        raise ValueError(f"{text} is empty: x_max must exceed x_min, and y_max y_min")
    if not is_inside((x_min, x_max, y_min, y_max), width, height):
        swapped = is_inside((x_min, x_max, y_min, y_max), height, width)
        raise ValueError(
            f"{text} lies outside a frame of {width}x{height} (width x height), so it was not made on it"
            + (f"; it fits {height}x{width}: are width and height swapped?" if swapped else "")
        )
    if image_w != image_h:
        raise ValueError(
            f"image size {image_w}x{image_h} is not square: the tracker neither pads nor resizes such a"
            " crop, so its stored K belongs to no image (with crop_image false use resize_only)"
        )
    # numpy slices end before their stop, and the tracker stops at the last row and column.
    x_max, y_max = min(x_max, width - 1), min(y_max, height - 1)
    crop_w, crop_h = x_max - x_min, y_max - y_min
    if crop_w < 1 or crop_h < 1:
        raise ValueError(f"{text} is empty once cut to the frame's used part, {width - 1}x{height - 1}")
    longer = max(crop_w, crop_h)
    pad_x, pad_y = (longer - crop_w) // 2, (longer - crop_h) // 2
    return Crop(x_min, x_max, y_min, y_max, pad_x, pad_y, (width, height), (image_w, image_h))


def resize_only(source_size_wh: Sequence[int], image_size_wh: Sequence[int]) -> Crop:
    """The map of a run with `crop_image: false`: the whole frame, each axis resized on its own.

    Example:
        >>> crop = resize_only((1920, 1080), (960, 540))
        >>> crop.scale_x, crop.scale_y, crop.origin
        (2.0, 2.0, (0, 0))
    """
    width, height = _size(source_size_wh, "source size")
    return Crop(0, width, 0, height, 0, 0, (width, height), _size(image_size_wh, "image size"))


def to_source(crop: Crop, uv: ArrayLike) -> Floats:
    """Crop pixels (..., 2) -> source pixels (..., 2), corner convention.

    Example:
        >>> crop = crop_from_box((510, 1410, 90, 990), (1920, 1080), (512, 512))
        >>> to_source(crop, [256, 256])
        array([960., 540.])
    """
    return _pairs(uv) * (crop.scale_x, crop.scale_y) + crop.origin


def is_inside(box: Sequence[int], width: int, height: int) -> bool:
    """Whether a box (x_min, x_max, y_min, y_max) lies in a frame of this size."""
    x_min, x_max, y_min, y_max = box
    return x_min >= 0 and y_min >= 0 and x_max <= width and y_max <= height


def _whole_numbers(values: Any, count: int, what: str) -> tuple[int, ...]:
    try:
        found = tuple(operator.index(v) for v in values)
    except TypeError:
        raise ValueError(f"{what} is {count} whole numbers, got {values!r}") from None
    if len(found) != count:
        raise ValueError(f"{what} is {count} whole numbers, got {len(found)}: {values!r}")
    return found


def _size(size_wh: Any, what: str) -> tuple[int, int]:
    width, height = _whole_numbers(size_wh, 2, f"{what} (width, height)")
    if width < 1 or height < 1:
        raise ValueError(f"{what} {width}x{height} is not positive")
    return width, height


def _pairs(points: ArrayLike) -> Floats:
    pairs = np.asarray(points, dtype=np.float64)
    if pairs.ndim == 0 or pairs.shape[-1] != 2:
        raise ValueError(f"points are (..., 2), got shape {pairs.shape}")
    return pairs
