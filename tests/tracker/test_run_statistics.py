"""What of the face moves, how smoothly, and what a person should see at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import frame_factory as factory
import numpy as np
import pytest

from being_remote.camera.pose import rotation_from_6d
from being_remote.errors import InconsistentData, TornFile
from being_remote.tracker.flame_parameters import read_parameters
from being_remote.tracker.run_statistics import (
    FrameCurve,
    camera_statistics,
    curve_statistics,
    frame_curves,
    remarks,
    states,
    turn_deg,
)
from being_remote.tracker.sequence import read_sequence

REST = (1, 0, 0, 0, 1, 0)


def about(axis: str, degrees: float) -> list[float]:
    """A rotation as the tracker stores it: the first two rows."""
    a = np.radians(degrees)
    c, s = np.cos(a), np.sin(a)
    R = {"x": [[1, 0, 0], [0, c, -s], [0, s, c]], "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]]}[axis]
    return [*map(float, R[0]), *map(float, R[1])]


def write(folder: Path, number: int, **flame: Any) -> None:
    """A genuine frame whose head stands still; entries of `flame` replace the random ones."""
    content = factory.content(f"{number:05d}")
    content["global_step"] = 10 * number
    quiet: dict[str, Any] = {
        "jaw": [REST],
        "eyes": [[*REST, *REST]],
        "eyelids": [[0, 0]],
        "exp": np.zeros((1, 100)),
    }
    for key, value in {**quiet, **flame}.items():
        content["flame"][key] = np.array(value, np.float32)
    (folder / f"{number:05d}.frame").write_bytes(factory.saved(content))


def expression(number: int) -> Any:
    return np.full((1, 100), 0.1 * number)


def lively(number: int) -> dict[str, Any]:
    return {
        "jaw": [about("x", 5 + number % 3)],
        "eyes": [[*about("y", number), *about("y", number)]],
        "eyelids": [[0.1 * number, 0.2]],
        "exp": expression(number),
    }


def test_angles_are_given_in_degrees_with_the_right_eye_first(tmp_path: Path) -> None:
    write(tmp_path, 0, jaw=[about("x", 12)], eyes=[[*about("y", 7), *about("x", -3)]], eyelids=[[0.25, 0.5]])
    _, found = read_parameters(tmp_path)
    # Read as columns the jaw would come out as -12: shut through the skull.
    np.testing.assert_allclose(found.jaw_deg, [[12, 0, 0]], atol=1e-4)
    np.testing.assert_allclose(found.right_eye_deg, [[0, 7, 0]], atol=1e-4)
    np.testing.assert_allclose(found.left_eye_deg, [[-3, 0, 0]], atol=1e-4)
    assert found.eyelids.tolist() == [[0.25, 0.5]]


def test_the_jaw_that_opens_moves_the_chin_down() -> None:
    # FLAME: y up, z out of the face. The chin is in front of the joint.
    chin = np.array(rotation_from_6d(about("x", 10))) @ [0, 0, 1]
    assert chin[1] < 0


def test_cameras_read_with_the_parameters_are_those_read_alone(tmp_path: Path) -> None:
    for number in (0, 2, 10):
        write(tmp_path, number, exp=expression(number))
    cameras, found = read_parameters(tmp_path)
    alone = read_sequence(tmp_path)
    np.testing.assert_array_equal(cameras.R, alone.R)
    np.testing.assert_array_equal(cameras.frame_ids, alone.frame_ids)
    np.testing.assert_allclose(found.expression[:, 0], [0, 0.2, 1.0], rtol=1e-6)


def test_every_curve_shows_the_number_that_it_is_named_after(tmp_path: Path) -> None:
    write(tmp_path, 0, jaw=[about("x", 12)], eyes=[[*about("x", 3), *about("y", 7)]], eyelids=[[0.25, 0.5]])
    shown = {curve.name: float(curve.values[0]) for curve in frame_curves(*read_parameters(tmp_path))}
    expected = {
        "jaw, open": 12,
        "jaw, sideways": 0,
        "right eye, down": 3,
        "right eye, to its left": 0,
        "left eye, down": 0,
        "left eye, to its left": 7,
        "left eyelid, closed": 0.25,
        "right eyelid, closed": 0.5,
    }
    assert {name: shown[name] for name in expected} == pytest.approx(expected, abs=1e-4)


def test_a_frozen_jaw_is_seen_at_once(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path, number, **{**lively(number), "jaw": [REST]})
    cameras, found = read_parameters(tmp_path)
    assert states(found) == {"jaw": "at rest", "eyes": "moves", "eyelids": "moves", "expression": "moves"}
    (said,) = remarks(cameras, found)
    assert said.startswith("frozen jaw: it is at rest in every frame") and "optimize_jaw false" in said


def test_a_jaw_stuck_at_an_angle_is_not_called_at_rest(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, number, **{**lively(number), "jaw": [about("x", 8)]})
    cameras, found = read_parameters(tmp_path)
    assert states(found)["jaw"] == "constant"
    assert any("one and the same angle" in said for said in remarks(cameras, found))


def test_mouth_only_is_reported_when_eyes_and_lids_stand_still_while_the_mouth_moves(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, number, jaw=[about("x", number)], exp=expression(number))
    (said,) = remarks(*read_parameters(tmp_path))
    assert said.startswith("mouth-only")


def test_a_run_whose_face_moves_has_nothing_remarkable(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path, number, **lively(number))
    assert remarks(*read_parameters(tmp_path)) == ()


def test_a_face_that_never_moves_is_reported_once(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, number)
    (said,) = remarks(*read_parameters(tmp_path))
    assert said.startswith("nothing of the face moves")


def test_one_frame_is_no_frozen_run(tmp_path: Path) -> None:
    write(tmp_path, 0)
    cameras, found = read_parameters(tmp_path)
    assert remarks(cameras, found) == ()
    row = curve_statistics(frame_curves(cameras, found)[0], cameras.frame_ids)
    assert (row.step, row.jitter) == (None, None)
    assert camera_statistics(cameras).turn_step_deg is None


def test_angles_beyond_a_human_jaw_are_reported_with_the_frame(tmp_path: Path) -> None:
    for number, angle in enumerate((5, 80, 50, 6, -20)):
        write(tmp_path, number, **{**lively(number), "jaw": [about("x", angle)]})
    said = " ".join(remarks(*read_parameters(tmp_path)))
    assert "wider than mouths open in 2 frames: 80 degrees at frame 00001" in said
    assert "past shut in 1 frames: -20 degrees at frame 00004" in said


def test_a_jump_of_the_head_is_reported_and_a_gap_is_none(tmp_path: Path) -> None:
    for number, seed in ((0, 0), (1, 0), (5, 3), (6, 3)):
        content = factory.content(f"{number:05d}", seed=seed)
        (tmp_path / f"{number:05d}.frame").write_bytes(factory.saved(content))
    assert camera_statistics(read_sequence(tmp_path)).largest_turn_deg == pytest.approx(0, abs=1e-3)
    content = factory.content("00007", seed=4)
    (tmp_path / "00007.frame").write_bytes(factory.saved(content))
    path = camera_statistics(read_sequence(tmp_path))
    assert path.largest_turn_at == 7 and path.largest_turn_deg is not None and path.largest_turn_deg > 15
    assert any(f"degrees to frame {7:05d}" in said for said in remarks(*read_parameters(tmp_path)))


def test_a_shape_that_changes_within_a_run_is_reported(tmp_path: Path) -> None:
    for number in range(3):
        more = {"shape": np.ones((1, 300))} if number == 2 else {"shape": np.zeros((1, 300))}
        write(tmp_path, number, **lively(number), **more)
    (said,) = remarks(*read_parameters(tmp_path))
    assert "shape changes at frame 00002" in said


def test_noise_raises_the_jitter_and_a_steady_motion_does_not() -> None:
    ids = np.arange(200)
    steady = np.linspace(0, 50, 200)
    noisy = steady + np.random.default_rng(0).normal(0, 1, 200)
    a, b = (curve_statistics(FrameCurve("jaw", "jaw", "deg", v), ids) for v in (steady, noisy))
    assert a.jitter is not None and a.jitter < 1e-9 and a.step == pytest.approx(50 / 199)
    assert b.jitter is not None and b.jitter > 0.5


def test_changes_are_counted_between_neighbours_only() -> None:
    row = curve_statistics(
        FrameCurve("jaw", "jaw", "deg", np.array([0.0, 100.0, 101.0])), np.array([0, 7, 8])
    )
    assert (row.step, row.jitter) == (1.0, None)


def test_small_turns_are_not_rounded_to_nothing() -> None:
    R = np.array([rotation_from_6d(about("x", a)) for a in (0.0, 1e-5, 179.0, 180.0)])
    np.testing.assert_allclose(turn_deg(R[:1], R), [0, 1e-5, 179, 180], rtol=1e-6)


@pytest.mark.parametrize(
    ("flame", "says"),
    [
        ({"jaw": [[0] * 6]}, r"00001\.frame: flame\.jaw is not a rotation"),
        ({"jaw": [[1, 2, 3, 2, 4, 6]]}, r"00001\.frame: flame\.jaw is not a rotation"),
        ({"eyes": [[*REST, *([0] * 6)]]}, r"00001\.frame: flame\.eyes is not a rotation"),
        ({"exp": np.full((1, 100), np.nan)}, r"00001\.frame: flame\.exp holds numbers that are not finite"),
        ({"exp": np.full((1, 100), factory.SIGNALLING_NAN)}, r"flame\.exp holds numbers that are not finite"),
        ({"jaw": [[np.inf, 0, 0, 0, 1, 0]]}, r"flame\.jaw holds numbers that are not finite"),
        ({"exp": np.zeros((1, 50))}, r"00001\.frame: flame\.exp has 50 numbers, before it 100"),
    ],
)
def test_parameters_that_mean_nothing_are_refused_with_the_frame(
    tmp_path: Path, flame: dict[str, Any], says: str
) -> None:
    write(tmp_path, 0, **lively(0))
    write(tmp_path, 1, **{**lively(1), **flame})
    with pytest.raises(InconsistentData, match=says):
        read_parameters(tmp_path)


def test_a_torn_frame_stops_the_reading_with_its_name(tmp_path: Path) -> None:
    write(tmp_path, 0)
    write(tmp_path, 1)
    path = tmp_path / "00001.frame"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(TornFile, match=r"00001\.frame"):
        read_parameters(tmp_path)
