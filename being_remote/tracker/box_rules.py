"""What the tracker's boxes must be, and what it would not have written: on which video, with which scale.

Source:
    metrical-tracker c2a51724, image.py (`get_bbox`): a square of side 2 * floor(int(2 * scale * n) / 2)
    around the face, cut at 0 and one short of the last row and column, a cut side kept even.
"""

from __future__ import annotations

from being_remote.camera.crop import is_inside
from being_remote.camera.crop_forecast import half_side
from being_remote.tracker.box_file import Box, box_text

Size = tuple[int, int]


def explain_outside(box: Box, source_size_wh: Size) -> str:
    """Why a box cannot be of a video of this size; "" where it lies inside."""
    width, height = source_size_wh
    if is_inside(box, width, height):
        return ""
    text = f"lies outside the {width}x{height} video: {box_text(box)}"
    if is_inside(box, height, width):
        text += f"; it would fit {height}x{width}: are width and height of source_size swapped?"
    return text


def find_edits(box: Box, source_size_wh: Size | None) -> list[str]:
    """What the tracker would not have written on this video, though the box can be used."""
    x_min, x_max, y_min, y_max = box
    width, height = x_max - x_min, y_max - y_min
    problems = []
    if width % 2 or height % 2:
        problems.append(f"its sides are {width}x{height}, and the tracker writes even ones: edited?")
    if source_size_wh is None:
        return problems
    if x_max == source_size_wh[0] or y_max == source_size_wh[1]:
        problems.append("it reaches the last column or row, which the tracker never uses: edited?")
    if not is_square_before_cut(box, source_size_wh):
        problems.append(f"it is {width}x{height} though no border cuts its shorter side: edited?")
    return problems


def is_square_before_cut(box: Box, source_size_wh: Size) -> bool:
    """Whether a box is square, or a border of the frame cut its shorter side."""
    width, height = box[1] - box[0], box[3] - box[2]
    cut_x, cut_y = cut_axes(box, source_size_wh)
    return width == height or (cut_x if width < height else cut_y)


def cut_axes(box: Box, source_size_wh: Size) -> tuple[bool, bool]:
    """Whether a border of the frame cut the box in x, in y. An odd side moves the lower edge from 0 to 1."""
    x_min, x_max, y_min, y_max = box
    width, height = source_size_wh
    return x_min <= 1 or x_max >= width - 1, y_min <= 1 or y_max >= height - 1


def possible_side(side: float, bbox_scale: float) -> bool:
    """Whether the tracker's rule gives a box of this side, where no border cut it.

    Example:
        >>> [side for side in range(896, 906) if possible_side(side, 2.5)]
        [900, 904]
    """
    if 2 * bbox_scale <= 1:
        return side % 2 == 0  # no whole number is stepped over; and a tiny scale has no `near`
    near = int(side / (2 * bbox_scale))
    return any(2 * half_side(n, bbox_scale) == side for n in range(max(near - 2, 1), near + 3))
