"""The crop from landmarks: right within its error bars, whole only when proven, unknown for wrong pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from being_remote.camera.crop import Crop, crop_from_box
from being_remote.camera.free_crop import FreeCrop
from being_remote.crop_search.finding import Finding
from being_remote.crop_search.landmark_fit import LandmarkPair, _Estimate, _whole, fit_face, from_landmarks
from being_remote.crop_search.landmark_search import read_pairs
from being_remote.demo import head
from being_remote.demo.actor import full_frame_camera, motion
from being_remote.demo.tracker_recipe import project
from being_remote.errors import InconsistentData, NotFoundError

SIZE_WH, IMAGE_WH = (1920, 1080), (512, 512)
CROP = crop_from_box((510, 1410, 90, 990), SIZE_WH, IMAGE_WH)
DENSE = head.landmarks_478()


def faces(seed: int, count: int, points: np.ndarray = DENSE) -> list[np.ndarray]:
    """Landmarks (n, 2) of a talking head in frames of the original video."""
    rng = np.random.default_rng(seed)
    K = full_frame_camera(SIZE_WH, rng)
    R, t = motion(K, SIZE_WH, "none", count, rng)
    return [project(K, R[i], t[i], points) for i in range(count)]


def pairs_of(
    stored: Sequence[np.ndarray],
    shown: Sequence[np.ndarray],
    *,
    noise_crop_px: float = 0.0,
    noise_source_px: float = 0.0,
    crop: Crop = CROP,
    seed: int = 9,
) -> list[LandmarkPair]:
    rng = np.random.default_rng(seed)
    return [
        LandmarkPair(
            (a - crop.origin) / (crop.scale_x, crop.scale_y) + rng.normal(0, noise_crop_px, a.shape),
            b + rng.normal(0, noise_source_px, b.shape),
        )
        for i, (a, b) in enumerate(zip(stored, shown, strict=True))
    ]


def find(pairs: Sequence[LandmarkPair], bbox_scale: float | None = None) -> Finding:
    return from_landmarks(pairs, SIZE_WH, IMAGE_WH, detector="a test", bbox_scale=bbox_scale)


def test_perfect_landmarks_give_the_whole_crop_and_still_only_the_grade_landmark() -> None:
    shown = faces(0, 12)
    found = find(pairs_of(shown, shown), bbox_scale=2.5)
    assert found.grade == "landmark" and "1 to 3 px" in found.reason
    assert found.crop == CROP
    assert found.side_px == pytest.approx(900, abs=1e-6)
    assert found.origin_px == pytest.approx((510, 90), abs=1e-6)


@pytest.mark.parametrize(
    "box", [(700, 1211, 200, 711), (0, 900, 100, 1000), (400, 1500, 0, 1078), (1111, 1411, 700, 1000)]
)
def test_side_and_origin_are_found_separately_wherever_the_crop_lies(box: tuple[int, int, int, int]) -> None:
    crop = crop_from_box(box, SIZE_WH, IMAGE_WH)
    shown = faces(1, 8)
    found = find(pairs_of(shown, shown, crop=crop))
    assert found.side_px == pytest.approx(crop.side, abs=1e-6)
    assert found.origin_px == pytest.approx(crop.origin, abs=1e-6)


def test_a_crop_that_hangs_over_the_border_gets_the_box_that_the_tracker_would_write() -> None:
    crop = crop_from_box((400, 1500, 0, 1000), SIZE_WH, IMAGE_WH)  # padded by 50 above and below
    assert crop.origin == (400, -50)
    shown = faces(1, 8)
    found = find(pairs_of(shown, shown, crop=crop))
    assert (found.crop.A == crop.A).all() and found.crop == crop


@pytest.mark.parametrize(("points", "frames"), [(DENSE, 60), (head.landmarks_68(), 60)])
def test_with_noise_the_truth_lies_within_the_error_bars_and_what_is_made_whole_is_right(
    points: np.ndarray, frames: int
) -> None:
    pulls = []
    for seed in range(12):
        shown = faces(seed, frames, points)
        pairs = pairs_of(shown, shown, noise_crop_px=0.8, noise_source_px=1.2, seed=seed)
        found = find(pairs)
        assert found.grade == "landmark"
        assert isinstance(found.crop, FreeCrop) or found.crop == CROP
        off = np.array([found.side_px - 900, found.origin_px[0] - 510, found.origin_px[1] - 90])
        std = np.array([found.side_std_px, *found.origin_std_px])
        assert (std < 3).all()
        pulls.append(off / std)
    assert np.abs(pulls).max() < 4
    assert 0.15 < np.std(pulls) < 1.5  # neither boasting nor hiding


def test_more_frames_make_smaller_error_bars() -> None:
    bars = []
    for count in (10, 160):
        shown = faces(3, count)
        bars.append(find(pairs_of(shown, shown, noise_source_px=3)).side_std_px)
    assert 2 < bars[0] / bars[1] < 8  # four times, by the root of sixteen


def test_an_error_that_all_frames_share_is_in_the_error_bars_however_many_frames_there_are() -> None:
    shown = faces(3, 100)
    bias = np.random.default_rng(1).normal(0, 2.0, (len(DENSE), 2))
    few, many = (
        find([LandmarkPair(p.crop_px, p.source_px + bias) for p in pairs_of(s, s)])
        for s in (shown[:12], shown)
    )
    for found in (few, many):
        assert isinstance(found.crop, FreeCrop)  # such bars leave more than one choice
        assert found.side_std_px > 0.5
        assert abs(found.side_px - 900) < 3 * found.side_std_px
    assert many.side_std_px == pytest.approx(few.side_std_px, rel=0.2)


def test_what_is_estimated_is_carried_into_the_map_as_it_is() -> None:
    shown = faces(5, 30)
    found = find(pairs_of(shown, shown, noise_source_px=4))
    assert isinstance(found.crop, FreeCrop)
    assert found.crop.A[0, 0] == pytest.approx(found.side_px / 512)
    assert tuple(found.crop.A[:2, 2]) == pytest.approx(found.origin_px)
    assert found.focal_std_percent == pytest.approx(100 * found.side_std_px / found.side_px)


def test_a_whole_side_that_the_trackers_rule_does_not_make_is_left_as_estimated() -> None:
    crop = crop_from_box((510, 1412, 90, 992), SIZE_WH, IMAGE_WH)  # 902 is not 0 or 4 modulo 10
    shown = faces(0, 12)
    assert find(pairs_of(shown, shown, crop=crop)).crop == crop
    assert isinstance(find(pairs_of(shown, shown, crop=crop), bbox_scale=2.5).crop, FreeCrop)


def test_an_odd_side_is_left_as_estimated_because_the_tracker_makes_none() -> None:
    crop = crop_from_box((510, 1411, 90, 991), SIZE_WH, IMAGE_WH)
    shown = faces(0, 12)
    found = find(pairs_of(shown, shown, crop=crop))
    assert isinstance(found.crop, FreeCrop) and found.side_px == pytest.approx(901, abs=1e-6)


@pytest.mark.parametrize(("std", "whole"), [((0.33, 0.16), True), ((0.34, 0.1), False), ((0.1, 0.17), False)])
def test_a_crop_is_made_whole_only_where_three_standard_errors_leave_one_choice(
    std: tuple[float, float], whole: bool
) -> None:
    values, middle = np.array([900.0, 510, 90]), np.array([960.0, 540])
    estimate = _Estimate(values, np.array([std[0], 1, 1]), middle, np.full(2, std[1]), 0.0)
    found = _whole(estimate, SIZE_WH, IMAGE_WH, None)
    assert (found == CROP) is whole and (found is None) is not whole


def test_gross_errors_of_some_points_and_some_frames_change_little() -> None:
    shown = faces(6, 40)
    pairs = pairs_of(shown, shown, noise_source_px=0.5)
    rng = np.random.default_rng(0)
    for i in range(0, 40, 5):  # a profile of somebody else
        pairs[i] = LandmarkPair(pairs[i].crop_px, rng.permutation(pairs[i].source_px))
    for i in range(1, 40, 5):  # a hand over the chin
        moved = pairs[i].source_px.copy()
        moved[:120] += 60
        pairs[i] = LandmarkPair(pairs[i].crop_px, moved)
    found = find(pairs)
    assert abs(found.side_px - 900) < 1.0 and np.abs(np.subtract(found.origin_px, (510, 90))).max() < 1.0
    assert any("left out" in note for note in found.notes)


def test_frames_without_a_face_are_skipped_and_counted() -> None:
    shown = faces(0, 10)
    pairs = pairs_of(shown, shown)
    for i in (2, 3):
        pairs[i] = LandmarkPair(np.zeros((478, 2)), pairs[i].source_px)
    pairs[7] = LandmarkPair(pairs[7].crop_px, np.zeros((478, 2)))
    found = find(pairs)
    assert found.crop == CROP
    assert "7 frames agree, 3 without a face were skipped" in found.notes[0]


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_fewer_than_three_faces_are_not_enough(keep: int) -> None:
    shown = faces(0, 5)
    pairs = pairs_of(shown, shown)
    nothing = np.zeros((478, 2))
    found = find([p if i < keep else LandmarkPair(nothing, p.source_px) for i, p in enumerate(pairs)])
    assert (found.grade, found.crop) == ("unknown", None)
    assert f"of 5 frames only {keep} have landmarks in both places" in found.reason


def test_no_pairs_at_all_are_unknown() -> None:
    assert find([]).grade == "unknown"


@pytest.mark.parametrize("seed", range(10))
def test_another_take_of_the_same_person_is_unknown(seed: int) -> None:
    found = find(pairs_of(faces(seed, 40), faces(seed + 50, 40), noise_crop_px=0.5, noise_source_px=0.5))
    assert found.grade == "unknown" and found.crop is None
    assert "take" in found.reason


@pytest.mark.parametrize("shift", [6, 15])
def test_frames_of_another_moment_are_unknown(shift: int) -> None:
    shown = faces(4, 60)
    found = find(pairs_of(shown[:-shift], shown[shift:], noise_crop_px=0.5, noise_source_px=0.5))
    assert found.grade == "unknown"


def test_a_face_that_moves_a_little_but_not_in_step_is_unknown() -> None:
    face = faces(0, 1)[0]
    there, elsewhere = (
        [face + 8 * np.array([np.sin(i / a), np.cos(i / b)]) for i in range(40)] for a, b in ((3, 5), (4, 2))
    )
    assert find(pairs_of(there, there)).grade == "landmark"
    found = find(pairs_of(there, elsewhere))
    assert found.grade == "unknown" and "do not move together" in found.reason


def test_another_face_is_unknown_and_its_difference_is_reported() -> None:
    other = DENSE * [0.8, 1.25, 1.0]
    found = find(pairs_of(faces(0, 20), faces(0, 20, other)))
    assert found.grade == "unknown" and "% of their size" in found.reason


def test_a_video_that_was_turned_is_unknown_because_a_crop_never_turns() -> None:
    shown = faces(0, 20)
    c, s = np.cos(np.radians(3)), np.sin(np.radians(3))
    turned = [(p - 500) @ np.array([[c, s], [-s, c]]) + 500 for p in shown]
    found = find(pairs_of(shown, turned))
    assert found.grade == "unknown" and "turned by 3.0 degrees" in found.reason


def test_a_face_that_stands_still_gets_a_warning() -> None:
    still = [faces(0, 1)[0]] * 20
    found = find(pairs_of(still, still, noise_crop_px=0.5))
    assert found.grade == "landmark"
    assert "another take of the same scene would look the same" in found.notes[-1]


def test_a_crop_outside_the_frame_is_unknown() -> None:
    shown = faces(0, 10)
    far = [p + np.array([9000, 0]) for p in shown]
    assert "lies outside the frame" in find(pairs_of(shown, far)).reason


def test_points_of_different_sets_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="different sets"):
        find([LandmarkPair(np.ones((68, 2)), np.ones((478, 2)))])


def test_a_mirrored_face_is_no_similarity() -> None:
    face = faces(0, 1)[0]
    assert (fit := fit_face(face, face * [-1, 1])) is None or fit.misfit > 0.3


def save(folder: Path, number: int, points: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    np.save(folder / f"{number:05d}.npy", points)


def test_pairs_are_read_by_their_number_in_source_and_need_both_files(tmp_path: Path) -> None:
    shown = faces(0, 6)
    for i, points in enumerate(shown):
        save(tmp_path / "kpt_dense", i + 2, ((points - CROP.origin) / CROP.scale_x).astype(np.float32))
        if i != 3:
            save(tmp_path / "full", i + 2, points)
    save(tmp_path / "kpt_dense", 3, np.zeros((478, 2)))
    numbers = range(2, 8)
    pairs = read_pairs(tmp_path / "kpt_dense", tmp_path / "full", numbers, 478)
    for pair, i in zip(pairs, [0, 1, 2, 4, 5], strict=True):
        np.testing.assert_array_equal(pair.source_px, shown[i])
    assert not pairs[1].crop_px.any()
    found = find(pairs)
    assert found.grade == "landmark"
    assert found.side_px == pytest.approx(900, abs=1e-2)
    with pytest.raises(NotFoundError, match="of 6 frames none has landmarks in both"):
        read_pairs(tmp_path / "kpt_dense", tmp_path / "nowhere", numbers, 478)
    with pytest.raises(InconsistentData, match="478 x 2 numbers, not 68 x 2"):
        read_pairs(tmp_path / "kpt_dense", tmp_path / "full", numbers, 68)
