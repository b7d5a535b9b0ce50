"""What it means that two runs differ: for their cameras, their frames and their faces, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from being_remote.tracker.frame_cost import describe_cost
from being_remote.wording import list_some

if TYPE_CHECKING:
    from being_remote.tracker.frame_cost import FrameCost
    from being_remote.tracker.run_statistics import CameraStatistics, CurveStatistics
    from being_remote.tracker.settings import SettingChange

CROP = ("bbox_scale", "image_size", "crop_image")
FITTED_MESH = ("optimize_shape", "optimize_jaw")
WEIGHT = "w_"
MUCH = 1.5
FACES = ("jaw", "eyes", "eyelids", "expression")


def describe_settings(
    changes: Sequence[SettingChange], costs: tuple[FrameCost | None, FrameCost | None] = (None, None)
) -> tuple[str, ...]:
    """What changed settings do to cameras and results; B against A. `costs`: of a frame, where known."""
    by_key = {c.key: c for c in changes}
    differences = []
    if any(key in by_key for key in CROP):
        differences.append(
            "cameras: crop or network image differ, so the stored K and all landmarks are in other pixels:"
            " compare cameras in the original video (recover both), never frame against frame"
        )
    if "begin_frames" in by_key:
        a, b = (_whole(by_key["begin_frames"].before), _whole(by_key["begin_frames"].after))
        differences.append(f"frames: begin_frames differ, so frame i of A is frame i{a - b:+d} of B")
    if "fps" in by_key:
        differences.append("frames: fps differ, so equal frame_ids are other moments of the video")
    if "end_frames" in by_key:
        differences.append("frames: end_frames differ, so one of the two ends earlier")
    if any(key in by_key for key in FITTED_MESH):
        differences.append(
            "results: shape or jaw are fitted in one of them only: other meshes, so other poses: never mix"
            " their frames"
        )
    if any(key == "keyframes" or key.startswith(WEIGHT) for key in by_key):
        differences.append("cameras: identity and K were fitted on other frames or by other weights")
    cost_a, cost_b = costs
    if cost_a is not None and cost_b is not None and cost_a != cost_b:
        differences.append(f"B's {describe_cost(cost_b, cost_a, 'A')}")
    return tuple(differences)


def describe_behaviour(
    states: Sequence[Mapping[str, str]],
    rows: Sequence[tuple[str, str, CurveStatistics, CurveStatistics]],
    cameras: Sequence[CameraStatistics],
) -> tuple[str, ...]:
    """How faces and cameras of A and B differ; `rows`: group, name and the figures of both."""
    differences = []
    for group in FACES:
        a, b = (side[group] == "moves" for side in states)
        if a != b:
            differences.append(
                f"{group}: moves in {'A' if a else 'B'} only; in {'B' if a else 'A'} it stands still"
            )
    for group, name, fa, fb in rows:
        if fa.jitter and fb.jitter and states[0].get(group) == states[1].get(group):
            ratio = fa.jitter / fb.jitter
            if ratio > MUCH or ratio < 1 / MUCH:
                smoother, factor = ("B", ratio) if ratio > 1 else ("A", 1 / ratio)
                differences.append(f"{name}: {smoother} is smoother, {factor:.1f} times less jitter")
    first, second = cameras
    if first.image_size_wh == second.image_size_wh and first.K != second.K:
        percent = (second.K[0][0] / first.K[0][0] - 1) * 100
        differences.append(f"cameras: B's focal length in the network image differs by {percent:+.1f} %")
    elif first.K == second.K:
        differences.append("cameras: both have the same K")
    return tuple(differences)


def describe_frames(ids_a: Sequence[int], ids_b: Sequence[int], shift: int) -> tuple[str, ...]:
    """Which frames only one of two runs has; `shift` is what to add to A's id for B's."""
    in_b = set(ids_b)
    moved = {i + shift for i in ids_a}
    differences = []
    for name, ids in (("A", sorted(moved - in_b)), ("B", sorted(in_b - moved))):
        if ids:
            shown = ids if name == "B" else [i - shift for i in ids]
            listed = list_some([f"{i:05d}" for i in shown], 8)
            differences.append(f"frames: {len(shown)} are in {name} only: {listed}")
    return tuple(differences)


def _whole(value: Any) -> int:
    assert isinstance(value, int)  # coerced
    return value
