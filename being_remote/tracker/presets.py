"""Named settings with their reasons.

A preset says what to change from the tracker's defaults, why, and what not to expect of it (for the
actor at hand, `what_if` says it in figures). `text` is what `retrack --show-preset NAME` prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from being_remote.errors import UsageError
from being_remote.tracker.config import KEYS, Settings, Value

LANDMARKS_NOTE = (
    '"all 478 landmarks" can mean that FaceMesh runs with refined irises, so that 478 points exist (the'
    " tracker does that in any case, and needs it), and that all 478 help to find the crop. It cannot mean"
    " that FLAME is fitted to 478 points: 115 of them have a place on it (105 on brows, eyes, nose and lips,"
    " 10 on the irises); cheeks, forehead and jaw line have none. The 68 landmarks supply the jaw"
)
RESOLUTION_NOTE = (
    "bbox_scale 3.5 at 768 puts about 7 % more pixels across the face than 2.5 at 512 (768/3.5 = 219 against"
    " 512/2.5 = 205): the gain is context around the head. image_size=[1024, 1024] puts about 43 % more"
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
    """Settings to change from the tracker's defaults.

    Attributes:
        purpose: what it is for, in one line.
        settings: key -> value, coerced already.
        reasons: key -> why; a key for each of `settings`.
        notes: what a person should know before choosing it.
    """

    name: str
    purpose: str
    settings: Settings
    reasons: Mapping[str, str]
    notes: tuple[str, ...]


def _preset(name: str, purpose: str, keys: Mapping[str, tuple[Value, str]], *notes: str) -> Preset:
    return Preset(
        name,
        purpose,
        MappingProxyType({key: value for key, (value, _) in keys.items()}),
        MappingProxyType({key: reason for key, (_, reason) in keys.items()}),
        notes,
    )


_FULL_FACE: Mapping[str, tuple[Value, str]] = {
    "optimize_shape": (True, "refines MICA's identity on the key frames, so that the whole face fits"),
    "optimize_jaw": (True, "the jaw opens as a joint; without it expressions alone must open the mouth"),
}

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            _preset(
                "flashavatar",
                "the tracker's defaults, as FlashAvatar's own data were made",
                {},
                "the identity stays MICA's and the jaw at rest: mouth motion goes into the expressions",
            ),
            _preset(
                "gaussiantalker-round2",
                "the whole face in a larger crop with more pixels and more iterations",
                {
                    "bbox_scale": (3.5, "hair, neck and shoulders come into the crop; 2.5 cuts them off"),
                    "image_size": (
                        [768, 768],
                        "pays for the larger crop: at 512 the face would lose 29 % of its pixels across",
                    ),
                    **_FULL_FACE,
                    "pyr_levels": (
                        [[0.75, 130], [1.25, 130], [1.5, 130]],
                        "a larger picture and a jaw to fit need more steps: 390 for a frame in place of 270",
                    ),
                },
                RESOLUTION_NOTE,
                CLIPPING_NOTE,
                LANDMARKS_NOTE,
                CAMERA_NOTE,
                JAW_NOTE,
                "expect about 3 times the default's time: 2.25 times the pixels, 1.44 times the iterations",
            ),
            _preset(
                "full-face",
                "the defaults with shape and jaw: the same crop and K, a better face",
                _FULL_FACE,
                LANDMARKS_NOTE,
                JAW_NOTE,
            ),
        )
    }
)


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in PRESETS:
        raise UsageError(f"no preset named {name!r}", hint=f"known presets: {', '.join(PRESETS)}")
    return PRESETS[name]


def text(name: str) -> str:
    """What a person reads of a preset: its settings beside the defaults, its reasons, its notes.

    Raises:
        UsageError: there is none.
    """
    shown = preset(name)
    lines = [f"{shown.name}: {shown.purpose}", ""]
    for key, value in shown.settings.items():
        lines += [
            f"  {key}: {_spelt(value)}   (default {_spelt(KEYS[key].default)})",
            f"      {shown.reasons[key]}",
        ]
    lines += [] if shown.settings else ["  nothing is changed from the defaults"]
    return "\n".join([*lines, "", *(f"- {note}" for note in shown.notes), ""])


def _spelt(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
