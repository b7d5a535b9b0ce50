"""The grade of a crop that was found in pictures, and why it is not better."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from being_remote.camera.crop import Crop
from being_remote.camera.free_crop import FreeCrop
from being_remote.crop_search.finding import FrameEvidence, Grade
from being_remote.crop_search.picture_consensus import Consensus
from being_remote.crop_search.whole_pixels import whole_box
from being_remote.tracker.box_rules import possible_side

ENOUGH = 3  # pictures that must agree
MOST = 0.75  # of the pictures, which must say the same
MARGIN = 0.05  # by which the runner-up must miss, as a fraction of what is missing to a score of 1
SURE_PX = 0.12  # standard error up to which a lossy answer may be called whole


def grade_crop(found: Consensus, crop: Crop, evidence: Sequence[FrameEvidence]) -> tuple[Grade, str]:
    agreeing = [e for e in evidence if e.agrees]
    if isinstance(crop, FreeCrop):
        where = f"(side {found.box[:2].mean():.2f} at {found.box[2]:.2f}, {found.box[3]:.2f})"
        if whole_box(found.box) is not None and found.std.max() <= SURE_PX:
            width, height = crop.source_size_wh
            return "estimated", (
                f"the tracker makes no such crop {where} of frames of {width}x{height}: these were cut,"
                " rescaled, or are crops themselves"
            )
        return "estimated", (
            f"the estimate {where} is not whole: the source was rescaled, or has too little detail to tell"
        )
    if len(agreeing) < ENOUGH:
        return "estimated", f"only {len(agreeing)} of the pictures could be compared; it takes {ENOUGH}"
    if sum(e.equal and e.margin > 0 for e in agreeing) >= ENOUGH:
        return "exact", ""
    clear = sum(e.margin > MARGIN * (1 - e.score) for e in agreeing)
    if clear < max(ENOUGH, MOST * len(agreeing)):
        return (
            "estimated",
            f"only {clear} of {len(agreeing)} pictures clearly prefer this box to its neighbours",
        )
    if found.std.max() > SURE_PX:
        return "estimated", f"too little detail to be sure of whole pixels (+-{found.std.max():.2f} px)"
    return "verified", (
        "the pixels are alike, not equal: source and pictures were compressed differently, or the source was"
        " rescaled to a whole crop"
    )


def common_offset(evidence: Sequence[FrameEvidence]) -> int | None:
    """The frame offset of the pictures; None where it cannot be told, or they do not share one.

    A few may differ: where a head turns back, two frames look alike.
    """
    certain = [e.frame_offset for e in evidence if e.agrees and e.offset_told]
    if not certain:
        return None
    usual = max(set(certain), key=certain.count)
    return usual if certain.count(usual) >= MOST * len(certain) else None


def remarks(
    crop: Crop, evidence: Sequence[FrameEvidence], missing: int, bbox_scale: float | None
) -> Iterator[str]:
    certain = [e for e in evidence if e.agrees and e.offset_told]
    offset = common_offset(evidence)
    if not certain:
        yield "which source frame a picture belongs to cannot be told: its neighbours look the same"
    elif offset is None:
        offsets = ", ".join(f"{e.frame_id}: {e.frame_offset:+d}" for e in certain)
        yield f"the source runs at another rate than the pictures (frame: offset: {offsets})"
    elif offset:
        yield f"the pictures belong to other source frames than their numbers say: {offset:+d}"
    others = [str(e.frame_id) for e in evidence if not e.agrees]
    if others:
        yield f"frame {', '.join(others)} does not show its source frame in this box, and was left out"
    if missing:
        yield f"{missing} of the pictures were found nowhere, and were left out"
    uncut = not isinstance(crop, FreeCrop) and not crop.clipped
    if bbox_scale is not None and uncut and not possible_side(crop.side, bbox_scale):
        yield f"with bbox_scale {bbox_scale:g} the tracker makes no box of side {crop.side:g}: it was edited"
