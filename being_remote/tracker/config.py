"""The tracker's settings: its keys with their types and defaults, its YAML, and two of them compared.

The tracker merges its YAML with yacs, which knows no key that is not listed here and takes no value
of another type than the default's: it stops at `image_size: 768`, `bbox_scale: 3` and
`optimize_jaw: 1`. People write exactly that, so values are brought to the tracker's own types here,
and what cannot be meant is refused before a GPU is waited for.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import yaml

from being_remote import bounded_yaml
from being_remote.errors import InconsistentData, UsageError

Value = bool | int | float | str | list[Any]
Settings = Mapping[str, Value]

MAX_BYTES = 64 << 10
MAX_SWEEP = 64
MAX_NODES = 200  # pyr_levels is the largest value there is: a handful of pairs
MAX_NUMBER = 1 << 31
MAX_SIDE = 1 << 14

# Set by the recipe for each job: where its input and output lie, and so what the run is called.
PATHS = ("actor", "config_name", "save_folder")
# What describes the video and not how it is fitted: kept from the actor's last run.
FOOTAGE = ("begin_frames", "end_frames", "fps", "keyframes")


@dataclass(frozen=True)
class Key:
    """One key of the tracker.

    Attributes:
        default: the tracker's own; yacs takes values of its type only.
        meaning: what it says, and so what a change of it changes.
        least: the smallest number that makes sense; None where any does.
        above: whether it must be larger than that.
        form: how a list is written.
    """

    default: Value
    meaning: str
    least: float | None = None
    above: bool = False
    form: str = ""


def _weight(default: float, of: str) -> Key:
    return Key(default, f"weight of {of}", 0)


# Source: metrical-tracker c2a51724, configs/config.py.
KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "flame_geom_path": Key("data/FLAME2020/generic_model.pkl", "the FLAME model, below the checkout"),
        "flame_template_path": Key("data/uv_template.obj", "the template mesh, below the checkout"),
        "flame_lmk_path": Key("data/landmark_embedding.npy", "where the 68 landmarks lie on FLAME"),
        "tex_space_path": Key("data/FLAME2020/FLAME_texture.npz", "the texture space, below the checkout"),
        "num_shape_params": Key(300, "how many numbers the shape has", 1),
        "num_exp_params": Key(100, "how many numbers an expression has", 1),
        "tex_params": Key(140, "how many numbers the texture has", 1),
        "actor": Key("", "the input folder"),
        "config_name": Key("", "the name of the output folder"),
        "kernel_size": Key(7, "size of the pyramid's blur", 1),
        "sigma": Key(9.0, "width of the pyramid's blur; -1: none", -1),
        "keyframes": Key([0], "frames on which shape, texture and K are fitted", 0, form="[0, 1]"),
        "bbox_scale": Key(2.5, "size of the crop around the face: another crop, so another K", 0, above=True),
        "fps": Key(25, "rate at which the video is cut into source images", 1),
        "begin_frames": Key(0, "source images left out at the start: frame_id counts from there", 0),
        "end_frames": Key(0, "source images left out at the end", 0),
        "image_size": Key(
            [512, 512], "height, width of the network image: K scales with it", 1, form="[768, 768]"
        ),
        "rotation_lr": Key(0.2, "step of the head's rotation", 0),
        "translation_lr": Key(0.003, "step of the head's translation", 0),
        "raster_update": Key(8, "iterations between two drawings of the mesh", 1),
        "pyr_levels": Key(
            [[0.75, 90], [1.25, 90], [1.5, 90]],
            "levels as [scale of the image, iterations], each rounded up to odd: the time that a frame takes",
            form="[[0.75, 90], [1.25, 90]]",
        ),
        "optimize_shape": Key(False, "whether the key frames also refine the identity's shape"),
        "optimize_jaw": Key(False, "whether the jaw moves; else expressions alone open the mouth"),
        "crop_image": Key(True, "whether frames are cropped to the face, or only resized: another K"),
        "save_folder": Key("./output/", "where the output folder is made"),
        "w_pho": _weight(350, "the picture's colours"),
        "w_lmks": _weight(5000, "the landmarks"),
        "w_lmks_lid": _weight(1000, "the eyelids' landmarks"),
        "w_lmks_mouth": _weight(10000, "the mouth's landmarks"),
        "w_lmks_iris": _weight(1000, "the irises' landmarks"),
        "w_lmks_oval": _weight(10000, "the face oval's landmarks"),
        "w_exp": _weight(0.02, "keeping expressions small"),
        "w_shape": _weight(0.3, "keeping the shape near the identity"),
        "w_tex": _weight(0.04, "keeping the texture near the mean"),
        "w_jaw": _weight(0.05, "keeping the jaw near its rest"),
    }
)


@dataclass(frozen=True)
class Change:
    """One key on which two settings differ, and what the key means."""

    key: str
    before: Value
    after: Value
    meaning: str


def coerce(key: str, value: Any) -> Value:
    """A value as the tracker takes it: of the type of the key's default.

    Raises:
        UsageError: no such key (the nearest known ones are named), or the value cannot be meant.

    Example:
        >>> coerce("image_size", 768), coerce("bbox_scale", 3), coerce("optimize_jaw", 1)
        ([768, 768], 3.0, True)
    """
    known = _key(key)
    if key == "image_size":
        return _image_size(value)
    if key == "keyframes":
        listed = value if type(value) in (list, tuple) else [value]
        if not listed or len(listed) > MAX_NODES:
            raise _refused(key, value)  # without any the tracker fits nothing, and exits with 0
        return [_whole(key, v, v, 0) for v in listed]
    if key == "pyr_levels":
        return _levels(value)
    if type(known.default) is bool:
        if type(value) is not bool and value not in (0, 1):
            raise _refused(key, value)
        return bool(value)
    if type(known.default) is int:
        return _whole(key, value, value, known.least)
    if type(known.default) is float:
        return _real(key, value, value, known.least, above=known.above)
    if type(value) is not str or not value.isprintable():
        raise _refused(key, value)
    return value


def parse_override(text: str) -> tuple[str, Value]:
    """KEY=VALUE as typed, the value in YAML.

    Raises:
        UsageError: not of that form, not YAML, or refused by `coerce`; or the job sets the key.

    Example:
        >>> parse_override("image_size=[768, 768]")
        ('image_size', [768, 768])
    """
    key, equals, written = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise UsageError(f"{text!r} is not KEY=VALUE", hint="--set bbox_scale=3.5")
    if key in PATHS:
        raise UsageError(f"{key} is set by the job itself, to a folder of its own", hint="leave it out")
    try:
        value = bounded_yaml.load(written)
    except ValueError as e:
        raise UsageError(f"{key}: {written!r} is no YAML value", hint=_example(_key(key), key)) from e
    return key, coerce(key, value)


def parse_sweep(text: str) -> tuple[str, ...]:
    """KEY=[VALUE, ...] as typed: an override for each of the values.

    Raises:
        UsageError: no list of two values or more, or one of them is refused by `parse_override`.

    Example:
        >>> parse_sweep("image_size=[512, [768, 768]]")
        ('image_size=512', 'image_size=[768, 768]')
    """
    key, _, written = text.partition("=")
    hint = "--sweep bbox_scale=[2.5, 3.0, 3.5]"
    try:
        values = bounded_yaml.load(written)
    except ValueError as e:
        raise UsageError(f"{key}: {written!r} is no YAML value", hint=hint) from e
    if not isinstance(values, list) or not 2 <= len(values) <= MAX_SWEEP:
        raise UsageError(f"{text!r} is not KEY=[VALUE, ...] with 2 to {MAX_SWEEP} values", hint=hint)
    dumped = (yaml.safe_dump([v], default_flow_style=True, width=1 << 20).strip()[1:-1] for v in values)
    made = tuple(f"{key.strip()}={value}" for value in dumped)
    for override in made:
        parse_override(override)
    return made


def parse_settings(data: bytes, name: str) -> tuple[dict[str, Value], tuple[str, ...]]:
    """A settings file, which a stranger may have written: the known keys, and what was passed over.

    Returns:
        The settings that the file gives (what it leaves out has the tracker's default), and one
        line for each key that is unknown or whose value the tracker would refuse.

    Raises:
        InconsistentData: too large, not YAML, or no mapping.
    """
    if len(data) > MAX_BYTES:
        raise InconsistentData(f"has {len(data)} bytes: more than settings need", file=name)
    try:
        document = bounded_yaml.compose(data)
        if document is not None and not isinstance(document, yaml.MappingNode):
            raise ValueError("it is not a mapping of settings")
    except ValueError as e:
        raise InconsistentData(f"cannot be read as settings: {e}", file=name) from e
    found: dict[str, Value] = {}
    passed_over = []
    for node, value in document.value if document is not None else ():
        key = node.value if isinstance(node, yaml.ScalarNode) else "?"
        try:
            found[key] = coerce(key, bounded_yaml.value_of(value, max_nodes=MAX_NODES))
        except (UsageError, ValueError) as e:
            passed_over.append(e.what if isinstance(e, UsageError) else f"{key[:60]!r} is no plain value")
    return found, tuple(passed_over)


def check(settings: Settings) -> None:
    """What single values cannot tell.

    Raises:
        UsageError: the tracker would crop to an image that is not square, and then crash.
    """
    full = complete(settings)
    image_size = full["image_size"]
    assert isinstance(image_size, list)  # coerced
    if full["crop_image"] and image_size[0] != image_size[1]:
        raise UsageError(
            f"image_size {image_size} is not square: the tracker crops to squares only",
            hint=f"image_size=[{max(image_size)}, {max(image_size)}], or crop_image=false",
        )


def complete(settings: Settings) -> dict[str, Value]:
    """The settings with the tracker's default for every key that they leave out."""
    return {**{name: key.default for name, key in KEYS.items()}, **settings}


def compare(before: Settings, after: Settings) -> tuple[Change, ...]:
    """How two runs' settings differ, in the tracker's order; where their files lie does not matter.

    Example:
        >>> [(c.key, c.before, c.after) for c in compare({}, {"bbox_scale": 3.5, "fps": 25})]
        [('bbox_scale', 2.5, 3.5)]
    """
    old, new = complete(before), complete(after)
    return tuple(
        Change(name, old[name], new[name], key.meaning)
        for name, key in KEYS.items()
        if name not in PATHS and old[name] != new[name]
    )


def to_yaml(settings: Settings) -> bytes:
    """The tracker's YAML, keys in its order, so that equal settings are equal bytes.

    Example:
        >>> print(to_yaml({"image_size": [768, 768], "bbox_scale": 3.0}).decode(), end="")
        bbox_scale: 3.0
        image_size: [768, 768]
    """
    # One line each, lists in brackets: as in the shipped files.
    lines = [
        f"{name}: {yaml.safe_dump([settings[name]], default_flow_style=True, width=1 << 20).strip()[1:-1]}\n"
        for name in KEYS
        if name in settings
    ]
    return "".join(lines).encode()


def _key(name: str) -> Key:
    if name not in KEYS:
        near = difflib.get_close_matches(name, KEYS, n=3, cutoff=0.5)
        if "iter" in name or "epoch" in name or "steps" in name:
            near = ["pyr_levels (as [scale, iterations] of each level)"]
        raise UsageError(
            f"{name[:60]!r} is no setting of the tracker",
            hint=f"did you mean {' or '.join(near)}?" if near else f"it knows {', '.join(KEYS)}",
        )
    return KEYS[name]


def _image_size(value: Any) -> list[Any]:
    sides = [value, value] if type(value) in (int, float) else value
    if type(sides) not in (list, tuple) or len(sides) != 2:
        raise _refused("image_size", value)
    return [_whole("image_size", side, value, 1, most=MAX_SIDE) for side in sides]


def _levels(value: Any) -> list[Any]:
    name = "pyr_levels"
    if type(value) not in (list, tuple) or not 0 < len(value) <= 20:
        raise _refused(name, value)
    if any(type(level) not in (list, tuple) or len(level) != 2 for level in value):
        raise _refused(name, value)
    return [
        [_real(name, scale, value, 0, above=True), _whole(name, count, value, 1)] for scale, count in value
    ]


def _whole(key: str, value: Any, given: Any, least: float | None, most: float = MAX_NUMBER) -> int:
    number = _real(key, value, given, least)
    if number != int(number) or number > most:
        raise _refused(key, given)
    return int(number)


def _real(key: str, value: Any, given: Any, least: float | None, *, above: bool = False) -> float:
    if type(value) is str:
        # YAML takes 1e-3 for a word, because it has no point.
        try:
            value = float(value)
        except ValueError:
            raise _refused(key, given) from None
    if type(value) not in (int, float) or not abs(value) <= MAX_NUMBER:
        raise _refused(key, given)
    if least is not None and (value < least or (above and value == least)):
        raise _refused(key, given)
    return float(value)


def _refused(key: str, value: Any) -> UsageError:
    return UsageError(f"{key}: {repr(value)[:80]} is not {_form(key)}", hint=_example(KEYS[key], key))


def _form(key: str) -> str:
    known = KEYS[key]
    if key == "image_size":
        return f"[height, width] in whole pixels up to {MAX_SIDE}"
    if key == "keyframes":
        return "a list of frame numbers, from 0"
    if key == "pyr_levels":
        return "a list of [scale, iterations]"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    bound = "" if known.least is None else f" {'above' if known.above else 'of at least'} {known.least:g}"
    return words[type(known.default)] + bound


def _example(known: Key, key: str) -> str:
    shown = known.form or str(known.default).lower()
    return f"for example {key}={shown}: {known.meaning}"
