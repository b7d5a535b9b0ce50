"""The tracker's crop with another `bbox_scale` or network image, forecast from its box.

The tracker derives its box from the landmarks of one picture: their centre, and the larger half of
their extent, n pixels. With other settings the same picture has the same centre and n, so a box that
no border cut gives the new box to the pixel. A cut box leaves an interval, and both its ends are
forecast. The formulas are the tracker's, with its rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Optional, Tuple

from being_remote.camera.crop import Crop, crop_from_box, resize_only

Span = Tuple[int, int]

_UNBOUNDED = 1 << 40  # of a half side that both borders cut; the face's own size bounds it


@dataclass(frozen=True)
class Face:
    """What a box says about its face; each number is the least and the most it can be."""

    n_px: Span  # from the landmarks' centre to their farther edge, whole source pixels
    # the landmarks' centre, whole source pixels
    centre_x_px: Span
    centre_y_px: Span
    # whether the tracker can make this box with the bbox_scale that was given. If not, the box was edited
    # or the scale is another run's, and n is the nearest.
    of_this_scale: bool

    @property
    def exact(self) -> bool:
        """Whether each of them is one number, so that no border cut the box."""
        return all(low == high for low, high in (self.n_px, self.centre_x_px, self.centre_y_px))


@dataclass(frozen=True)
class CropForecast:
    """One crop that the tracker would make."""

    crop: Crop  # with its padding and the network image
    clipped: Tuple[str, ...]  # the borders of the frame that cut the box
    face_px: Optional[float]  # network pixels across the face, 2 n of the source; None where n is unknown
    gain_percent: float  # how many more that is than before; negative: fewer
    source_per_px: float  # source pixels for one network pixel; below 1 the crop is enlarged
    padding: float  # share of the network image that is black


def box_around(
    centre_x: int, centre_y: int, n: int, bbox_scale: float, source_size_wh: Sequence[int]
) -> Tuple[int, int, int, int]:
    """The box that the tracker makes around landmarks: (x_min, x_max, y_min, y_max).

    Args:
        centre_x, centre_y: the middle of the landmarks' extent, source pixels, rounded down.
        n: from there to the first landmark on the left or above, whichever is farther.
        bbox_scale: the tracker's setting.
        source_size_wh: of the frame; the last row and column are never used.

    Source:
        metrical-tracker c2a51724, image.py (`get_bbox`).

    Example:
        The upper border cuts 60 rows off, and one more to keep the height even:

        >>> box_around(960, 389, 180, 2.5, (1920, 1080))
        (510, 1410, 1, 839)
    """
    half = half_side(n, bbox_scale)
    made = []
    for centre, extent in zip((centre_x, centre_y), source_size_wh):
        low, high = max(centre - half, 0), min(centre + half, extent - 1)
        made += [low + (high - low) % 2, high]
    return made[0], made[1], made[2], made[3]


def find_face(crop: Crop, bbox_scale: float) -> Face:
    """What the tracker's crop says about the face: the inverse of `box_around`.

    Where a border cut the box the centre is taken to lie in the frame, and the face, 2 n, not to be
    larger than the frame's longer side.

    Raises:
        ValueError: the scale is not positive.

    Example:
        The upper border cut the first; of one in a corner only bounds are left:

        >>> frame, image = (1920, 1080), (512, 512)
        >>> find_face(crop_from_box((510, 1410, 1, 839), frame, image), 2.5)
        Face(n_px=(180, 180), centre_x_px=(960, 960), centre_y_px=(389, 389), of_this_scale=True)
        >>> find_face(crop_from_box((0, 600, 0, 500), frame, image), 2.5).n_px
        (120, 200)
    """
    if not (bbox_scale > 0 and math.isfinite(bbox_scale)):
        raise ValueError(f"bbox_scale must be positive, got {bbox_scale}")
    x, y = _axes(crop)
    (x_least, x_most), (y_least, y_most) = x.halves(), y.halves()
    least, most = max(x_least, y_least), min(x_most, y_most)
    consistent = least <= most
    if not consistent:  # edited, or estimated to less than a pixel: no border can have cut it so
        least = most = max(x.length, y.length) // 2
    largest = (max(crop.source_size_wh) - 1) // 2
    most = min(most, half_side(largest, bbox_scale))
    low, high = _n_from(least, bbox_scale), _n_from(most + 1, bbox_scale) - 1
    of_this_scale = consistent and low <= high
    if low > high:
        near = min((high, low), key=lambda n: abs(half_side(n, bbox_scale) - least))
        low = high = max(near, 1)
    high = min(high, max(low, largest))
    halves = (half_side(low, bbox_scale), half_side(high, bbox_scale)) if of_this_scale else (least, most)
    return Face((low, high), x.centres(*halves), y.centres(*halves), of_this_scale)


def forecast_crop(
    before: Crop, face: Face, *, old_scale: float, bbox_scale: float, image_size: int
) -> Tuple[CropForecast, CropForecast]:
    """The crop with other settings, for the least and the most that the face can be.

    Args:
        face: `find_face(before, old_scale)`.
        old_scale: the bbox_scale of the run that made it.
        bbox_scale, image_size: the new settings; image_size is one side of the square.
    """
    found = []
    for n in face.n_px:
        half = half_side(n, old_scale) if face.of_this_scale else max(a.length for a in _axes(before)) // 2
        middles = [axis.centres(half, half) for axis in _axes(before)]
        centre_x, centre_y = ((low + high) // 2 for low, high in middles)
        image_size_wh = (image_size, image_size)
        if bbox_scale == old_scale:
            crop = replace(before, image_size_wh=image_size_wh)
        else:
            box = box_around(centre_x, centre_y, n, bbox_scale, before.source_size_wh)
            crop = crop_from_box(box, before.source_size_wh, image_size_wh)
        clipped = _cut_by((centre_x, centre_y), half_side(n, bbox_scale), before.source_size_wh)
        found.append(_describe_crop(before, crop, clipped, 2 * n))
    return found[0], found[1]


def forecast_resize(
    before: Crop, image_size_wh: Tuple[int, int], face: Optional[Face] = None
) -> Tuple[CropForecast, CropForecast]:
    """The same for `crop_image: false`: the whole frame, each axis resized on its own.

    `face` is what `before` says about the face; None where it cropped nothing.
    """
    crop = resize_only(before.source_size_wh, image_size_wh)
    ends: Tuple[Optional[int], Optional[int]] = face.n_px if face else (None, None)
    least, most = (_describe_crop(before, crop, (), n and 2 * n) for n in ends)
    return least, most


def _describe_crop(before: Crop, crop: Crop, clipped: Tuple[str, ...], across: Optional[int]) -> CropForecast:
    padded_w, padded_h = crop.padded_size_wh
    used = (crop.x_max - crop.x_min) * (crop.y_max - crop.y_min)
    old, new = (max(c.scale_x, c.scale_y) for c in (before, crop))
    return CropForecast(
        crop=crop,
        clipped=clipped,
        face_px=None if across is None else across / new,
        gain_percent=(old / new - 1) * 100,
        source_per_px=new,
        padding=max(1 - used / (padded_w * padded_h), 0.0),
    )


def _cut_by(centres: Tuple[int, int], half: int, source_size_wh: Tuple[int, int]) -> Tuple[str, ...]:
    """The borders of the frame that cut a box of this half side."""
    found = []
    for centre, extent, names in zip(centres, source_size_wh, (("left", "right"), ("top", "bottom"))):
        cuts = centre < half, centre + half > extent - 1
        found += [name for name, cut in zip(names, cuts) if cut]
    return tuple(found)


def _axes(crop: Crop) -> Tuple[_Axis, _Axis]:
    width, height = crop.source_size_wh
    return _Axis(crop.x_min, crop.x_max, width), _Axis(crop.y_min, crop.y_max, height)


@dataclass(frozen=True)
class _Axis:
    """One axis of a box: `low`..`high` of a frame with `extent` pixels along it."""

    low: int
    high: int
    extent: int

    @property
    def length(self) -> int:
        return self.high - self.low

    @property
    def _cut(self) -> Tuple[bool, bool]:
        # A cut at the low border leaves 0, or 1 where the length would have been odd.
        return self.low <= 1, self.high >= self.extent - 1

    def halves(self) -> Span:
        """The least and the most that the box's half side can have been before a border cut it."""
        at_low, at_high = self._cut
        shortest = -(-self.length // 2)
        if not at_low and not at_high:
            return shortest, shortest
        if at_low and at_high:
            return shortest, _UNBOUNDED
        # The centre lies in the frame: so far it is from there to the end that is not cut.
        farthest = self.high if at_low else self.extent - self.low
        return shortest, max(farthest, shortest)

    def centres(self, least_half: int, most_half: int) -> Span:
        """The least and the most that the centre can have been, for these half sides."""
        at_low, at_high = self._cut
        if not at_low and not at_high:
            middle = (self.low + self.high) // 2
            return middle, middle
        last = self.extent - 1
        if at_low and not at_high:
            found = self.high - most_half, self.high - least_half
        elif at_high and not at_low:
            # The low end may have moved by one, to keep the length even.
            found = self.low - 1 + least_half, self.low + most_half
        else:
            found = last - most_half, self.low + most_half
        low, high = (min(max(c, 0), last) for c in found)
        return min(low, high), max(low, high)


def half_side(n: int, bbox_scale: float) -> int:
    """Half the side of the box around landmarks of half extent n, as the tracker rounds it."""
    return int(2 * bbox_scale * n) // 2


def _n_from(half: int, bbox_scale: float) -> int:
    """The smallest n whose box has at least this half side."""
    n = max(int(half / bbox_scale) - 2, 0)
    while half_side(n, bbox_scale) < half:
        n += 1
    return n
