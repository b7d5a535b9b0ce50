"""The tracker's settings: its keys with their types and defaults, its YAML, and two of them compared.

The tracker merges its YAML with yacs, which takes only the keys of its `configs/config.py`, and no value
of another type than the default's: it stops at `image_size: 768`, `bbox_scale: 3` and `optimize_jaw: 1`.
People write exactly that, so values are converted here, and invalid ones are refused before a job waits
for a GPU. Commits and forks differ in keys and defaults: `checkout_defaults` reads those of one
checkout; `KEYS` is the table for where that cannot be read.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import yaml

from being_remote import bounded_yaml
from being_remote.errors import InconsistentData, UsageError

Value = bool | int | float | str | list[Any]
Settings = Mapping[str, Value | None]

MAX_BYTES = 64 << 10
MAX_SWEEP = 64
MAX_NODES = 200  # pyr_levels is the largest value there is: a handful of pairs
MAX_NUMBER = 1 << 31
MAX_SIDE = 1 << 14
MAX_TEXT = 4096

# Set by the recipe for each job: where its input and output lie, and so what the run is called.
PATHS = ("actor", "config_name", "save_folder")
# What describes the video and not how it is fitted: kept from the actor's last run.
FOOTAGE = ("begin_frames", "end_frames", "fps", "keyframes")
# What our own code reads of the settings. A checkout without one of these behaves as the table says.
NEEDED = (*FOOTAGE, "crop_image", "image_size", "bbox_scale", "optimize_jaw")


@dataclass(frozen=True)
class Key:
    """One key of the tracker."""

    # the tracker's own; yacs takes values of its type only, and any where it is None
    default: Value | None
    meaning: str  # what it says, and so what a change of it changes
    least: float | None = None  # the smallest number that makes sense; None where any does
    above: bool = False  # whether it must be larger than that
    # of a list whose form is known: an image's size, frame numbers, a pyramid's levels
    shape: Literal["", "size", "frames", "levels"] = ""


Keys = Mapping[str, Key]


def _weight(default: float, of: str) -> Key:
    return Key(default, f"weight of {of}", 0)


UNKNOWN_KEY = "a key of another commit or a fork; its default is not known here"
TABLE_OF = "metrical-tracker c2a51724"
# Source: metrical-tracker c2a51724, configs/config.py.
KEYS: Keys = MappingProxyType(
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
        "keyframes": Key([0], "frames on which shape, texture and K are fitted", 0, shape="frames"),
        "bbox_scale": Key(2.5, "size of the crop around the face: another crop, so another K", 0, above=True),
        "fps": Key(25, "rate at which the video is cut into source images", 1),
        "begin_frames": Key(0, "source images left out at the start: frame_id counts from there", 0),
        "end_frames": Key(0, "source images left out at the end", 0),
        "image_size": Key(
            [512, 512], "height, width of the network image; K scales with it", 1, shape="size"
        ),
        "rotation_lr": Key(0.2, "step of the head's rotation", 0),
        "translation_lr": Key(0.003, "step of the head's translation", 0),
        "raster_update": Key(8, "iterations between two drawings of the mesh", 1),
        "pyr_levels": Key(
            [[1.0, 160], [0.25, 40], [0.5, 40], [1.0, 70]],
            "levels as [scale of the image, iterations]: a frame's time; level 0 tracks by landmarks only",
            shape="levels",
        ),
        "optimize_shape": Key(False, "whether the key frames also refine the identity's shape"),
        "optimize_jaw": Key(False, "whether the jaw moves; else expressions alone open the mouth"),
        "crop_image": Key(True, "whether frames are cropped to the face, or only resized: another K"),
        "save_folder": Key("./output/", "where the output folder is made"),
        "w_pho": _weight(350, "the picture's colours"),
        "w_lmks": _weight(7000, "the landmarks"),
        "w_lmks_68": _weight(1000, "the 68 landmarks"),
        "w_lmks_lid": _weight(1000, "the eyelids' landmarks"),
        "w_lmks_mouth": _weight(15000, "the mouth's landmarks"),
        "w_lmks_iris": _weight(1000, "the irises' landmarks"),
        "w_lmks_oval": _weight(2000, "the face oval's landmarks"),
        "w_exp": _weight(0.02, "keeping expressions small"),
        "w_shape": _weight(0.3, "keeping the shape near the identity"),
        "w_tex": _weight(0.04, "keeping the texture near the mean"),
        "w_jaw": _weight(0.05, "keeping the jaw near its rest"),
    }
)


@dataclass(frozen=True)
class SettingChange:
    """One key on which two settings differ, and what the key means. None: it is not known there."""

    key: str
    before: Value | None
    after: Value | None
    meaning: str


def coerce(key: str, value: Any, keys: Keys = KEYS) -> Value | None:
    """A value as the tracker takes it: of the type of the key's default.

    Raises:
        UsageError: no such key (the nearest ones are named), or an invalid value.

    Example:
        >>> coerce("image_size", 768), coerce("bbox_scale", 3), coerce("optimize_jaw", 1)
        ([768, 768], 3.0, True)
    """
    rule = _key(key, keys)
    refused = UsageError(f"{key}: {repr(value)[:80]} is not {_form(rule)}", hint=_example(rule, key))
    try:
        return convert(rule, value)
    except (ValueError, OverflowError):
        raise refused from None


def convert(rule: Key, value: Any) -> Value | None:
    """`value` in the type of a key's default; ValueError or OverflowError where it has none there."""
    default = rule.default
    if rule.shape == "size":
        return _image_size(value)
    if rule.shape == "frames":
        listed = value if type(value) in (list, tuple) else [value]
        if not listed or len(listed) > MAX_NODES:
            raise ValueError  # without any the tracker fits nothing, and exits with 0
        return [_whole(v, 0) for v in listed]
    if rule.shape == "levels":
        return _levels(value)
    if type(default) is bool:
        if type(value) is not bool and value not in (0, 1):
            raise ValueError
        return bool(value)
    if type(default) is int:
        return _whole(value, rule.least, above=rule.above)
    if type(default) is float:
        return _real(value, rule.least, above=rule.above)
    if type(default) is str:
        return _text(value)
    return _like(default, value)


