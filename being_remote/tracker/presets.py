"""Named settings with their reasons.

A preset says what to change from the tracker's defaults, why, and what not to expect of it. What it
does to the pyramid is a change of the checkout's own levels, which differ between commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from being_remote.errors import UsageError
from being_remote.tracker.frame_cost import describe_cost, frame_cost
from being_remote.tracker.settings import KEYS, Keys, Settings, Value, coerce, complete

LANDMARKS_NOTE = (
    '"all 478 landmarks" can mean that FaceMesh runs with refined irises, so that 478 points exist (the'
    " tracker does that in any case, and needs it), and that all 478 help to find the crop. It cannot mean"
    " that FLAME is fitted to 478 points: 115 of them have a place on it (105 on brows, eyes, nose and lips,"
    " 10 on the irises); cheeks, forehead and jaw line have none. The 68 landmarks supply the jaw"
)
CLIPPING_NOTE = (
    "a crop higher or wider than the frame is clipped and filled up with black: harmless for K, since the"
    " padding is part of the map back, but the face is then off the crop's centre"
)
CAMERA_NOTE = (
    "another crop or network image is another K in the .frame files; for the original video K is found by the"
    " same transform, and differs only by how well the fit went"
)
JAW_NOTE = (
    "shape and jaw change the mesh, and so the fitted poses: do not mix these frames with an earlier run's"
)


@dataclass(frozen=True)
class Preset:
    """Settings to change from the tracker's defaults."""

    name: str
    purpose: str  # what it is for, in one line
    changes: Mapping[str, tuple[Value, str]]  # key -> value, the same for every checkout, and why
    # what a person should know before choosing it, whatever the checkout; `advice` has more
    notes: tuple[str, ...] = ()
    steps: float = 1.0  # factor of the iterations of every level of the checkout's pyramid
    steps_reason: str = ""

    @property
    def fixed(self) -> Settings:
        return {key: value for key, (value, _) in self.changes.items()}

    @property
    def reasons(self) -> dict[str, str]:
        reasons = {key: reason for key, (_, reason) in self.changes.items()}
        return {**reasons, "pyr_levels": self.steps_reason} if self.steps_reason else reasons

    def settings_for(self, keys: Keys) -> dict[str, Value | None]:
        """What it sets where the checkout has these keys and defaults.

        Raises:
            UsageError: the checkout does not know one of them, or takes another type for it.
        """
        unknown = [key for key in self.fixed if key not in keys]
        if unknown:
            raise UsageError(
                f"preset {self.name!r} sets {', '.join(unknown)}, which this checkout of the tracker lacks",
                hint="update the checkout, or choose single settings with --set KEY=VALUE",
            )
        levels = self._levels(keys)
        fixed = {key: coerce(key, value, keys) for key, value in self.fixed.items()}
        return {**fixed, **({"pyr_levels": levels} if levels is not None else {})}

    def advice(self, keys: Keys) -> tuple[str, ...]:
        """What a person should know before choosing it, for a checkout of these keys."""
        full = complete(self.settings_for(keys), keys)
        notes = []
        if {"bbox_scale", "image_size"} <= self.fixed.keys():
            notes.append(_resolution(complete({}, keys), full))
        fitted = [word for word in ("shape", "jaw") if full.get(f"optimize_{word}")]
        if not fitted:
            notes.append(
                "the identity stays MICA's and the jaw at rest: mouth motion goes into the expressions"
            )
        elif not self.fixed:
            notes.append(f"this checkout fits {' and '.join(fitted)} by default, unlike the original tracker")
        return (*notes, *self.notes)

    def cost(self, keys: Keys = KEYS) -> tuple[str, ...]:
        if "pyr_levels" in self.reasons and self._levels(keys) is None:
            return ("the checkout has no pyr_levels as we know them: its iterations stay as they are",)
        usual, work = frame_cost({}, keys), frame_cost(self.settings_for(keys), keys)
        if usual is None or work is None or work == usual:
            return ()
        return (describe_cost(work, usual, "the defaults"),)

    def _levels(self, keys: Keys) -> list[Any] | None:
        """The checkout's pyramid with other iterations: its coarse levels stay."""
        key = keys.get("pyr_levels")
        if self.steps == 1 or key is None or key.shape != "levels" or not isinstance(key.default, list):
            return None
        return [[scale, round(count * self.steps)] for scale, count in key.default]


