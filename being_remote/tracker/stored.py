"""One `.frame` as it is stored: the tracker's keys and shapes, checked; arrays still raw bytes.

The one place that spells the keys. It knows nothing of conventions or of what the numbers mean:
`frame_file` and `sequence` turn it into values.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from being_remote.errors import InconsistentData, UnsafeFile
from being_remote.tracker import plain_pickle
from being_remote.tracker.plain_pickle import Array, Tensor
from being_remote.tracker.skeleton import Skeleton, skeleton_of
from being_remote.tracker.torch_zip import members

# -1: how many numbers is up to the tracker's settings.
SHAPES: Mapping[str, tuple[int, ...]] = {
    "flame.exp": (1, -1),
    "flame.shape": (1, -1),
    "flame.tex": (1, -1),
    "flame.sh": (1, 9, 3),
    "flame.eyes": (1, 12),
    "flame.eyelids": (1, 2),
    "flame.jaw": (1, 6),
    "camera.R": (1, 6),
    "camera.t": (1, 3),
    "camera.fl": (1, 1),
    "camera.pp": (1, 2),
    "opencv.R": (1, 3, 3),
    "opencv.t": (1, 3),
    "opencv.K": (1, 3, 3),
    "img_size": (2,),
}
LAST_KEYS = ("frame_id", "global_step")

# A run has two or three: the step takes one byte, then two, then four.
MAX_LAYOUTS = 8
MAX_LAYOUT_BYTES = 256 << 10
# Four days at 25 fps; an id of any length would let a file name ask for any amount of memory.
MAX_ID_DIGITS = 7


@dataclass(frozen=True, eq=False)
class Layout:
    """What all files of one run share.

    Attributes:
        keys: every key found, dotted, in the file's order.
        arrays: for each key of `SHAPES`, its place in `Stored.contents`, dtype, shape and order.
        skeleton: recognises further files of this layout; None where that cannot be done.
    """

    keys: tuple[str, ...]
    arrays: Mapping[str, tuple[int, str, tuple[int, ...], Any]]
    skeleton: Skeleton | None


class Stored:
    """The entries of one `.frame`; `array` builds one of them, read-only."""

    __slots__ = ("contents", "frame_id", "global_step", "layout")

    def __init__(self, layout: Layout, contents: list[bytes], frame_id: str, global_step: int) -> None:
        self.layout, self.contents = layout, contents
        self.frame_id, self.global_step = frame_id, global_step

    def array(self, key: str) -> np.ndarray[Any, np.dtype[Any]]:
        """The array under a dotted key of `SHAPES`, as stored."""
        place, dtype, shape, order = self.layout.arrays[key]
        return np.frombuffer(self.contents[place], dtype).reshape(shape, order=order)


# Layouts that were accepted lately. Forgetting one, or two threads adding one, costs only time.
_layouts: list[Layout] = []


def parse_stored(data: bytes, name: str) -> Stored:
    """Read the archive, the pickle and the keys of one `.frame`.

    Args:
        data: the whole file.
        name: its name or path; the stem must be its frame_id.

    Raises:
        UnsafeFile, TornFile: as `torch_zip.members` and `plain_pickle.load`.
        InconsistentData: other keys or shapes than the tracker's, or another frame_id.
    """
    shown = shown_name(name)
    pickled = pickle_of(members(data, shown), shown)
    stored = _recognised(pickled)
    if stored is None:
        stored = _stored(pickled, *plain_pickle.load(pickled, shown), shown)
    if not is_frame_id(stored.frame_id):
        found = repr(stored.frame_id[:40])
        raise InconsistentData(f"frame_id is {found}, not up to {MAX_ID_DIGITS} digits", file=shown)
    if os.path.splitext(os.path.basename(name))[0] != stored.frame_id:
        raise InconsistentData(
            f"frame_id is {stored.frame_id!r}, but the file is named otherwise",
            file=shown,
            hint="it was renamed or belongs to another run; give it its own name back",
        )
    return stored


def entries(data: bytes, shown: str) -> Any:
    """What an archive of torch.save holds, of whatever keys; a dict's entries under dotted keys.

    Raises:
        UnsafeFile, TornFile: as `torch_zip.members` and `plain_pickle.load`.
    """
    parts = members(data, shown)
    content, _ = plain_pickle.load(pickle_of(parts, shown), shown, storages_of(parts))
    return _flat(content) if type(content) is dict else content


def scan(data: bytes, shown: str) -> None:
    """Whether an archive of torch.save is whole and holds plain data only, of whatever keys.

    Raises:
        UnsafeFile, TornFile: as `torch_zip.members` and `plain_pickle.load`.
    """
    parts = members(data, shown)
    pickled = pickle_of(parts, shown)
    if _recognised(pickled) is None:
        content, arrays = plain_pickle.load(pickled, shown, storages_of(parts))
        with contextlib.suppress(InconsistentData):
            # Only to know the next file of this run again; other keys are for the readers to refuse.
            _stored(pickled, content, arrays, shown)


def storages_of(parts: Mapping[str, memoryview]) -> dict[str, int]:
    """Bytes of each tensor storage of an archive, by key."""
    return {name[len("data/") :]: len(body) for name, body in parts.items() if name.startswith("data/")}


def is_frame_id(text: str) -> bool:
    """Whether this is an id as the tracker writes them."""
    return text.isascii() and text.isdigit() and len(text) <= MAX_ID_DIGITS


def pickle_of(parts: Mapping[str, memoryview], shown: str) -> bytes:
    """The pickle among an archive's members."""
    if "data.pkl" not in parts:
        raise UnsafeFile("is an archive without data.pkl: torch.save did not write it", file=shown)
    return bytes(parts["data.pkl"])


