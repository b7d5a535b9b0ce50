"""Which frame each pose is of: any rule, offset or step that the pixels show, and no more than they show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from being_remote.crop_search import frame_map
from being_remote.crop_search.frame_map import FrameMap, FrameRule, map_frames
from being_remote.tracker.frame_numbering import frames_in_source

COUNT, SIDE = 300, 16
TIMES_S = np.arange(COUNT) / 30
NOISE = 0.02  # of the contrast


def clip(*, speed: float = 0.3, seed: int = 0, count: int = COUNT) -> np.ndarray:
    """Pictures of something that wanders before something that does not: (count, SIDE * SIDE)."""
    rng = np.random.default_rng(seed)
    still = rng.normal(0, 40, SIDE * SIDE)
    shapes = rng.normal(0, 40, (6, SIDE * SIDE))
    ways = np.cumsum(rng.normal(0, speed, (count, 6)), 0)
    return 128 + still + np.sin(ways) @ shapes / 6


def noisy(pictures: np.ndarray, seed: int = 1, noise: float = NOISE) -> Any:
    rng = np.random.default_rng(seed)
    return (pictures + rng.normal(0, noise * 40, pictures.shape)).astype(np.float32)


def rules(count: int = COUNT, fps: float = 25) -> list[FrameRule]:
    return [
        FrameRule(f"it at {fps:g} fps", frames_in_source(TIMES_S[:count], fps)),
        FrameRule("every frame of it", np.arange(count)),
    ]


def mapped(crops: Any, frames: Any, **more: Any) -> FrameMap | str:
    """The map of poses that have a crop each, numbered from 1."""
    n = len(crops)
    options = {
        "at": np.arange(n),
        "indices": np.arange(len(frames)),
        "rules": rules(len(frames)),
        "numbers": np.arange(n) + 1,
        **more,
    }
    return map_frames(crops, options["at"], frames, options["indices"], options["rules"], options["numbers"])


def is_map(found: FrameMap | str) -> FrameMap:
    assert isinstance(found, FrameMap), found
    return found


def test_both_predictions_are_distinguished() -> None:
    frames = clip()
    at_25 = frames_in_source(TIMES_S, 25)
    found = is_map(mapped(noisy(frames[at_25]), noisy(frames, 2)))
    assert found.frames.tolist() == at_25.tolist() and found.predicted and found.first_rule
    found = is_map(mapped(noisy(frames), noisy(frames, 2)))
    assert found.frames.tolist() == list(range(COUNT)) and found.predicted and not found.first_rule
    assert (found.found, found.compared, found.steps, found.others) == (COUNT, COUNT, 0, "")


@pytest.mark.parametrize("offset", [-160, -31, -1, 1, 31, 160])
def test_any_offset_is_found_and_what_lies_outside_has_no_frame(offset: int) -> None:
    frames = clip()
    numbers = np.arange(120) + 1
    own = numbers - 1 + offset
    whole = clip(count=COUNT)
    pictures = np.where(
        ((own >= 0) & (own < COUNT))[:, None], whole[own.clip(0, COUNT - 1)], clip(seed=9)[:120]
    )
    found = mapped(noisy(pictures), noisy(frames, 2), numbers=numbers)
    if offset == -160:  # no pose is of any frame
        assert isinstance(found, str) and "0 of 120 stored crops" in found
        return
    inside = own >= 0
    assert is_map(found).frames.tolist() == np.where(inside, own, -1).tolist()
    assert (found.offset, found.predicted, found.found) == (offset, False, int(inside.sum()))


def test_a_wrong_rate_is_found_among_the_rules() -> None:
    frames, at_24 = clip(), frames_in_source(TIMES_S, 24)
    ways = [*rules(), FrameRule("it at 24 fps", at_24)]
    found = is_map(mapped(noisy(frames[at_24]), noisy(frames, 2), rules=ways))
    assert found.rule == "it at 24 fps" and found.frames.tolist() == at_24.tolist()
    # Without that rule the map steps, and is the same but where two frames look alike.
    found = is_map(mapped(noisy(frames[at_24]), noisy(frames, 2)))
    known = found.frames >= 0
    assert found.rule == "" and found.steps > 20 and known.mean() > 0.9
    assert (found.frames[known] == at_24[known]).mean() > 0.98
    assert (np.diff(found.frames[known]) >= 0).all()


def test_frames_that_the_video_lacks_are_given_to_no_pose() -> None:
    frames = clip(speed=1.0)
    left = np.array([n for n in range(COUNT) if n % 11 != 5])
    found = is_map(mapped(noisy(frames), noisy(frames[left], 2)))
    place = {int(n): i for i, n in enumerate(left)}
    assert found.frames.tolist() == [place.get(n, -1) for n in range(COUNT)]


def test_poses_without_a_crop_follow_the_rule_or_lie_between_crops_of_one_offset() -> None:
    frames = clip()
    some = np.arange(3, COUNT, 10)
    found = is_map(mapped(noisy(frames[some]), noisy(frames, 2), at=some, numbers=np.arange(COUNT) + 1))
    assert found.frames.tolist() == list(range(COUNT)) and found.compared == len(some)
    shown = np.delete(frames, np.arange(150, 190), 0)  # forty frames are cut out of the middle
    some = np.array([n for n in some if not 150 <= n < 190])
    found = is_map(mapped(noisy(frames[some]), noisy(shown, 2), at=some, numbers=np.arange(COUNT) + 1))
    assert found.frames[3:144].tolist() == list(range(3, 144))
    assert found.frames[193:294].tolist() == list(range(153, 254))
    assert (found.frames[144:193] == -1).all() and (found.frames[[0, 299]] == -1).all()


def test_poses_before_the_video_have_no_frame_whether_they_have_a_crop_or_not() -> None:
    frames, numbers = clip(), np.arange(120) + 1
    own = numbers - 1 - 31
    pictures = np.where((own >= 0)[:, None], frames[own.clip(0)], clip(seed=9)[:120])
    some = np.arange(0, 120, 5)
    found = is_map(mapped(noisy(pictures[some]), noisy(frames, 2), at=some, numbers=numbers))
    assert found.offset == -31
    assert found.followed[:31].tolist() == [-1] * 31
    assert found.frames.tolist() == np.where(own >= 0, own, -1).tolist()


def test_poses_beside_a_crop_of_another_moment_have_no_frame_either() -> None:
    frames, some = clip(), np.arange(0, COUNT, 10)
    crops = noisy(frames[some])
    crops[10] = noisy(frames)[250]  # that of pose 100
    found = is_map(mapped(crops, noisy(frames, 2), at=some, numbers=np.arange(COUNT) + 1))
    beside = np.arange(91, 110)
    assert (found.frames[beside] == -1).all()
    assert found.frames[[90, 110]].tolist() == [90, 110]


def test_where_frames_are_dropped_and_repeated_all_along_poses_without_a_crop_have_none() -> None:
    frames = clip(speed=1.0)
    # Between two crops that are ten poses apart one is dropped and one repeated; now and then, one more.
    dropped = [n for n in range(COUNT) if n % 10 != 4 and n % 70 != 36]
    shown = np.array([n for n in dropped for _ in range(1 + (n % 10 == 8))])
    some = np.arange(0, COUNT, 10)
    numbers = np.arange(COUNT) + 1
    found = is_map(mapped(noisy(frames[some]), noisy(frames[shown], 2), at=some, numbers=numbers))
    assert found.rule == "" and found.steps > 3
    known = np.flatnonzero(found.frames >= 0)
    assert shown[found.frames[known]].tolist() == known.tolist()
    assert len(known) > 20


def test_a_crop_of_another_moment_has_no_frame_and_moves_no_other() -> None:
    frames = clip()
    crops = noisy(frames)
    crops[100] = noisy(frames)[250]
    found = is_map(mapped(crops, noisy(frames, 2)))
    assert found.frames.tolist() == [n if n != 100 else -1 for n in range(COUNT)]


def test_another_clip_is_refused() -> None:
    assert isinstance(mapped(noisy(clip()), noisy(clip(seed=4), 2)), str)


def test_two_crops_confirm_a_prediction_and_prove_nothing_else() -> None:
    frames = clip()
    at = np.array([3, 250])
    numbers = np.arange(COUNT) + 1
    found = is_map(mapped(noisy(frames[at]), noisy(frames, 2), at=at, numbers=numbers))
    assert found.predicted and found.found == 2
    assert isinstance(mapped(noisy(frames[at]), noisy(frames, 2), at=at, numbers=numbers + 7), str)


def test_where_frames_look_alike_only_a_prediction_is_taken_and_reported() -> None:
    looping = np.tile(clip(count=50), (6, 1))
    crops, frames = noisy(looping[:100]), noisy(looping, 2)
    found = is_map(mapped(crops, frames))
    assert found.frames.tolist() == list(range(100))
    assert found.others.startswith("+50, +100")
    moved = mapped(crops, frames, numbers=np.arange(100) + 8)
    assert isinstance(moved, str) and "fit other frames as well" in moved
    still = np.tile(clip(count=1), (COUNT, 1))
    assert is_map(mapped(noisy(still[:250]), noisy(still, 2))).predicted
    found = is_map(mapped(noisy(still[:250]), noisy(still, 2)))
    assert found.first_rule and found.others


def test_what_all_frames_have_in_common_does_not_matter() -> None:
    """Another colour matrix: what is bright and what is dark moves, the same in every frame."""
    frames = clip(speed=0.1)
    stain = np.random.default_rng(5).normal(0, 8, SIDE * SIDE)
    found = is_map(mapped(noisy(frames[20:]), noisy(0.8 * (frames + stain), 2), numbers=np.arange(280) + 18))
    assert (found.offset, found.rule) == (3, "every frame of it")


def test_frames_that_cannot_be_decoded_are_given_to_no_pose() -> None:
    frames = clip()
    there = np.array([n for n in range(COUNT) if not 40 <= n < 45])
    found = is_map(mapped(noisy(frames), noisy(frames[there], 2), indices=there, rules=rules()))
    assert found.frames.tolist() == [n if n in there else -1 for n in range(COUNT)]


def test_a_long_run_is_compared_by_some_of_its_crops_and_checked_by_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frame_map, "_MOST_CELLS", 20 * COUNT)
    frames = clip()
    crops = noisy(frames)
    crops[101] = noisy(frames)[250]
    found = is_map(mapped(crops, noisy(frames, 2)))
    assert found.frames.tolist() == [n if n != 101 else -1 for n in range(COUNT)]
    assert found.found == COUNT - 1