def _like(default: Any, value: Any) -> Value | None:
    """A value for a key of which only the default is known: a list, or None."""
    if default is None:
        return plain(value)
    if type(value) not in (list, tuple):
        raise ValueError
    kinds = {type(part) for part in default}
    if len(kinds) != 1:
        return plain(value)
    return [convert(Key(default[0], ""), part) for part in value]


def parse_override(text: str, keys: Keys = KEYS) -> tuple[str, Value | None]:
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
        raise UsageError(
            f"{key}: {written!r} is not a YAML value", hint=_example(_key(key, keys), key)
        ) from e
    return key, coerce(key, value, keys)


def parse_sweep(text: str) -> tuple[str, ...]:
    """KEY=[VALUE, ...] as typed: an override for each of the values, which `parse_override` checks.

    Raises:
        UsageError: no list of two values or more.

    Example:
        >>> parse_sweep("image_size=[512, [768, 768]]")
        ('image_size=512', 'image_size=[768, 768]')
    """
    key, _, written = text.partition("=")
    hint = "--sweep bbox_scale=[2.5, 3.0, 3.5]"
    try:
        values = bounded_yaml.load(written)
    except ValueError as e:
        raise UsageError(f"{key}: {written!r} is not a YAML value", hint=hint) from e
    if not isinstance(values, list) or not 2 <= len(values) <= MAX_SWEEP:
        raise UsageError(f"{text!r} is not KEY=[VALUE, ...] with 2 to {MAX_SWEEP} values", hint=hint)
    dumped = (yaml.safe_dump([v], default_flow_style=True, width=1 << 20).strip()[1:-1] for v in values)
    return tuple(f"{key.strip()}={value}" for value in dumped)


