"""One `.frame` taken apart for people: every entry with its meaning, and everything that is wrong.

`frame_file` stops at the first thing that does not hold; this goes on and lists them all. A file that
is unsafe or torn is refused here, too. `problems` are what makes the file useless as a camera, or
shows that it was edited; `notes` are unusual and need not be wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from being_remote.camera.pose import rotation_from_6d, rotation_vector
from being_remote.errors import UsageError
from being_remote.tracker.camera_blocks import CameraBlocks
from being_remote.tracker.frame_file import parse_box
from being_remote.tracker.plain_pickle import Array, Tensor
from being_remote.tracker.stored import (
    LAST_KEYS,
    SHAPES,
    described,
    entries,
    is_frame_id,
    missing_keys,
    shown_name,
    wrong_shape,
)

Floats = np.ndarray[Any, np.dtype[np.float64]]

MEANINGS = {
    "flame.exp": "expression coefficients of FLAME",
    "flame.shape": "identity coefficients of FLAME: MICA's, or refined",
    "flame.tex": "texture coefficients of FLAME",
    "flame.sh": "lighting: 9 spherical harmonics for each colour",
    "flame.eyes": "two 6D rotations: right eye, left eye",
    "flame.eyelids": "how far the lids are closed: left, right",
    "flame.jaw": "6D rotation of the jaw",
    "camera.R": "6D rotation, PyTorch3D's axes: the same as opencv.R",
    "camera.t": "translation, PyTorch3D's axes, metres: the same as opencv.t",
    "camera.fl": "focal length in NDC: the same as in opencv.K",
    "camera.pp": "principal point in NDC: the same as in opencv.K",
    "opencv.R": "world-to-camera rotation, OpenCV's axes; the world is the head at rest",
    "opencv.t": "world-to-camera translation, metres",
    "opencv.K": "intrinsics in pixels of the network image; corner convention, whatever its name says",
    "img_size": "height, width of the network image, pixels",
    "frame_id": "which tracked frame, from 0",
    "global_step": "how many steps the fit had taken",
}
FOREIGN = "not the tracker's: a fork adds it"
START_FOCAL_PX = 2500.0  # 5000 / h in NDC, for any square image
MAX_NAME = 80
OFF_CENTRE = 0.1


@dataclass(frozen=True)
class Entry:
    """One entry: its dotted key, shape and dtype ("" where it is no array), meaning, and value in words."""

    key: str
    shape: tuple[int, ...] | None
    dtype: str
    meaning: str
    says: str


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A `.frame`; what cannot be read of a broken one is None."""

    entries: tuple[Entry, ...]
    frame_id: str | None
    global_step: int | None
    image_size_wh: tuple[int, int] | None
    K: Floats | None
    R: Floats | None
    t: Floats | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def dissect(data: bytes, name: str) -> Anatomy:
    """Take one `.frame` apart; `name` is its name or path.

    Raises:
        UnsafeFile, TornFile: it was not opened further.
        UsageError: it is a bbox.pt, or holds no dict at all.
    """
    shown = shown_name(name)
    flat = entries(data, shown)
    if type(flat) is not dict:
        _no_frame(flat, data, shown)
    frame_id, step = flat.get("frame_id"), flat.get("global_step")
    size_wh = _size_wh(flat.get("img_size"))
    problems = list(_problems(flat, name, size_wh))
    K = _matrix(flat.get("opencv.K"), (1, 3, 3))
    notes = (
        [f"{len(more)} entries that the tracker does not write: {_listed(more)}"]
        if (more := _more(flat))
        else []
    )
    if K is not None and size_wh is not None:
        problems += _off_image(K, size_wh)
        notes += _unusual(K, size_wh)
    return Anatomy(
        tuple(_entry(key, value) for key, value in flat.items()),
        frame_id[:MAX_NAME] if type(frame_id) is str else None,
        step if type(step) is int else None,
        size_wh,
        K,
        _matrix(flat.get("opencv.R"), (1, 3, 3)),
        _matrix(flat.get("opencv.t"), (1, 3)),
        tuple(dict.fromkeys(problems)),
        tuple(notes),
    )


def _no_frame(content: Any, data: bytes, shown: str) -> None:
    if type(content) in (Array, Tensor, list, tuple):
        x_min, x_max, y_min, y_max = parse_box(data, shown)
        raise UsageError(
            f"is a bbox.pt and no .frame: x {x_min}..{x_max}, y {y_min}..{y_max}"
            f" ({x_max - x_min}x{y_max - y_min} source pixels)",
            where=shown,
            hint="analyze CHECKPOINTS/00000.frame; the box is used by recover (--bbox FILE)",
        )
    raise UsageError(f"is no .frame: it holds {described(content)}", where=shown, hint="analyze FRAME")


