"""How a run's face and camera behave over time: ranges, smoothness, and what stands still.

Changes are counted between neighbouring frames only, so that a gap is not a jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from being_remote.tracker.flame_parameters import FlameParameters
from being_remote.tracker.sequence import Sequence

Floats = np.ndarray[Any, np.dtype[np.float64]]
State = Literal["at rest", "constant", "moves"]

JUMP_DEG = 15.0
JUMP_M = 0.05
WIDE_JAW_DEG = 45.0
SHUT_JAW_DEG = -10.0


@dataclass(frozen=True, eq=False)
class FrameCurve:
    """One number over a run: `values` (N,), one for each frame."""

    group: str
    name: str
    unit: str
    values: Floats


@dataclass(frozen=True)
class CurveStatistics:
    """A track in figures, in its unit."""

    # over all frames
    least: float
    mean: float
    most: float
    std: float
    step: float | None  # median change from a frame to the next; None where no two frames are neighbours
    # median of how far a frame lies from the middle of its two neighbours; noise shows here, and motion
    # hardly does. None where no three are neighbours.
    jitter: float | None


@dataclass(frozen=True)
class CameraStatistics:
    """The path of the camera around the head."""

    K: tuple[tuple[float, ...], ...]  # of the network image, (3, 3) corner convention
    image_size_wh: tuple[int, int]
    distance_m: float  # mean length of t
    t_z_m: tuple[float, float, float]  # least, mean and most of its depth
    # median from a frame to the next; None without neighbours
    turn_step_deg: float | None
    move_step_mm: float | None
    # the largest such turn, and the frame_id after it
    largest_turn_deg: float | None
    largest_turn_at: int | None


def frame_curves(cameras: Sequence, parameters: FlameParameters) -> tuple[FrameCurve, ...]:
    """The curves that are compared and drawn, in the order of the tables."""
    jaw, right, left = parameters.jaw_deg, parameters.right_eye_deg, parameters.left_eye_deg
    return (
        FrameCurve("jaw", "jaw, open", "deg", jaw[:, 0]),
        FrameCurve("jaw", "jaw, sideways", "deg", np.linalg.norm(jaw[:, 1:], axis=1)),
        FrameCurve("eyes", "right eye, down", "deg", right[:, 0]),
        FrameCurve("eyes", "right eye, to its left", "deg", right[:, 1]),
        FrameCurve("eyes", "left eye, down", "deg", left[:, 0]),
        FrameCurve("eyes", "left eye, to its left", "deg", left[:, 1]),
        FrameCurve("eyelids", "left eyelid, closed", "", parameters.eyelids[:, 0]),
        FrameCurve("eyelids", "right eyelid, closed", "", parameters.eyelids[:, 1]),
        FrameCurve("expression", "expression, size", "", np.linalg.norm(parameters.expression, axis=1)),
        FrameCurve("camera", "distance, t_z", "m", cameras.t[:, 2]),
        FrameCurve("camera", "head, turned since the first frame", "deg", turn_deg(cameras.R[:1], cameras.R)),
    )


def curve_statistics(track: FrameCurve, frame_ids: np.ndarray[Any, np.dtype[np.int64]]) -> CurveStatistics:
    v = track.values
    next_to = np.diff(frame_ids) == 1
    steps = np.abs(np.diff(v))[next_to]
    between = np.abs(v[1:-1] - (v[:-2] + v[2:]) / 2)[next_to[:-1] & next_to[1:]]
    return CurveStatistics(
        least=float(v.min()),
        mean=float(v.mean()),
        most=float(v.max()),
        std=float(v.std()),
        step=float(np.median(steps)) if len(steps) else None,
        jitter=float(np.median(between)) if len(between) else None,
    )


def camera_statistics(cameras: Sequence) -> CameraStatistics:
    next_to, moves = _moves_m(cameras)
    turns = turn_deg(cameras.R[next_to], cameras.R[next_to + 1])
    largest = int(turns.argmax()) if len(turns) else None
    z = cameras.t[:, 2]
    return CameraStatistics(
        K=tuple(tuple(row) for row in cameras.K.tolist()),
        image_size_wh=cameras.image_size_wh,
        distance_m=float(np.linalg.norm(cameras.t, axis=1).mean()),
        t_z_m=(float(z.min()), float(z.mean()), float(z.max())),
        turn_step_deg=float(np.median(turns)) if len(turns) else None,
        move_step_mm=float(np.median(moves) * 1000) if len(moves) else None,
        largest_turn_deg=None if largest is None else float(turns[largest]),
        largest_turn_at=None if largest is None else int(cameras.frame_ids[next_to[largest] + 1]),
    )


def turn_deg(R_from: Floats, R_to: Floats) -> Floats:
    """Degrees between rotations (N, 3, 3) and (N, 3, 3); one of them may be a single one.

    Example:
        >>> quarter = np.array([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]])
        >>> turn_deg(np.eye(3)[None], quarter).round(6)
        array([90.])
    """
    # Half of the chord between them: unlike acos of the trace it keeps small angles.
    chord = np.linalg.norm(R_to - R_from, axis=(1, 2)) / np.sqrt(8)
    angle: Floats = np.degrees(2 * np.arcsin(np.clip(chord, 0, 1)))
    return angle


def states(parameters: FlameParameters) -> dict[str, State]:
    """What stands still over the whole run; a run of one frame is at rest or constant.

    The tracker copies what it does not fit, so that stands still to the last bit.
    """
    eyes = np.hstack([parameters.right_eye_deg, parameters.left_eye_deg])
    groups = {
        "jaw": parameters.jaw_deg,
        "eyes": eyes,
        "eyelids": parameters.eyelids,
        "expression": parameters.expression,
    }
    return {name: _state(values) for name, values in groups.items()}


def remarks(cameras: Sequence, parameters: FlameParameters) -> tuple[str, ...]:
    """What is unusual about one run, in words."""
    how = states(parameters)
    still = {name for name, state in how.items() if state != "moves"}
    notes = []
    if len(cameras.frame_ids) > 1:
        if still == set(how):
            notes.append(
                "nothing of the face moves: jaw, eyes, eyelids and expression are the same throughout"
            )
        elif {"eyes", "eyelids"} <= still:
            notes.append("mouth-only: eyes and eyelids stand still in every frame, only the mouth is tracked")
        elif still & {"eyes", "eyelids"}:
            (which,) = still & {"eyes", "eyelids"}
            notes.append(f"the {which} stand still in every frame: they were not fitted")
        if how["jaw"] == "at rest" and "expression" not in still:
            notes.append(
                "frozen jaw: it is at rest in every frame, as with optimize_jaw false, so expressions alone"
                " open the mouth"
            )
        elif how["jaw"] == "constant" and "expression" not in still:
            notes.append("frozen jaw: it has one and the same angle in every frame, and was not fitted")
        if "expression" in still and still != set(how):
            notes.append("the expression is the same in every frame: it was not fitted")
        changes = np.flatnonzero((parameters.shape != parameters.shape[0]).any(axis=1))
        if len(changes):
            at = int(cameras.frame_ids[changes[0]])
            notes.append(f"the identity's shape changes at frame {at:05d}: two runs may be mixed")
    return (*notes, *_implausible(cameras, parameters))


def _implausible(cameras: Sequence, parameters: FlameParameters) -> list[str]:
    notes = []
    opens = parameters.jaw_deg[:, 0]
    for wrong, what in (
        (opens > WIDE_JAW_DEG, "wider than mouths open"),
        (opens < SHUT_JAW_DEG, "past shut"),
    ):
        if wrong.any():
            at = int(np.argmax(np.abs(np.where(wrong, opens, 0))))
            notes.append(
                f"the jaw is turned {what} in {int(wrong.sum())} frames:"
                f" {opens[at]:.0f} degrees at frame {int(cameras.frame_ids[at]):05d}"
            )
    path = camera_statistics(cameras)
    if path.largest_turn_deg is not None and path.largest_turn_deg > JUMP_DEG:
        notes.append(
            f"the head jumps by {path.largest_turn_deg:.0f} degrees to frame {path.largest_turn_at:05d}"
        )
    next_to, moves = _moves_m(cameras)
    if len(moves) and moves.max() > JUMP_M:
        at = int(cameras.frame_ids[next_to[moves.argmax()] + 1])
        notes.append(f"the head jumps by {moves.max() * 100:.0f} cm to frame {at:05d}")
    return notes


def _moves_m(cameras: Sequence) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Floats]:
    """Where a frame's neighbour follows, and how far the head moves to it."""
    next_to = np.flatnonzero(np.diff(cameras.frame_ids) == 1)
    return next_to, np.linalg.norm(cameras.t[next_to + 1] - cameras.t[next_to], axis=1)


def _state(values: Floats) -> State:
    if (values != values[0]).any():
        return "moves"
    return "at rest" if np.abs(values[0]).max() < 1e-3 else "constant"
