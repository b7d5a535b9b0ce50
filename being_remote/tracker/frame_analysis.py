"""One `.frame` taken apart for people: every entry with its meaning, and everything that is wrong.

`frame_file` stops at the first thing that does not hold; this lists them all. An unsafe or torn file is
refused. `problems` are why the readers refuse the file as a camera; `notes` are unusual, and need not be
wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from being_remote.camera.pose import rotation_from_6d, rotation_vector
from being_remote.errors import UsageError
from being_remote.tracker.box_file import box_text, parse_box
from being_remote.tracker.camera_blocks import CameraBlocks
from being_remote.tracker.frame_entries import Form, describe, identify, read_entries, shown_name
from being_remote.tracker.frame_file import whole_size_wh
from being_remote.tracker.plain_pickle import Array, Tensor, as_float64

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
class EntryAnalysis:
    """One entry; `dtype` is "" where it is not an array, `says` is its value in words."""

    key: str
    shape: tuple[int, ...] | None
    dtype: str
    meaning: str
    says: str


@dataclass(frozen=True, eq=False)
class FrameAnalysis:
    """A `.frame`; what cannot be read of a broken one is None."""

    entries: tuple[EntryAnalysis, ...]
    frame_id: str | None
    global_step: int | None
    image_size_wh: tuple[int, int] | None
    K: Floats | None
    R: Floats | None
    t: Floats | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def analyze_frame(data: bytes, name: str) -> FrameAnalysis:
    """Take one `.frame` apart; `name` is its name or path.

    Raises:
        UnsafeFile, TornFile: it was not opened further.
        UsageError: it is a bbox.pt, or does not hold a dict.
    """
    shown = shown_name(name)
    flat, oddities = read_entries(data, shown)
    if type(flat) is not dict:
        _no_frame(flat, data, shown)
    form = Form.of(flat)
    identity = identify(flat.get("frame_id"), name)
    size_wh = whole_size_wh(form.arrays["img_size"]) if "img_size" in form.arrays else None
    K = _matrix(form, "opencv.K")
    notes = [*oddities, *form.notes, *identity.notes, *_infinite(form)]
    if K is not None and size_wh is not None:
        notes += [*_off_image(K, size_wh), *_unusual(K, size_wh)]
    frame_id, step = flat.get("frame_id"), flat.get("global_step")
    return FrameAnalysis(
        tuple(_entry(key, value) for key, value in flat.items()),
        frame_id[:MAX_NAME] if type(frame_id) is str else identity.frame_id or None,
        step if type(step) is int else None,
        size_wh,
        K,
        _matrix(form, "opencv.R"),
        _matrix(form, "opencv.t"),
        tuple(dict.fromkeys(_problems(form, identity.problem, size_wh))),
        tuple(notes),
    )


def _no_frame(content: Any, data: bytes, shown: str) -> None:
    if type(content) in (Array, Tensor, list, tuple):
        box = parse_box(data, shown)
        x_min, x_max, y_min, y_max = box
        raise UsageError(
            f"is a bbox.pt, not a .frame: {box_text(box)} ({x_max - x_min}x{y_max - y_min} source pixels)",
            where=shown,
            hint="analyze CHECKPOINTS/00000.frame; the box is used by recover (--bbox FILE)",
        )
    raise UsageError(f"is not a .frame: it holds {describe(content)}", where=shown, hint="analyze FRAME")


def _problems(form: Form, unnamed: str, size_wh: tuple[int, int] | None) -> Iterator[str]:
    """Everything that makes the readers refuse the file, in their words."""
    yield from form.problems
    if unnamed:
        yield unnamed
    if "img_size" in form.arrays and size_wh is None:
        height, width = form.arrays["img_size"].tolist()
        yield f"img_size is {height!r}, {width!r}, not a height and a width"
    if not form.problems and size_wh is not None:
        cameras = CameraBlocks.empty(1)
        cameras.put(0, form.arrays)
        yield from (problem for _, problem in cameras.contradictions(size_wh))


def _infinite(form: Form) -> Iterator[str]:
    for key, numbers in form.arrays.items():
        if not np.isfinite(numbers).all():
            yield f"{key} holds numbers that are not finite"


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


def _matrix(form: Form, key: str) -> Floats | None:
    if key not in form.arrays:
        return None
    found = as_float64(form.arrays[key])[0]
    return found if np.isfinite(found).all() else None


def _entry(key: str, value: Any) -> EntryAnalysis:
    array = type(value) in (Array, Tensor)
    return EntryAnalysis(
        key[:MAX_NAME],
        value.shape if array else None,
        value.dtype[1:] if array else "",
        MEANINGS.get(key, FOREIGN),
        _value_text(key, value),
    )


def _value_text(key: str, value: Any) -> str:
    if type(value) is str:
        return repr(value[:MAX_NAME])
    if type(value) in (int, float, bool):
        return repr(value)
    if type(value) not in (Array, Tensor) or 0 in value.shape:
        return describe(value)
    numbers = as_float64(value.numpy()).ravel()
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
        return "not a rotation"
    angle = float(np.linalg.norm(vector))
    if angle < 1e-3:
        return "at rest"
    return f"{verb} {vector[0] if verb == 'opens' else angle:.1f} deg"
