"""Which frame of a video each pose is of, decided by small grey pictures of crops and frames.

`source/` was made of the video by some rule: resampled, or every frame as it is. A rule is a list of
frames, one a file. Along a rule, from any offset, poses continue as their numbers do; to leave it costs as
much as a clear difference of pixels. The cheapest way through all crops is the map; it never decreases.
A prediction that the pixels do not clearly contradict is kept; where they fit other frames as well and
nothing is predicted among those, no map is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from being_remote.wording import list_some

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]

ENOUGH = 3  # crops that must be found: one that agrees proves nothing of a whole run

# Mean squared differences of two pictures of unit contrast.
_ROUNDING = 4e-6
_SAME = 1e-4  # two pictures up to here are one, whatever the noise
_GONE = 3.6e-3  # what a crop costs whose frame is not in the video
_OTHER = 0.04  # two pictures from here on show different things: a correlation of 0.98
# The same as multiples of the noise.
_NOISY_SAME, _NOISY_GONE, _STEP = 8.0, 32.0, 10.0
_CLEARLY = 0.15  # the share by which frames must fit better than those predicted to deny them
_AS_WELL = 0.1  # and the one up to which others fit as well
_CONTRAST = 1.0  # levels of standard deviation
_RARELY = 0.1  # the share of crops up to which steps are a few cuts
_NEAR = 7  # crops before and after one, which are compressed as it is
_MOST_CELLS = 8_000_000  # crops times frames that are compared with each other


@dataclass(frozen=True, eq=False)
class FrameRule:
    """One way in which `source/` may have been made: `frames[k]` is shown by file k + 1; never decreasing."""

    name: str
    frames: Whole


@dataclass(frozen=True, eq=False)
class FrameMap:
    """Which frame each pose is of."""

    frames: Whole  # (N,) index in the video, never decreasing but for -1: not known, or not in the video
    followed: Whole  # (N,) the same before each crop was compared with that frame
    rule: str  # the rule that holds from the first pose to the last; "" where none does
    offset: int  # along the rule, the file of a pose is number + offset
    files: int  # how many files the rule gives; 0 where none holds
    compared: int  # how many crops there were; `found` of them show the frame that they are mapped to
    found: int
    steps: int  # how many times the map leaves its rule for another offset
    first_rule: bool  # it goes by the first of the rules, at any offset
    predicted: bool  # it is what was predicted
    others: str = ""  # other frames that fit as well, in words; "" where there are none


@dataclass(frozen=True, eq=False)
class _RuleMatch:
    """A file of a rule for each crop, counted from 0; those outside of the rule are not in the video."""

    rule: FrameRule
    files: Whole

    @property
    def frames(self) -> Whole:
        return _frames_of(self.rule, self.files)


@dataclass(frozen=True, eq=False)
class _Costs:
    """What it costs to take a crop for a frame."""

    table: Floats  # (n, M + 1) by index in the video; the last column is that of no frame
    decodable: Flags  # (M + 1,) which of the columns are of a frame that could be decoded
    noise: float  # by how much a crop and its own frame differ, usually

    @property
    def step(self) -> float:
        return _STEP * self.noise

    @property
    def same(self) -> float:
        """The cost up to which a crop shows the frame."""
        return min(max(_SAME, _NOISY_SAME * self.noise), _OTHER)

    def of(self, frames: Whole) -> Floats:
        """(n,) the cost of taking each crop for the frame at its index; -1: for none."""
        return self.table[np.arange(len(frames)), frames]

    def inside(self, way: _RuleMatch) -> Flags:
        """(n,) whether the rule's frame of each crop can be compared."""
        return np.asarray(self.decodable[way.frames])

    def good(self, way: _RuleMatch) -> Flags:
        """(n,) whether each crop shows the rule's frame."""
        return np.asarray(self.of(way.frames) <= self.same)


