"""What settings make a tracked frame cost; nothing of a crop, so that a plan needs no numpy."""

from __future__ import annotations

from dataclasses import dataclass

from being_remote.tracker.settings import KEYS, Keys, Settings, complete


@dataclass(frozen=True)
class FrameCost:
    """The iterations of one tracked frame.

    Source:
        metrical-tracker c2a51724, tracker.py; iterations are rounded up to odd.
    """

    landmark_iterations: int  # of level 0, which compares no pictures while tracking
    # sum of scale^2 * iterations over the other levels: full-size pictures compared
    dense_pictures: float
    pixels: int  # of the network image

    @property
    def dense_pixels(self) -> float:
        return self.dense_pictures * self.pixels


def frame_cost(settings: Settings, keys: Keys = KEYS) -> FrameCost | None:
    """The cost of a frame; None where this checkout has no `pyr_levels` as we know them.

    Example:
        >>> frame_cost({})
        FrameCost(landmark_iterations=161, dense_pictures=83.8125, pixels=262144)
    """
    full = complete(settings, keys)
    levels, size = full.get("pyr_levels"), full["image_size"]
    has_levels = "pyr_levels" in keys and keys["pyr_levels"].shape == "levels"
    if not has_levels or not isinstance(levels, list) or not isinstance(size, list):
        return None
    (_, first), *dense = levels
    return FrameCost(first | 1, sum(scale**2 * (n | 1) for scale, n in dense), size[0] * size[1])


def describe_cost(work: FrameCost, other: FrameCost, name: str) -> str:
    """The cost of a frame against another one's, in words; `name` is the other's."""
    dense = (
        f"{work.dense_pixels / other.dense_pixels:.1f} times the dense work of {name}"
        if other.dense_pixels
        else f"dense work, where {name} has none"
    )
    if not work.dense_pixels:
        dense = "no dense work: one level compares landmarks only"
    return (
        f"cost of a tracked frame: {dense} (scale^2 x iterations over levels 1..: {work.dense_pictures:.1f} x"
        f" {work.pixels} pixels; {name}: {other.dense_pictures:.1f} x {other.pixels}),"
        f" {work.landmark_iterations} landmark iterations ({name}: {other.landmark_iterations})"
    )
