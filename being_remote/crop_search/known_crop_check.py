"""Check whether a known crop, of bbox.pt say, made the stored pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from being_remote.camera.crop import Crop
from being_remote.crop_search.crop_rendering import Box4
from being_remote.crop_search.finding import CropCheck, FrameSource, OnProgress, StoredCrop
from being_remote.crop_search.image_search import choose_spread, common_offset, explain_unusable, inner_views
from being_remote.crop_search.picture_difference import mismatch
from being_remote.crop_search.picture_matching import (
    MIN_PARTS,
    MIN_SCORE,
    Frames,
    Match,
    PictureView,
    prepare_view,
    search_near,
)
from being_remote.crop_search.whole_pixels import box_of_crop, compare_with_crop

FRAMES = 3
_OFF_PX, _NEXT_PX = 0.3, 1.0  # by how much registration may differ from the crop; where the next box is
_SURE = 10.0  # standard errors: those of one picture may be four times too small
_DOUBTFUL = 0.12  # mismatch that heavy compression can make of the same frame


def check_crop(
    crop: Crop, stored: Sequence[StoredCrop], source: FrameSource, *, on_progress: OnProgress | None = None
) -> CropCheck:
    """Check whether the stored pictures are this crop, on a few frames spread over the clip.

    Args:
        crop: as bbox.pt and the source's size give it.
        stored, source, on_progress: as in `from_images`.

    Returns:
        The check. `agrees` is None where the pictures do not show it: nothing in them has contrast, their
        frames are missing, or too much was lost to compression.
    """
    chosen = choose_spread(stored, FRAMES)
    problem = explain_unusable(chosen)
    if problem:
        return CropCheck(None, problem)
    frames = Frames(source)
    whole = _check(crop, [prepare_view(one) for one in chosen], frames, on_progress)
    if whole.agrees:
        return whole
    inner = inner_views(chosen)
    if inner is None:
        return whole
    found = _check(crop, inner[0], frames, on_progress)
    return replace(found, notes=(inner[1],)) if found.agrees else whole


def _check(
    crop: Crop, chosen: Sequence[PictureView], frames: Frames, on_progress: OnProgress | None
) -> CropCheck:
    box, shown, offset, wide = box_of_crop(crop), [], 0, True
    against: list[str] = []
    doubtful: list[str] = []
    for n, view in enumerate(chosen):
        one = view.stored
        found = search_near(view, frames, box, offset, wide=wide)
        if found is not None and found.parts >= MIN_PARTS:
            kind, what = _judge(found, box)
            shown.append(compare_with_crop(found, frames, crop, agrees=kind == "for"))
            wide = wide and found.good
            offset = found.offset if found.good else offset
        elif found is None and _structured(view) and frames.has(one.source_number + offset):
            kind, what = "against", "is nowhere near there"
            wide = False
        else:
            kind, what = "for", ""  # it has nothing to say
        if kind != "for":
            (against if kind == "against" else doubtful).append(f"frame {one.frame_id} {what}")
        if on_progress is not None:
            on_progress(n + 1, len(chosen))
    offset_of_all = common_offset(shown)
    if against:
        return CropCheck(False, "; ".join(against), tuple(shown), offset_of_all)
    if not any(e.agrees for e in shown):
        what = "; ".join(doubtful) or "nothing in the pictures could be compared with the frames"
        return CropCheck(None, what, tuple(shown), offset_of_all)
    return CropCheck(True, "", tuple(shown), offset_of_all, all(e.equal for e in shown))


def _judge(found: Match, box: Box4) -> tuple[Literal["for", "against", "doubtful"], str]:
    """What one picture says of the box, and in words."""
    limit = _OFF_PX + _SURE * float(found.fit.std.max())
    there = float(np.abs(found.fit.box - box).max()) <= limit
    if not found.good:
        if there and found.mismatch <= _DOUBTFUL and found.fit.score >= MIN_SCORE:
            return "doubtful", "differs more than it should there: another moment, or strong compression"
        return "against", "shows something else there"
    side, (x, y) = found.fit.box[:2].mean(), found.fit.box[2:]
    if not there:
        return "against", f"was cut with side {side:.1f} at {x:.1f}, {y:.1f}"
    if limit >= _NEXT_PX:
        return "doubtful", f"is placed only to +-{found.fit.std.max():.2f} px: too little detail"
    return "for", ""


def _structured(view: PictureView) -> bool:
    """Whether a picture has enough contrast to be found anywhere."""
    return not view.window.empty and mismatch(view.grey32, view.grey32, view.window)[0] >= MIN_PARTS
