"""From an estimate to whole numbers, where the pixels prove them, and the evidence of each picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from being_remote.camera.crop import Crop
from being_remote.camera.free_crop import FreeCrop, free_crop
from being_remote.crop_search import whole_pixel_search as lattice
from being_remote.crop_search.crop_rendering import Box4, Picture, bars, remake, warp, whole_crops
from being_remote.crop_search.finding import FrameEvidence
from being_remote.crop_search.picture_consensus import Consensus
from being_remote.crop_search.picture_difference import equal, residual
from being_remote.crop_search.picture_matching import Frames, Match

NEAR_PX = 0.15  # how near to whole numbers an estimate must be
_TOLD = 1.02  # a padding must fit this much worse than another to be out of question
_BLACK = 12.0  # levels: what codecs leave in a bar; content is brighter


def crop_of(found: Consensus, frames: Frames) -> Crop:
    """The whole crop that the pictures agree on; a `FreeCrop` where the estimate is not whole."""
    box = whole_box(found.box)
    if box is not None and lattice.top(_material(found.matches[:3], frames), box) == box:
        crops = list(whole_crops(box, frames.source.size_wh, found.matches[0].view.size_wh, bars_of(found)))
        if crops:
            crop = _padded_right(crops, found.matches[:3], frames)
            # A frame whose border was cut off lacks what the pictures show where this crop has bars.
            if all(_black(m.view.grey, crop, m.view.window.mask) for m in found.matches):
                return crop
    width, height = (float(n) for n in found.box[:2])
    pads = np.multiply(bars_of(found), (width, height))
    return free_crop(
        (width, height),
        (float(found.box[2]), float(found.box[3])),
        frames.source.size_wh,
        found.matches[0].view.size_wh,
        (float(pads[0]), float(pads[1])),
    )


def whole_box(box: Box4) -> lattice.Whole | None:
    """The whole numbers that an estimate is near enough to.

    Example:
        >>> whole_box(np.array([899.93, 900.04, 510.1, 90.0]))
        (900, 900, 510, 90)
        >>> whole_box(np.array([600.4, 600.4, 340.0, 60.0])) is None
        True
    """
    nearest = np.round(box)
    if (np.abs(box - nearest) > NEAR_PX).any():
        return None
    side_x, side_y, origin_x, origin_y = (int(n) for n in nearest)
    return side_x, side_y, origin_x, origin_y


def box_of(crop: Crop) -> Box4:
    return np.array([*crop.padded_size_wh, *crop.origin], dtype=np.float64)


def bars_of(found: Consensus) -> tuple[float, float]:
    """How wide the bars are that all pictures have on both sides, as fractions of their sides."""
    if any(m.view.window.mask is not None for m in found.matches):
        return 0.0, 0.0  # a black background looks like bars
    seen = np.array([bars(m.view.grey) for m in found.matches]).min(0)
    width, height = found.matches[0].view.size_wh
    return min(seen[0], seen[2]) / width, min(seen[1], seen[3]) / height


def evidence(match: Match, frames: Frames, crop: Crop, *, agrees: bool) -> FrameEvidence:
    """How one picture and the crop made again of its frame compare."""
    number = match.view.stored.source_number + match.offset
    colour, view = frames.colour(number), match.view
    made = made_again(colour, crop)
    box = whole_box(box_of(crop))
    step, margin = lattice.HERE, 0.0
    if box is not None and agrees:
        step, margin = lattice.runner_up(view.grey32, view.window, frames.grey(number), box)
    same = equal(view.stored.picture, made, view.window.mask)
    if same and box is not None and agrees and _also_equal(match, frames, lattice.moved(box, step)):
        margin = 0.0
    off = match.fit.box - box_of(crop)
    return FrameEvidence(
        frame_id=view.stored.frame_id,
        source_number=view.stored.source_number,
        agrees=agrees,
        frame_offset=match.offset,
        offset_told=match.told,
        equal=same,
        residual=residual(view.stored.picture, made, view.window),
        score=match.fit.score,
        margin=margin,
        runner_up=step,
        step_px=(float(off[0]), float(off[1]), float(off[2]), float(off[3])),
        mismatch=match.mismatch,
    )


def made_again(frame: Picture, crop: Crop) -> Picture:
    """The crop of a BGR frame, also where its map is not whole."""
    if not isinstance(crop, FreeCrop):
        return remake(frame, crop)
    channels = [warp(frame[..., c], box_of(crop), (0.0, 0.0), crop.image_size_wh) for c in range(3)]
    return np.asarray(np.clip(np.dstack(channels) + 0.5, 0, 255).astype(np.uint8))


def _padded_right(crops: Sequence[Crop], matches: Sequence[Match], frames: Frames) -> Crop:
    """The first of the crops, all of one map, whose padding no other's fits clearly better than."""
    errors = []
    for crop in crops:
        pairs = [(m.view, frames.colour(m.view.stored.source_number + m.offset)) for m in matches]
        errors.append(
            np.mean([_difference(v.stored.picture, remake(f, crop), v.window.mask) for v, f in pairs])
        )
    return next(c for c, e in zip(crops, errors, strict=True) if e <= _TOLD * min(errors) + 1e-3)


def _black(stored: Picture, crop: Crop, mask: NDArray[np.bool_] | None) -> bool:
    """Whether the picture is black where the crop has its bars; of a replaced background nothing is known."""
    if mask is not None:
        stored = np.where(mask, stored, 0).astype(np.uint8)
    width, height = crop.image_size_wh
    across, down = (
        round(pad / scale) for pad, scale in ((crop.pad_x, crop.scale_x), (crop.pad_y, crop.scale_y))
    )
    strips = stored[:down], stored[height - down :], stored[:, :across], stored[:, width - across :]
    return all(not strip.size or float(strip.mean()) <= _BLACK for strip in strips)


def _difference(a: NDArray[np.uint8], b: NDArray[np.uint8], mask: NDArray[np.bool_] | None) -> float:
    difference = np.abs(a.astype(np.int16) - b)
    return float(difference.mean() if mask is None else difference[mask].mean())


def _also_equal(match: Match, frames: Frames, box: lattice.Whole) -> bool:
    """Whether a second box gives the stored pixels too, as it does where a picture is flat."""
    crops = whole_crops(box, frames.source.size_wh, match.view.size_wh, (0.0, 0.0))
    frame = frames.colour(match.view.stored.source_number + match.offset)
    mask = match.view.window.mask
    return any(equal(match.view.stored.picture, remake(frame, crop), mask) for crop in crops)


def _material(matches: Sequence[Match], frames: Frames) -> list[lattice.Material]:
    return [
        (m.view.grey32, m.view.window, frames.grey(m.view.stored.source_number + m.offset)) for m in matches
    ]