def parse_settings(
    data: bytes, name: str, keys: Keys = KEYS, *, keep_unknown: bool = False
) -> tuple[dict[str, Value | None], tuple[str, ...]]:
    """A settings file, which a stranger may have written.

    Args:
        keys: of the checkout that reads the file.
        keep_unknown: keep plain values of other keys, as they are written.

    Returns:
        The settings that the file gives (what it leaves out has the tracker's default), and one
        line for each key that is unknown or whose value the tracker would refuse.

    Raises:
        InconsistentData: too large, not YAML, or not a mapping.
    """
    if len(data) > MAX_BYTES:
        raise InconsistentData(f"has {len(data)} bytes: more than settings need", file=name)
    try:
        document = bounded_yaml.compose(data)
        if document is not None and not isinstance(document, yaml.MappingNode):
            raise ValueError("it is not a mapping of settings")
    except ValueError as e:
        raise InconsistentData(f"cannot be read as settings: {e}", file=name) from e
    found: dict[str, Value | None] = {}
    passed_over = []
    for node, value in document.value if document is not None else ():
        key = node.value if isinstance(node, yaml.ScalarNode) else "?"
        try:
            built = bounded_yaml.value_of(value, max_nodes=MAX_NODES)
            unknown = keep_unknown and key not in keys and key.isidentifier()
            found[key] = plain(built) if unknown else coerce(key, built, keys)
        except (UsageError, ValueError) as e:
            passed_over.append(e.what if isinstance(e, UsageError) else f"{key[:60]!r} is not a plain value")
    return found, tuple(passed_over)


def check(settings: Settings, keys: Keys = KEYS) -> None:
    """Check what single values cannot show: the tracker crops to squares only, and crashes otherwise."""
    full = complete(settings, keys)
    image_size = full["image_size"]
    assert isinstance(image_size, list)  # coerced
    if full["crop_image"] and image_size[0] != image_size[1]:
        raise UsageError(
            f"image_size {image_size} is not square: the tracker crops to squares only",
            hint=f"image_size=[{max(image_size)}, {max(image_size)}], or crop_image=false",
        )


def complete(settings: Settings, keys: Keys = KEYS) -> dict[str, Value | None]:
    """The settings with the tracker's default for every key that they leave out."""
    needed = {name: KEYS[name].default for name in NEEDED if name not in keys}
    return {**{name: key.default for name, key in keys.items()}, **needed, **settings}


def compare(
    before: Settings, after: Settings, keys: Keys = KEYS, *, keys_before: Keys | None = None
) -> tuple[SettingChange, ...]:
    """How two runs' settings differ, in the tracker's order; where their files lie does not matter.

    `keys` are of the checkout that reads `after`, `keys_before` of the one that reads `before`.

    Example:
        >>> [(c.key, c.before, c.after) for c in compare({}, {"bbox_scale": 3.5, "fps": 25})]
        [('bbox_scale', 2.5, 3.5)]
    """
    keys_before = keys if keys_before is None else keys_before
    old, new = complete(before, keys_before), complete(after, keys)
    meanings = {name: key.meaning for name, key in {**keys_before, **keys}.items()}
    return tuple(
        SettingChange(name, old.get(name), new.get(name), meanings.get(name, UNKNOWN_KEY))
        for name in dict.fromkeys((*new, *old))
        if name not in PATHS and (old.get(name) != new.get(name) or (name in old) != (name in new))
    )


def to_yaml(settings: Settings, keys: Keys = KEYS) -> bytes:
    """The tracker's YAML, keys in its order, so that equal settings are equal bytes.

    Example:
        >>> print(to_yaml({"image_size": [768, 768], "bbox_scale": 3.0}).decode(), end="")
        bbox_scale: 3.0
        image_size: [768, 768]
    """
    # One line each, lists in brackets: as in the shipped files.
    return "".join(
        f"{name}: {_in_yaml(settings[name])}\n"
        for name in dict.fromkeys((*keys, *settings))
        if name in settings
    ).encode()


