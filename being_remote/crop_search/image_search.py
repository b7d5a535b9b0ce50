"""The crop from the pictures that the tracker stored.

A few pictures spread over the clip are registered one by one. They must agree on one box, which is
made whole where that can be proven, by making the crop again. Every failure ends in a grade and a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from being_remote.camera.crop import Crop
from being_remote.camera.free_crop import FreeCrop
from being_remote.crop_search.finding import (
    Finding,
    FrameEvidence,
    FrameSource,
    Grade,
    OnProgress,
    StoredCrop,
)
from being_remote.crop_search.picture_consensus import Consensus, find_consensus
from being_remote.crop_search.picture_matching import (
    MIN_SCORE,
    Frames,
    Match,
    PictureView,
    is_repeated,
    prepare_view,
    search_near,
    search_picture,
)
from being_remote.crop_search.replaced_background import inner_part
from being_remote.crop_search.whole_pixels import (
    compare_with_crop,
    free_crop_of,
    make_whole,
    score_lattice,
    whole_box,
)
from being_remote.tracker.box_rules import possible_side

METHOD = "stored pictures registered against the source frames"
FRAMES = 5  # pictures looked at, spread over the clip
MORE_FRAMES = 15  # where compression makes each of them say something else
_CLEAR_PX = 0.03  # standard error up to which five are enough
_PLACES = 7  # frames, spread over a video, in which a picture is searched when its own is not known
_TRIES = 3  # pictures that are searched everywhere before giving up

ENOUGH = 3  # pictures that must agree
MOST = 0.75  # of the pictures, which must say the same
MARGIN = 0.05  # by which the runner-up must miss, as a fraction of what is missing to a score of 1
SURE_PX = 0.12  # standard error up to which a lossy answer may be called whole


def from_images(
    stored: Sequence[StoredCrop],
    source: FrameSource,
    *,
    bbox_scale: float | None = None,
    on_progress: OnProgress | None = None,
) -> Finding:
    """Find the crop that made the stored pictures out of the source frames.

    Args:
        stored: crops that the tracker fitted to, each with a `.frame` of its own (the tracker also
            leaves pictures behind that belong to none). Only a few of them are compared.
        source: the original frames, or a copy that was compressed, recoloured or rescaled.
        bbox_scale: the run's setting; a side that it cannot give is reported.

    Returns:
        The finding. `exact` and `verified` crops are whole and were checked by making them again on at
        least three frames; an `estimated` one may be a `FreeCrop`; `unknown` has none.
    """
    chosen = choose_spread(stored, FRAMES)
    more = [one for one in choose_spread(stored, MORE_FRAMES) if one not in chosen]
    problem = explain_unusable(chosen + more)
    if problem:
        return Finding("unknown", None, METHOD, problem)
    frames = Frames(source)
    views = [prepare_view(one) for one in (*chosen, *more)]
    whole = _find(views[: len(chosen)], views[len(chosen) :], frames, bbox_scale, on_progress)
    if whole.crop is not None:
        return whole
    inner = inner_views(chosen + more)
    if inner is None:
        return whole
    views, note = inner
    found = _find(views[: len(chosen)], views[len(chosen) :], frames, bbox_scale, on_progress)
    if found.crop is None:
        return whole
    return replace(found, notes=(note, *found.notes))


def inner_views(stored: Sequence[StoredCrop]) -> tuple[list[PictureView], str] | None:
    """The pictures with the part to compare where their background was replaced, and that in words.

    None where the part is unknown for any of them.
    """
    views, share, why = [], [], ""
    for one in stored:
        inner = inner_part(one, prepare_view(one).window)
        if inner is None or not inner.mask.any():
            return None
        views.append(prepare_view(one, inner))
        share.append(float(inner.mask.mean()))
        why = inner.why
    return views, (
        f"the background of the stored pictures was replaced ({why}): only the inner {np.mean(share):.0%} of"
        " them was compared"
    )


def _find(
    chosen: Sequence[PictureView],
    more: Sequence[PictureView],
    frames: Frames,
    bbox_scale: float | None,
    on_progress: OnProgress | None,
) -> Finding:
    """The finding by these views, `more` of them where the first leave it open."""
    matches = _search(chosen, frames, on_progress)
    found = find_consensus(matches)
    if isinstance(found, Consensus) and found.std.max() > _CLEAR_PX:
        matches += _follow_on(more, found.matches[0], frames, on_progress)
        found = find_consensus(matches)
    if isinstance(found, str):
        return Finding("unknown", None, METHOD, found)
    if is_repeated(found.matches[0], frames):
        why = "the pictures fit several places of the frame: a pattern repeats"
        return Finding("unknown", None, METHOD, why)
    return _finding(found, frames, bbox_scale)


def rough_crop(stored: Sequence[StoredCrop], source: FrameSource) -> FreeCrop | None:
    """About where the stored pictures lie, whichever frames they are of: what stands still shows it.

    Args:
        stored: as in `from_images`; their numbers are not used.
        source: every frame of the video.
    """
    frames, best = Frames(source), None
    for one in choose_spread(stored, _TRIES):
        for number in np.linspace(1, source.count, _PLACES).round().astype(int).tolist():
            found = search_picture(prepare_view(replace(one, source_number=number)), frames, wide=False)
            if found is not None and (best is None or found.fit.score > best.fit.score):
                best = found
        if best is not None and best.fit.score > MIN_SCORE:
            break
    if best is None:
        return None
    try:
        return free_crop_of(best.fit.box, [best], source.size_wh)
    except ValueError:
        return None


def choose_spread(stored: Sequence[StoredCrop], count: int) -> list[StoredCrop]:
    """A few of many, spread over all, the middle one first: the ends of a clip are the odd ones."""
    if not stored:
        return []
    places = sorted({round(p) for p in np.linspace(0, len(stored) - 1, min(count, len(stored)))})
    middle = len(stored) // 2
    return [stored[i] for i in sorted(places, key=lambda i: abs(i - middle))]


def explain_unusable(chosen: Sequence[StoredCrop]) -> str:
    """Why these pictures cannot be searched, for people; "" if they can."""
    if not chosen:
        return "there are no stored pictures"
    sizes = sorted({(one.picture.shape[1], one.picture.shape[0]) for one in chosen})
    if len(sizes) > 1:
        listed = ", ".join(f"{w}x{h}" for w, h in sizes)
        return f"the pictures have different sizes ({listed}), so they are not of one run"
    if sizes[0][0] != sizes[0][1]:
        return f"the pictures are {sizes[0][0]}x{sizes[0][1]}, and the tracker's crops are square"
    return ""


def _search(
    chosen: Sequence[PictureView], frames: Frames, on_progress: OnProgress | None
) -> list[Match | None]:
    """The first picture is searched everywhere, the others where that one lies."""
    matches: list[Match | None] = []
    anchor: Match | None = None
    wide = True  # a search of far frames that finds nothing is not repeated
    for n, view in enumerate(chosen):
        if anchor is not None:
            found = search_near(view, frames, anchor.fit.box, anchor.offset, wide=wide)
            if found is None or not found.good:
                # Does it lie elsewhere? Then the pictures are of two runs, and that must be said.
                elsewhere = search_picture(view, frames, wide=False)
                found = elsewhere if elsewhere is not None and elsewhere.good else found
        else:
            found = search_picture(view, frames, wide=wide) if n < _TRIES else None
        good = found is not None and found.good
        wide = wide and good
        anchor = anchor or (found if good else None)
        matches.append(found)
        if on_progress is not None:
            on_progress(n + 1, len(chosen))
    return matches


def _follow_on(
    more: Sequence[PictureView], anchor: Match, frames: Frames, on_progress: OnProgress | None
) -> list[Match | None]:
    """Search further pictures in the box and at the offset of the first ones."""
    matches = []
    for n, view in enumerate(more):
        matches.append(search_near(view, frames, anchor.fit.box, anchor.offset, wide=False))
        if on_progress is not None:
            on_progress(FRAMES + n + 1, FRAMES + len(more))
    return matches


def _finding(found: Consensus, frames: Frames, bbox_scale: float | None) -> Finding:
    crop = make_whole(found, frames)
    shown = [compare_with_crop(m, frames, crop, agrees=True) for m in found.matches]
    shown += [compare_with_crop(m, frames, crop, agrees=False) for m in found.others]
    grade, reason = grade_crop(found, crop, shown)
    (side_x, side_y, x, y), std = (tuple(map(float, row)) for row in (found.box, found.std))
    best, box = found.matches[0], whole_box(found.box)
    scores = None
    if box is not None and not isinstance(crop, FreeCrop):
        grey = frames.grey(best.view.stored.source_number + best.offset)
        scores = score_lattice(best.view.grey32, best.view.window, grey, box)
    return Finding(
        grade,
        crop,
        METHOD,
        reason,
        frames=tuple(shown),
        side_px=max(side_x, side_y),
        side_std_px=max(std[:2]),
        origin_px=(x, y),
        origin_std_px=(std[2], std[3]),
        frame_offset=common_offset(shown),
        scores=scores,
        notes=tuple(remarks(crop, shown, found.missing, bbox_scale)),
    )


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
            f"the estimate {where} is not whole: the source was rescaled, or has too little detail"
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
    """The frame offset of the pictures; None where it is unknown, or they do not share one.

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
        yield "which source frame a picture belongs to is unknown: its neighbours look the same"
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