def map_frames(
    crops: Floats, at: Whole, frames: Floats, indices: Whole, rules: Sequence[FrameRule], numbers: Whole
) -> FrameMap | str:
    """Find the frame of each pose.

    Args:
        crops: (n, d) small grey pictures of the crops that are there.
        at: (n,) which of the poses each is of, rising.
        frames: (m, d) small grey pictures of what the crop was cut from, in the video's frames.
        indices: (m,) which frame each is, rising; those that cannot be decoded are left out.
        rules: how `source/` may have been made, the likeliest first; the first two, at no offset, are the
            predictions. A place of a rule that holds -1 has no frame.
        numbers: (N,) number in `source/` of each pose, from 1, rising.

    Returns:
        The map, or in words why there is none.
    """
    pictures, kept = _unit(crops)
    shown, used = _unit(frames)
    at, indices = at[kept], indices[used]
    if not len(at) or not len(indices):
        return "the stored crops or the frames have no contrast"
    count = 1 + max(int(indices[-1]), *(int(rule.frames[-1]) for rule in rules))
    widest = max(count, *(len(rule.frames) for rule in rules)) + 2 * int(numbers[-1] - numbers[0])
    few = _spread(len(at), max(_MOST_CELLS // widest, ENOUGH))
    files = numbers[at[few]] - 1
    predictions = [_RuleMatch(rule, files) for rule in rules[:2]]
    enough = min(ENOUGH, len(numbers))
    bias = np.zeros(pictures.shape[1], np.float32)
    for _ in range(3):  # what is alike in all frames, as another colour matrix makes it, is taken off
        costs = _costs(pictures[few] - bias, shown, indices, count)
        ways = [_cheapest(costs, rule, files) for rule in rules[:2]]
        way = min(ways, key=lambda w: costs.of(w.frames).sum())
        if np.count_nonzero(costs.good(way)) < enough:
            # Too few to find anything, and enough to bear out a prediction as far as the video goes.
            fitting = [
                p for p in predictions if costs.good(p).any() and not (~costs.good(p) & costs.inside(p)).any()
            ]
            if not fitting:
                return (
                    f"{np.count_nonzero(costs.good(way))} of {len(few)} stored crops were found in the frames"
                )
            way = fitting[0]
        good = costs.good(way)
        bias = (pictures[few][good] - shown[np.searchsorted(indices, way.frames[good])]).mean(0)
    steady = [_RuleMatch(rule, files + _best_offset(costs, rule, files)) for rule in rules]
    likely, rest = steady[:2], sorted(steady[2:], key=lambda tried: float(costs.of(tried.frames).sum()))
    way = next((tried for tried in (*predictions, *likely, *rest) if not _denied(costs, tried, way)), way)
    predicted = any(way is prediction for prediction in predictions)
    others = _others(costs, way)
    if others and not predicted:
        return f"the stored crops fit other frames as well: {others}"
    offsets = way.files - files
    anchors = np.flatnonzero(costs.good(way))
    steps = int(np.count_nonzero(np.diff(offsets[anchors])))
    found, offset = _followed(way.rule, numbers, at, at[few][anchors], offsets[anchors])
    followed = found.copy()
    differ = _differences(pictures - bias, shown, indices, found[at])
    found[~_believed(at, found[at] < 0, differ, costs.same, len(numbers))] = -1
    return FrameMap(
        frames=found,
        followed=followed,
        rule=way.rule.name if offset is not None else "",
        offset=offset or 0,
        files=len(way.rule.frames) if offset is not None else 0,
        compared=len(at),
        found=int((differ <= costs.same).sum()),
        steps=steps,
        first_rule=offset is not None and way.rule is rules[0],
        predicted=predicted,
        others=others,
    )


def _unit(pictures: Floats) -> tuple[Floats, Flags]:
    """Pictures of no mean and unit contrast, and which of all these are: those that have any."""
    flat = pictures - pictures.mean(1, keepdims=True)
    contrast = flat.std(1)
    kept = contrast > _CONTRAST
    return flat[kept] / contrast[kept, None], kept


def _spread(count: int, most: int) -> Whole:
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _frames_of(rule: FrameRule, files: Whole) -> Whole:
    inside = (files >= 0) & (files < len(rule.frames))
    return np.where(inside, rule.frames[np.where(inside, files, 0)], -1)


def _costs(pictures: Floats, shown: Floats, indices: Whole, count: int) -> _Costs:
    mean = shown.mean(0)  # what does not move is taken off first: rounding is then of what does
    a, b = pictures - mean, shown - mean
    squares = (a * a).mean(1)[:, None] + (b * b).mean(1)[None] - (a @ b.T) * (2 / a.shape[1])
    noise = max(float(np.quantile(squares.min(1), 0.25)), _ROUNDING)
    not_found = max(_GONE, _NOISY_GONE * noise)
    table = np.full((len(pictures), count + 1), not_found, np.float32)
    table[:, indices] = np.minimum(squares, not_found)
    decodable = np.zeros(count + 1, bool)
    decodable[indices] = True
    return _Costs(table, decodable, noise)


def _cheapest(costs: _Costs, rule: FrameRule, files: Whole) -> _RuleMatch:
    """The cheapest way: along the rule as the numbers do, or off it for the price of a step."""
    span = int(files[-1] - files[0]) + 1
    width = len(rule.frames) + 2 * span  # outside of the rule there are no frames
    states = np.arange(width)
    along = np.concatenate([np.full(span, -1), rule.frames, np.full(span, -1)])
    total = costs.table[0, along]
    back = np.zeros((len(files), width), np.int32)
    for i, ahead in enumerate(np.diff(files), 1):
        on = np.concatenate([np.full(min(ahead, width), np.inf, np.float32), total[: max(width - ahead, 0)]])
        low = np.minimum.accumulate(total)
        where = np.maximum.accumulate(np.where(total <= low, states, 0))
        leaves = low + costs.step < on
        back[i] = np.where(leaves, where, states - ahead)
        total = np.where(leaves, low + costs.step, on) + costs.table[i, along]
    way = [int(total.argmin())]
    for i in range(len(files) - 1, 0, -1):
        way.append(int(back[i, way[-1]]))
    return _RuleMatch(rule, np.array(way[::-1]) - span)


def _best_offset(costs: _Costs, rule: FrameRule, files: Whole) -> int:
    """The one offset along a rule that fits all crops best."""
    span = int(files[-1] - files[0]) + 1
    not_found = np.full(span, -1)
    along = np.concatenate([not_found, rule.frames, not_found])
    width = len(along) - span
    total = np.zeros(width)
    for i, after in enumerate(files - files[0]):
        total += costs.table[i, along[after : after + width]]
    return int(total.argmin()) - span - int(files[0])


def _denied(costs: _Costs, tried: _RuleMatch, best: _RuleMatch) -> bool:
    """Whether the pixels clearly speak against a way, all along or in some part."""
    inside = costs.inside(tried)
    found_here = costs.good(best) & inside
    good = found_here & costs.good(tried)
    if np.count_nonzero(good) < ENOUGH and not (good.any() and good[inside].all()):
        return True
    if 2 * np.count_nonzero(found_here) < np.count_nonzero(costs.good(best)):
        return True  # most of what was found lies outside of it
    tried_costs, best_costs = costs.of(tried.frames), costs.of(best.frames)
    other = found_here & (tried.frames != best.frames)
    for differs, part in groupby(np.flatnonzero(found_here).tolist(), key=lambda i: bool(other[i])):
        run = list(part)
        better = float((tried_costs[run] - best_costs[run]).sum())
        if differs and better > costs.step and better > _CLEARLY * float(tried_costs[run].sum()):
            return True
    return False


def _others(costs: _Costs, way: _RuleMatch) -> str:
    """By how many frames a way can be moved and fits as well, in words."""
    frames = way.frames
    found = np.flatnonzero(costs.good(way))
    count = costs.table.shape[1] - 1
    total = np.zeros(2 * count + 1)  # from a whole video earlier to one later
    beside = np.full(count, costs.table[0, -1])
    for i in found:
        row = np.concatenate([beside, costs.table[i, :count], beside])
        total += row[frames[i] : frames[i] + 2 * count + 1]
    as_well = np.flatnonzero(total <= total[count] * (1 + _AS_WELL) + costs.step) - count
    as_well = as_well[as_well != 0]
    if not len(as_well):
        return ""
    nearest = as_well[np.argsort(np.abs(as_well), kind="stable")].tolist()
    return f"{list_some([f'{n:+d}' for n in nearest], 4)} frames from these"


def _followed(
    rule: FrameRule, numbers: Whole, at: Whole, anchors: Whole, offsets: Whole
) -> tuple[Whole, int | None]:
    """The frame of each pose, and the one offset from the first to the last, if there is one.

    Where the offset steps, only poses between two crops of one offset have a frame; where it steps often,
    only those with a crop of their own: in between a frame may be dropped and another one repeated.
    """
    if (offsets == offsets[0]).all():
        return _frames_of(rule, numbers - 1 + offsets[0]), int(offsets[0])
    poses = np.arange(len(numbers))
    before = np.searchsorted(anchors, poses, side="right") - 1
    after = np.searchsorted(anchors, poses, side="left")
    inside = (before >= 0) & (after < len(anchors))
    if np.count_nonzero(np.diff(offsets)) > _RARELY * (len(offsets) - 1):
        inside &= np.isin(poses, at)
    before, after = before.clip(min=0), after.clip(max=len(anchors) - 1)
    sure = inside & (offsets[before] == offsets[after])
    return np.where(sure, _frames_of(rule, numbers - 1 + offsets[before]), -1), None


def _differences(pictures: Floats, shown: Floats, indices: Whole, frames: Whole) -> Floats:
    """(n,) of each crop and its frame; infinite where there is none."""
    place = np.searchsorted(indices, frames).clip(max=len(indices) - 1)
    squares = ((pictures - shown[place]) ** 2).mean(1)
    return np.where((frames >= 0) & (indices[place] == frames), squares, np.inf).astype(np.float32)


def _believed(at: Whole, not_found: Flags, differ: Floats, same: float, count: int) -> Flags:
    """(N,) whether the crops confirm each pose's frame: its own, or those before and after it.

    Compression spoils whole parts of a clip, so a crop may differ as its neighbours do. One that differs
    much more than they do is of another moment.
    """
    apart = np.where(not_found, np.nan, differ)
    padded = np.pad(apart, _NEAR, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEAR + 1)
    usual = np.array([np.median(w[np.isfinite(w)]) if np.isfinite(w).any() else 0.0 for w in windows])
    own = not_found | (differ <= np.clip(_NOISY_SAME * usual, same, _OTHER))
    poses = np.arange(count)
    before = np.searchsorted(at, poses, side="right") - 1
    after = np.searchsorted(at, poses, side="left")
    ends = np.append(own, True)  # beyond the first and the last crop nothing speaks against a pose
    return np.asarray(ends[before] & ends[after])