def shown_name(name: str) -> str:
    """A file's name for messages: control characters are escaped, since names come from pods."""
    return name if name.isprintable() else repr(name)


def described(value: Any) -> str:
    """A value of a pickle in a few safe words; its contents are not walked."""
    if type(value) in (Array, Tensor):
        return f"an array of {' x '.join(map(str, value.shape)) or 'one number'}"
    return "nothing" if value is None else f"a {type(value).__name__}"


def _recognised(pickled: bytes) -> Stored | None:
    for layout in tuple(_layouts):
        filling = layout.skeleton.fill(pickled) if layout.skeleton else None
        if filling:
            if layout is not _layouts[0]:
                _remember(layout)
            return Stored(layout, *filling)
    return None


def _remember(layout: Layout) -> None:
    """Put a layout first: the next file is most likely like the last one."""
    _layouts[:] = [layout, *(known for known in _layouts if known is not layout)][:MAX_LAYOUTS]


def _stored(pickled: bytes, content: Any, arrays: list[Array], shown: str) -> Stored:
    """The tracker's entries of a pickle's value; its layout is remembered for the next file."""
    if type(content) is not dict:
        raise InconsistentData(f"is to hold a dict of names; it holds {described(content)}", file=shown)
    flat = _flat(content)
    wrong = missing_keys(flat) or next(filter(None, (wrong_shape(key, flat[key]) for key in SHAPES)), "")
    if wrong:
        _inconsistent(wrong, shown)
    frame_id, step = (flat[key] for key in LAST_KEYS)
    if type(frame_id) is not str or type(step) is not int:
        found = f"frame_id is {described(frame_id)}, global_step is {described(step)}"
        raise InconsistentData(f"{found}; they are to be digits and a whole number", file=shown)
    places = {id(array): i for i, array in enumerate(arrays)}
    layout = Layout(
        tuple(flat),
        {k: (places[id(flat[k])], flat[k].dtype, flat[k].shape, flat[k].order) for k in SHAPES},
        skeleton_of(pickled, arrays, LAST_KEYS) if len(pickled) <= MAX_LAYOUT_BYTES else None,
    )
    if layout.skeleton:
        _remember(layout)
    return Stored(layout, [array.content for array in arrays], frame_id, step)


def _flat(content: Mapping[Any, Any]) -> dict[str, Any]:
    """The entries under dotted keys, two levels deep."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if type(value) is dict and value:
            flat.update({f"{key}.{inner}": item for inner, item in value.items()})
        else:
            flat[str(key)] = value
    return flat


def missing_keys(flat: Mapping[str, Any]) -> str:
    """Which of the tracker's keys are not there, and what is; "" when all are."""
    missing = [key for key in (*SHAPES, *LAST_KEYS) if key not in flat]
    if not missing:
        return ""
    keys = tuple(flat)
    found = [k if k.isprintable() and len(k) < 60 else repr(k[:60]) for k in keys[:40]]
    more = f" and {len(keys) - 40} more" if len(keys) > 40 else ""
    return f"lacks {', '.join(missing)}; it holds {', '.join(found) or 'nothing'}{more}"


def wrong_shape(key: str, value: Any) -> str:
    """How an entry of `SHAPES` is another than the tracker writes; "" when it is as it must be."""
    shape = SHAPES[key]
    found = value.shape if type(value) is Array else ()
    if len(found) == len(shape) and all(shape[i] in (-1, found[i]) for i in range(len(shape))):
        return ""
    wanted = " x ".join("n" if n < 0 else str(n) for n in shape)
    return f"{key} is to be an array of {wanted}; it is {described(value)}"


def _inconsistent(what: str, shown: str) -> NoReturn:
    raise InconsistentData(what, file=shown, hint="another program or a fork of the tracker wrote it")