def plain(value: Any) -> Value | None:
    """A plain value, or a list of such; tuples become lists.

    Raises:
        ValueError: it is something else, or larger than any setting.
    """
    budget = MAX_NODES

    def checked(part: Any) -> Any:
        nonlocal budget
        budget -= 1
        if budget < 0:
            raise ValueError("it is larger than any setting")
        if type(part) in (list, tuple):
            return [checked(inner) for inner in part]
        if type(part) is str:
            return _text(part)
        if type(part) is bool or part is None:
            return part
        if type(part) in (int, float) and abs(part) <= MAX_NUMBER:
            return part
        raise ValueError("it is not a plain value")

    checked_value: Value | None = checked(value)
    return checked_value


def _key(name: str, keys: Keys) -> Key:
    if name not in keys:
        near = difflib.get_close_matches(name, keys, n=3, cutoff=0.5)
        if "pyr_levels" in keys and ("iter" in name or "epoch" in name or "steps" in name):
            near = ["pyr_levels (as [scale, iterations] of each level)"]
        raise UsageError(
            f"{name[:60]!r} is not a setting of the tracker",
            hint=f"did you mean {' or '.join(near)}?" if near else f"it knows {', '.join(keys)}",
        )
    return keys[name]


def _image_size(value: Any) -> list[Any]:
    sides = [value, value] if type(value) in (int, float) else value
    if type(sides) not in (list, tuple) or len(sides) != 2:
        raise ValueError
    return [_whole(side, 1, most=MAX_SIDE) for side in sides]


def _levels(value: Any) -> list[Any]:
    if type(value) not in (list, tuple) or not 0 < len(value) <= 20:
        raise ValueError
    if any(type(level) not in (list, tuple) or len(level) != 2 for level in value):
        raise ValueError
    return [[_real(scale, 0, above=True), _whole(count, 1)] for scale, count in value]


def _whole(value: Any, least: float | None, *, above: bool = False, most: float = MAX_NUMBER) -> int:
    number = _real(value, least, above=above)
    if number != int(number) or number > most:
        raise ValueError
    return int(number)


def _real(value: Any, least: float | None, *, above: bool = False) -> float:
    if type(value) is str:
        value = float(value)  # YAML takes 1e-3 for a word, because it has no point
    if type(value) not in (int, float) or not abs(value) <= MAX_NUMBER:
        raise ValueError
    if least is not None and (value < least or (above and value == least)):
        raise ValueError
    return float(value)


def _text(value: Any) -> str:
    if type(value) is not str or not value.isprintable() or len(value) > MAX_TEXT:
        raise ValueError
    if value[:1] in ("'", '"') and type(inner := _literal(value)) is str:
        return inner  # as `_in_yaml` writes it
    return value


def _in_yaml(value: Any) -> str:
    # yacs evaluates text as a Python literal where it is one: "0" would be a number.
    written = repr(value) if type(value) is str and _literal(value) is not Ellipsis else value
    return yaml.safe_dump([written], default_flow_style=True, width=1 << 20).strip()[1:-1]


def _literal(text: str) -> Any:
    """What a text is as a Python literal; Ellipsis where it is not one."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return ...


def _form(rule: Key) -> str:
    if rule.shape == "size":
        return f"[height, width] in whole pixels up to {MAX_SIDE}"
    if rule.shape == "frames":
        return "a list of frame numbers, from 0"
    if rule.shape == "levels":
        return "a list of [scale, iterations]"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    words |= {list: f"a list like {rule.default}", type(None): "a plain value"}
    bound = "" if rule.least is None else f" {'above' if rule.above else 'of at least'} {rule.least:g}"
    return words[type(rule.default)] + bound


def _example(rule: Key, key: str) -> str:
    return f"for example {key}={str(rule.default).lower()}: {rule.meaning}"