def _resolution(usual: Settings, full: Settings) -> str:
    """How many pixels lie across the face, with a crop `bbox_scale` times as large."""
    (scale, size), (usual_scale, usual_size) = ((s["bbox_scale"], s["image_size"]) for s in (full, usual))
    assert isinstance(scale, int | float) and isinstance(size, list)  # coerced
    assert isinstance(usual_scale, int | float) and isinstance(usual_size, list)
    across, usually = size[0] / scale, usual_size[0] / usual_scale

    def gain(pixels: float) -> str:
        percent = 100 * (pixels / usually - 1)
        return f"about {abs(percent):.0f} % {'more' if percent >= 0 else 'fewer'}"

    return (
        f"bbox_scale {scale:g} at {size[0]} puts {gain(across)} pixels across the face than"
        f" {usual_scale:g} at {usual_size[0]} ({size[0]}/{scale:g} = {across:.0f} against"
        f" {usual_size[0]}/{usual_scale:g} = {usually:.0f}): the gain is context around the head."
        f" image_size=[1024, 1024] puts {gain(1024 / scale)}"
    )


_FULL_FACE: Mapping[str, tuple[Value, str]] = {
    "optimize_shape": (True, "refines MICA's identity on the key frames, so that the whole face fits"),
    "optimize_jaw": (True, "the jaw opens as a joint; without it expressions alone must open the mouth"),
}

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset("flashavatar", "the tracker's defaults, as FlashAvatar's own data were made", {}),
            Preset(
                "gaussiantalker-round2",
                "the whole face in a larger crop with more pixels and more iterations",
                {
                    "bbox_scale": (3.5, "a crop that hair, neck and shoulders fit into"),
                    "image_size": (
                        [768, 768],
                        "pays for the larger crop, in which the face would otherwise lose pixels",
                    ),
                    **_FULL_FACE,
                },
                (CLIPPING_NOTE, LANDMARKS_NOTE, CAMERA_NOTE, JAW_NOTE),
                steps=1.5,
                steps_reason="a larger picture and a jaw to fit need half as many steps again on each level",
            ),
            Preset(
                "full-face",
                "the defaults with shape and jaw: the same crop and K, a better face",
                _FULL_FACE,
                (LANDMARKS_NOTE, JAW_NOTE),
            ),
        )
    }
)


def find_preset(name: str) -> Preset:
    """The preset of that name; UsageError where there is none."""
    if name not in PRESETS:
        raise UsageError(f"no preset named {name!r}", hint=f"known presets: {', '.join(PRESETS)}")
    return PRESETS[name]


def text(name: str, keys: Keys = KEYS, source: Sequence[str] = ()) -> str:
    """A preset for people: its settings beside the defaults of `keys`, its reasons, cost and notes.

    `source` says whose defaults these are, one line each.

    Raises:
        UsageError: an unknown preset, or it sets what the checkout does not know.
    """
    shown = find_preset(name)
    settings = shown.settings_for(keys)
    lines = [f"{shown.name}: {shown.purpose}", ""]
    for key, value in settings.items():
        lines += [
            f"  {key}: {_spelt(value)}   (default {_spelt(keys[key].default)})",
            f"      {shown.reasons[key]}",
        ]
    lines += [] if settings else ["  nothing is changed from the defaults"]
    notes = (*source, *shown.cost(keys), *shown.advice(keys))
    return "\n".join([*lines, "", *(f"- {note}" for note in notes), ""])


def _spelt(value: Value | None) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
