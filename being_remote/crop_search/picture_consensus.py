"""What several registered pictures agree on: one still box, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from being_remote.crop_search.picture_matching import MAX_MISMATCH, MIN_PARTS, Match
from being_remote.crop_search.registration import Floats

_SPREAD_PX = 0.5  # by how much one box may seem to move from picture to picture
_OTHER_BOX_PX = 3.0  # from here on it is another box, not a picture that is hard to place
_SURE, _BEYOND_DOUBT = 5.0, 25.0  # standard errors: of one picture they may be four times too small
_ONE_SIDE = 3.0  # standard errors within which two sides are one
_STRETCH = 0.005  # relative difference of the two sides: what rounding a rescaled size can give
_VAGUE = 0.01  # standard error relative to the side


@dataclass(frozen=True, eq=False)
class Consensus:
    """One box that the pictures agree on."""

    matches: tuple[Match, ...]  # those that agree
    others: tuple[Match, ...]  # those that were found and do not
    missing: int  # how many pictures were found nowhere
    box: Floats  # (4,) mean of the estimates
    # (4,) standard errors of the mean, no smaller than those of one picture's residues: a still
    # background makes all pictures err alike
    std: Floats


def find_consensus(matches: Sequence[Match | None]) -> Consensus | str:
    """The box of the largest group of pictures that share one, or why there is none, for people."""
    found = [m for m in matches if m is not None]
    good = [m for m in found if m.good]
    if not good:
        return _why_none(found)
    group = max((_alike(m, good) for m in good), key=len)
    others = [m for m in found if m not in group]
    missing = len(matches) - len(found)
    against = len(others) + missing
    strays = [m for m in good if _elsewhere(m, group[0])]
    if strays or len(good) - len(group) >= len(group) or 2 * against > len(matches):
        return _why_apart(good, group, against, len(matches))
    boxes = np.array([m.fit.box for m in group])
    scatter = boxes.std(0, ddof=1) / np.sqrt(len(group)) if len(group) > 1 else np.zeros(4)
    std = np.maximum(np.median([m.fit.std for m in group], axis=0), scatter)
    box, std = _squared(boxes.mean(0), std)
    return _why_no_crop(group, box, std) or Consensus(tuple(group), tuple(others), missing, box, std)


def _squared(box: Floats, std: Floats) -> tuple[Floats, Floats]:
    """The box with one side where both are the same within their errors, its centre kept."""
    errors = np.maximum(std[:2], 1e-6)
    if abs(box[0] - box[1]) > _ONE_SIDE * np.hypot(*errors):
        return box, std
    weights = errors**-2.0
    side = float((box[:2] * weights).sum() / weights.sum())
    origin = box[2:] + (box[:2] - side) / 2
    return np.array([side, side, *origin]), np.array([*np.full(2, weights.sum() ** -0.5), *std[2:]])


def _alike(match: Match, good: Sequence[Match]) -> list[Match]:
    limit = np.maximum(_SPREAD_PX, _SURE * match.fit.std)
    return [m for m in good if (np.abs(m.fit.box - match.fit.box) <= limit).all()]


def _elsewhere(match: Match, other: Match) -> bool:
    """Whether one of the two was cut by another box, beyond what is hard to place."""
    std = np.maximum(match.fit.std, other.fit.std)
    limit = np.clip(_BEYOND_DOUBT * std, _SPREAD_PX, _OTHER_BOX_PX)
    return bool((np.abs(match.fit.box - other.fit.box) > limit).any())


def _why_none(found: Sequence[Match]) -> str:
    if not found:
        return (
            "the stored pictures are nowhere in these frames: they show other things, or nothing, or these"
            " frames end before theirs"
        )
    best = max(found, key=lambda m: m.fit.score)
    if best.parts < MIN_PARTS:
        return "the pictures are too flat to be compared: nothing in them has contrast"
    if best.fit.score > 0.7 and MAX_MISMATCH < best.mismatch < 0.8:
        return (
            f"the pictures resemble these frames, but {best.mismatch:.0%} of what has contrast shows"
            " something else or elsewhere: another take of the same scene, or other moments of it"
            " (a video trimmed by more than a second, too)"
        )
    return f"the stored pictures are not in these frames (best correlation {best.fit.score:.2f}, of 1)"


def _why_apart(good: Sequence[Match], group: Sequence[Match], against: int, count: int) -> str:
    if len(good) == len(group):
        return f"{against} of {count} pictures are nowhere in these frames, so the others prove nothing"
    places = "; ".join(
        f"frame {m.view.stored.frame_id}: side {m.fit.box[:2].mean():.1f}"
        f" at {m.fit.box[2]:.1f}, {m.fit.box[3]:.1f}"
        for m in sorted(good, key=lambda m: m.view.stored.frame_id)
    )
    return f"the pictures do not come from one still box ({places}): another video, or crops of several runs"


def _why_no_crop(group: Sequence[Match], box: Floats, std: Floats) -> str:
    """What speaks against a box of the tracker, for people; "" if nothing does."""
    side = float(box[:2].mean())
    skew = np.mean([m.fit.skew for m in group], axis=0)
    skew_std = np.median([m.fit.skew_std for m in group], axis=0)
    if (np.abs(skew) > _SPREAD_PX + _SURE * skew_std).any():
        turn = np.rad2deg(float(np.abs(skew).max()) / side)
        return f"the source is turned or sheared by {turn:.2f} degrees against the pictures; a crop is not"
    if std.max() > _VAGUE * side:
        return f"the pictures have too little contrast to place the crop better than to {std.max():.1f} px"
    if abs(box[0] - box[1]) > _STRETCH * side + 1 + _SURE * float(std[:2].max()):
        return (
            f"the source is stretched: the crop would be {box[0]:.1f} px wide and {box[1]:.1f} px high;"
            " its pixels are perhaps not square"
        )
    return ""