def _problems(flat: Mapping[str, Any], name: str, size_wh: tuple[int, int] | None) -> Iterator[str]:
    if lacking := missing_keys(flat):
        yield lacking
    wrong = [said for key in SHAPES if key in flat and (said := wrong_shape(key, flat[key]))]
    yield from wrong
    for key, value in flat.items():
        if type(value) is Array and not np.isfinite(value.numpy()).all():
            yield f"{_name(key)} holds numbers that are not finite"
    frame_id = flat.get("frame_id")
    stem = os.path.splitext(os.path.basename(name))[0]
    if type(frame_id) is not str or not is_frame_id(frame_id):
        said = repr(frame_id[:40]) if type(frame_id) is str else described(frame_id)
        yield from (f"frame_id is {said}, not a few digits",) if "frame_id" in flat else ()
    elif frame_id != stem:
        yield f"frame_id is {frame_id!r}, but the file is named {stem[:MAX_NAME]!r}: it was renamed"
    if "global_step" in flat and type(flat["global_step"]) is not int:
        yield f"global_step is {described(flat['global_step'])}, not a whole number"
    if size_wh is None and "img_size" in flat:
        yield f"img_size is {_says('img_size', flat['img_size'])}, not a height and a width"
    if not lacking and not wrong and size_wh is not None:
        cameras = CameraBlocks.empty(1)
        cameras.put(0, _AsStored(flat))
        yield from (said for _, said in cameras.contradictions(size_wh) if "not finite" not in said)


class _AsStored:
    """The entries as `CameraBlocks` asks for them."""

    def __init__(self, flat: Mapping[str, Any]) -> None:
        self._flat = flat

    def array(self, key: str) -> np.ndarray[Any, np.dtype[Any]]:
        found: np.ndarray[Any, np.dtype[Any]] = self._flat[key].numpy()
        return found


def _off_image(K: Floats, size_wh: tuple[int, int]) -> Iterator[str]:
    (cx, cy), (w, h) = K[:2, 2], size_wh
    if not (0 <= cx <= w and 0 <= cy <= h):
        yield f"the principal point ({cx:.1f}, {cy:.1f}) lies outside of the image of {w}x{h}"


def _unusual(K: Floats, size_wh: tuple[int, int]) -> Iterator[str]:
    w, h = size_wh
    if w != h:
        yield (
            f"the network image is {w}x{h}: the tracker crops to squares only, so this run was resized"
            " without a crop (crop_image false), and needs no bbox.pt"
        )
    elif abs(K[0, 0] - START_FOCAL_PX) < 1e-3:
        yield f"the focal length is {START_FOCAL_PX:g} px, where the fit starts: it was never fitted"
    off = np.abs(K[:2, 2] - (w / 2, h / 2)) / (w, h)
    if off.max() > OFF_CENTRE and off.max() <= 0.5:
        yield f"the principal point lies {off.max():.0%} of the image from its centre; a few are usual"


def _size_wh(value: Any) -> tuple[int, int] | None:
    if type(value) is not Array or value.shape != (2,):
        return None
    height, width = value.numpy().tolist()  # the tracker's order
    sound = all(type(n) is int and 0 < n < 1 << 16 for n in (height, width))
    return (width, height) if sound else None


def _matrix(value: Any, shape: tuple[int, ...]) -> Floats | None:
    if type(value) is not Array or value.shape != shape:
        return None
    found = value.numpy().astype(np.float64)[0]
    return found if np.isfinite(found).all() else None


def _more(flat: Mapping[str, Any]) -> list[str]:
    return [_name(key) for key in flat if key not in SHAPES and key not in LAST_KEYS]


def _entry(key: str, value: Any) -> Entry:
    array = type(value) is Array
    return Entry(
        key[:MAX_NAME],
        value.shape if array else None,
        value.dtype[1:] if array else "",
        MEANINGS.get(key, FOREIGN),
        _says(key, value),
    )


def _says(key: str, value: Any) -> str:
    if type(value) is str:
        return repr(value[:MAX_NAME])
    if type(value) in (int, float, bool):
        return repr(value)
    if type(value) is not Array or not value.content:
        return described(value)
    numbers = value.numpy().astype(np.float64).ravel()
    if not np.isfinite(numbers).all():
        return "not finite"
    if key == "flame.jaw" and numbers.size == 6:
        return _turn(numbers, "opens")
    if key == "flame.eyes" and numbers.size == 12:
        return f"right {_turn(numbers[:6], 'turns')}, left {_turn(numbers[6:], 'turns')}"
    if key == "opencv.K" and numbers.size == 9:
        return f"focal length {numbers[0]:.2f}, centre {numbers[2]:.2f}, {numbers[5]:.2f}"
    if key == "img_size" or numbers.size <= 3:
        return ", ".join(f"{n:.6g}" for n in numbers)
    return f"{numbers.min():.3g} to {numbers.max():.3g}"


def _turn(r6: Floats, verb: str) -> str:
    try:
        vector = np.degrees(rotation_vector(rotation_from_6d(r6)))
    except ValueError:
        return "no rotation"
    angle = float(np.linalg.norm(vector))
    if angle < 1e-3:
        return "at rest"
    return f"{verb} {vector[0] if verb == 'opens' else angle:.1f} deg"


def _name(key: str) -> str:
    return key if key.isprintable() and len(key) <= MAX_NAME else repr(key[:MAX_NAME])


def _listed(names: list[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
