"""Named settings with their reasons, and what they would do for the actor at hand.

A preset says what to change from the tracker's defaults, why, and what not to expect of it.
`text` is what `retrack --show-preset NAME` prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from being_remote.errors import UsageError
from being_remote.tracker.config import KEYS, Settings, Value, complete

Box = tuple[int, int, int, int]
Size = tuple[int, int]

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


@dataclass(frozen=True)
class Gain:
    """What other settings do to the face of one actor, foretold from the last run's box.

    Attributes:
        box: the box that the tracker will make, within a pixel or two: x_min, x_max, y_min, y_max.
        side: of the crop with its padding, source pixels; `side_before` likewise.
        face: how many times as many network pixels across the face.
        source_per_pixel: source pixels for one network pixel; below 1 the crop is enlarged.
        padding: share of the network image that is black.
        clipped: the borders of the frame that cut the box.
    """

    box: Box
    side: int
    side_before: int
    face: float
    source_per_pixel: float
    padding: float
    clipped: tuple[str, ...]


def gain(box: Box, source_size_wh: Size, before: Settings, after: Settings) -> Gain:
    """Foretell the crop that `after` would make, from the box that `before` made of the same video.

    The tracker centres its box on the face and cuts it at the frame's borders; where both ends of an
    axis were cut, the centre of what is left is taken.

    Raises:
        ValueError: the box does not fit the frame.

    Example:
        A crop of 900 px with 512, and the same face with bbox_scale 3.5 at 768:

        >>> g = gain((510, 1410, 90, 990), (1920, 1080), {}, {"bbox_scale": 3.5, "image_size": [768, 768]})
        >>> g.side_before, g.side, round(g.face, 3), g.clipped
        (900, 1260, 1.071, ('top', 'bottom'))
    """
    from being_remote.camera.crop import crop_from_box

    old_scale, old_n = _crop_settings(before)
    new_scale, new_n = _crop_settings(after)
    old = crop_from_box(box, source_size_wh, (old_n, old_n))
    width, height = source_size_wh
    x, y = (box[0], box[1], width), (box[2], box[3], height)
    full = max(end - start for start, end, _ in (x, y))
    half = int(full / 2 * new_scale / old_scale)
    made: list[int] = []
    clipped = []
    for (start, end, extent), names in ((x, ("left", "right")), (y, ("top", "bottom"))):
        centre = _centre(start, end, extent, full)
        low, high = max(centre - half, 0), min(centre + half, extent - 1)
        made += [low + (high - low) % 2, high]
        clipped += [
            name for name, cut in zip(names, (centre < half, centre + half >= extent), strict=True) if cut
        ]
    new_box = (made[0], made[1], made[2], made[3])
    new = crop_from_box(new_box, source_size_wh, (new_n, new_n))
    used = (new.x_max - new.x_min) * (new.y_max - new.y_min)
    return Gain(
        box=new_box,
        side=new.side,
        side_before=old.side,
        face=(new_n / new.side) / (old_n / old.side),
        source_per_pixel=new.side / new_n,
        padding=1 - used / (new.padded_size_wh[0] * new.padded_size_wh[1]),
        clipped=tuple(clipped),
    )


def gain_notes(box: Box, source_size_wh: Size, before: Settings, after: Settings) -> tuple[str, ...]:
    """The same in words; nothing where nothing about the crop changes."""
    if _crop_settings(before) == _crop_settings(after):
        return ()
    found = gain(box, source_size_wh, before, after)
    width, height = source_size_wh
    (old_scale, old_n), (scale, n) = _crop_settings(before), _crop_settings(after)
    percent = (found.face - 1) * 100
    change = f"{abs(percent):.0f} % {'more' if percent >= 0 else 'fewer'}"
    notes = [
        f"for this actor: a crop of {found.side_before} source pixels (bbox_scale {old_scale:g}, {old_n})"
        f" becomes {found.side} ({scale:g}, {n}): about {change} pixels across the face"
    ]
    if found.clipped:
        notes.append(
            f"the frame ({width}x{height}) cuts that crop at the {' and '.join(found.clipped)}:"
            f" {found.padding:.0%} of the network image will be black"
        )
    if found.source_per_pixel < 1:
        notes.append(
            f"one source pixel becomes {1 / found.source_per_pixel:.2f} network pixels: beyond image_size"
            f" {found.side} there is no more detail to gain, only time to lose"
        )
    return tuple(notes)


def _crop_settings(settings: Settings) -> tuple[float, int]:
    full = complete(settings)
    scale, size = full["bbox_scale"], full["image_size"]
    assert isinstance(scale, float) and isinstance(size, list)  # coerced
    return scale, int(size[0])


def _centre(start: int, end: int, extent: int, full: int) -> int:
    """Where the face's centre was before a border cut the box to `start`..`end`."""
    if end - start < full - 1 and start <= 1 < extent - 2 - end:
        return end - full // 2
    if end - start < full - 1 and end >= extent - 2 and start > 1:
        return start + full // 2
    return (start + end) // 2


def _spelt(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
