"""The entries of one `.frame`: the tracker's keys, checked; arrays still raw bytes.

A camera needs `NEEDED` and an id; every other entry may be missing or have another form, which is
noted. What the numbers mean is for `frame_file` and `sequence`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from being_remote.errors import InconsistentData
from being_remote.tracker import plain_pickle
from being_remote.tracker.pickle_skeleton import Skeleton, skeleton_of
from being_remote.tracker.plain_pickle import Array, Loaded, Tensor
from being_remote.tracker.torch_file import archive_of, load_file

if TYPE_CHECKING:
    Numbers = np.ndarray[Any, np.dtype[Any]]

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
# What a camera cannot do without.
NEEDED = ("opencv.K", "opencv.R", "opencv.t", "img_size")
FOREIGN = "another program or a fork of the tracker wrote it"

# A run has two or three: the step takes one byte, then two, then four.
MAX_LAYOUTS = 8
MAX_LAYOUT_BYTES = 256 << 10
# Four days at 25 fps; an id of any length would let a file name ask for any amount of memory.
MAX_ID_DIGITS = 7


@dataclass(frozen=True, eq=False)
class FrameLayout:
    """What all files of one run share."""

    keys: tuple[str, ...]  # every key found, dotted, in the file's order
    # for keys of `SHAPES` the place in the pickle's arrays, dtype, shape and order
    arrays: Mapping[str, tuple[int, str, tuple[int, ...], Any]]
    notes: tuple[str, ...]  # how it differs from the tracker's form
    skeleton: Skeleton | None  # recognises further files of this layout; None where that cannot be done


class StoredFrame:
    """The entries of one `.frame`; arrays are built when they are read, read-only.

    `frame_id` is the stem of the file's name, `shown` that name for messages; `global_step` is None where
    the file does not say it, and `notes` say how the file differs from the tracker's form.
    """

    __slots__ = ("_contents", "_others", "frame_id", "global_step", "layout", "notes", "shown")

    def __init__(
        self,
        layout: FrameLayout,
        contents: list[bytes],
        frame_id: str,
        global_step: int | None,
        others: Mapping[str, Numbers] | None = None,
    ) -> None:
        self.layout, self._contents, self.shown = layout, contents, ""
        self.frame_id, self.global_step, self.notes = frame_id, global_step, layout.notes
        self._others = {} if others is None else others

    def arrays(self, keys: Iterable[str]) -> dict[str, Numbers]:
        """Those of these keys that are there, in a form that can be read."""
        return {key: self.array(key) for key in keys if key in self.layout.arrays or key in self._others}

    def array(self, key: str) -> Numbers:
        """The array under a key of `SHAPES`, in its shape there; InconsistentData where it is missing."""
        if key in self._others:
            return self._others[key]
        if key not in self.layout.arrays:
            raise missing_entry(key, self.shown)
        place, dtype, shape, order = self.layout.arrays[key]
        numbers = np.frombuffer(self._contents[place], dtype).reshape(shape, order=order)
        return numbers.reshape(_with_batch(key, shape) or shape)


def missing_entry(key: str, shown: str) -> InconsistentData:
    """The error of a needed entry that is missing, or has another form."""
    return InconsistentData(f"has no {key} of the tracker's form", file=shown, hint=FOREIGN)


# Layouts that were accepted lately. Forgetting one, or two threads adding one, costs only time.
_layouts: list[FrameLayout] = []


def parse_stored(data: bytes, name: str) -> StoredFrame:
    """Read the file, the pickle and the keys of one `.frame`; its name's stem must be its frame_id.

    Raises:
        UnsafeFile, TornFile: as `torch_file.load_file`.
        InconsistentData: no camera, or another frame_id.
    """
    shown = shown_name(name)
    archive = archive_of(data, shown)
    stored = _recognise(archive.pickled) if archive is not None else None
    if stored is not None:
        frame_id: Any = stored.frame_id
    elif archive is not None:
        loaded = plain_pickle.load(archive.pickled, shown, archive.storages)
        stored, frame_id = _stored(archive.pickled, loaded, shown)
    else:
        stored, frame_id = _stored(b"", load_file(data, shown), shown)
    identity = identify(frame_id, name)
    if identity.problem:
        raise InconsistentData(identity.problem, file=shown, hint=identity.hint)
    stored.frame_id, stored.shown = identity.frame_id, shown
    stored.notes = (*stored.notes, *identity.notes)
    return stored


class Identity(NamedTuple):
    """The id of a frame, by the file's entry and its name; or why there is none."""

    frame_id: str
    problem: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()


def identify(entry: Any, name: str) -> Identity:
    """Which frame a file is of: its `frame_id` (None: it has none) and the file's name must agree."""
    stem = os.path.splitext(os.path.basename(name))[0]
    if type(entry) in (Array, Tensor) and all(n == 1 for n in entry.shape):
        entry = entry.numpy().reshape(-1)[0].item()
    if type(entry) is float and entry.is_integer():
        entry = int(entry)
    if type(entry) is str:
        if not is_frame_id(entry):
            return Identity("", f"frame_id is {entry[:40]!r}, not up to {MAX_ID_DIGITS} digits")
        notes = () if entry == stem else (f"frame_id is {entry!r}",)
        number = int(entry)
    elif entry is None:
        if not is_frame_id(stem):
            return Identity("", f"has no frame_id, and the file's name, {stem[:40]!r}, is not one")
        notes, number = ("there is no frame_id: the file's name is taken for it",), int(stem)
    elif type(entry) is int and 0 <= entry < 10**MAX_ID_DIGITS:
        notes, number = ("frame_id is a number, not text",), entry
    else:
        shown = entry if type(entry) is int else describe(entry)
        return Identity("", f"frame_id is {shown}, not up to {MAX_ID_DIGITS} digits")
    if not is_frame_id(stem) or int(stem) != number:
        return Identity(
            "",
            f"frame_id is {entry!r}, but the file is named {stem[:40]!r}",
            "it was renamed or belongs to another run; give it its own name back",
        )
    return Identity(stem, notes=notes)


def read_entries(data: bytes, shown: str) -> tuple[Any, tuple[str, ...]]:
    """What a file of torch.save holds (a dict's entries under dotted keys), and how its format is unusual.

    Raises:
        UnsafeFile, TornFile: as `torch_file.load_file`.
    """
    loaded = load_file(data, shown)
    return (_flat(loaded.value) if type(loaded.value) is dict else loaded.value), loaded.oddities


def check_plain_data(data: bytes, shown: str) -> None:
    """Check that a file of torch.save is whole and holds plain data only, of whatever keys.

    Raises:
        UnsafeFile, TornFile: as `torch_file.load_file`.
    """
    archive = archive_of(data, shown)
    if archive is None:
        load_file(data, shown)
    elif _recognise(archive.pickled) is None:
        loaded = plain_pickle.load(archive.pickled, shown, archive.storages)
        with contextlib.suppress(InconsistentData):
            # Only to recognise the next file of this run; other keys are for the readers to refuse.
            _stored(archive.pickled, loaded, shown)


def is_frame_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_ID_DIGITS


def shown_name(name: str) -> str:
    """A file's name for messages: control characters are escaped, since names come from pods."""
    return name if name.isprintable() else repr(name)


def describe(value: Any) -> str:
    """A value of a pickle in a few safe words; its contents are not walked."""
    if type(value) in (Array, Tensor):
        return f"an array of {' x '.join(map(str, value.shape)) or 'one number'}"
    return "nothing" if value is None else f"a {type(value).__name__}"


def _recognise(pickled: bytes) -> StoredFrame | None:
    for layout in tuple(_layouts):
        filling = layout.skeleton.fill(pickled) if layout.skeleton else None
        if filling:
            if layout is not _layouts[0]:
                _remember(layout)
            return StoredFrame(layout, *filling)
    return None


def _remember(layout: FrameLayout) -> None:
    """Put a layout first: the next file is most likely like the last one."""
    _layouts[:] = [layout, *(other for other in _layouts if other is not layout)][:MAX_LAYOUTS]


def _stored(pickled: bytes, loaded: Loaded, shown: str) -> tuple[StoredFrame, Any]:
    """The entries of a pickle's value, and its frame_id as it is; a layout is remembered."""
    if type(loaded.value) is not dict:
        raise InconsistentData(f"must hold a dict of names; it holds {describe(loaded.value)}", file=shown)
    flat = _flat(loaded.value)
    found = Form.of(flat)
    if found.problems:
        raise InconsistentData(found.problems[0], file=shown, hint=FOREIGN)
    places = {id(array): i for i, array in enumerate(loaded.arrays)}
    arrays = {k: flat[k] for k in found.arrays if type(flat[k]) is Array}
    # In an entry that is not an array of the pickle, the next file may hold other numbers elsewhere.
    alike = len(arrays) == len(found.arrays) and 0 < len(pickled) <= MAX_LAYOUT_BYTES
    layout = FrameLayout(
        tuple(flat),
        {k: (places[id(a)], a.dtype, a.shape, a.order) for k, a in arrays.items()},
        (*loaded.oddities, *found.notes),
        skeleton_of(pickled, loaded.arrays, LAST_KEYS) if alike else None,
    )
    if layout.skeleton:
        _remember(layout)
    others = {k: numbers for k, numbers in found.arrays.items() if k not in arrays}
    contents = [array.content for array in loaded.arrays]
    step = flat.get("global_step")
    step = step if type(step) is int else None
    return StoredFrame(layout, contents, "", step, others), flat.get("frame_id")


def _flat(content: Mapping[Any, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if type(value) is dict and value:
            flat.update({f"{key}.{inner}": item for inner, item in value.items()})
        else:
            flat[str(key)] = value
    return flat


class Form(NamedTuple):
    """A file's entries against the tracker's."""

    arrays: dict[str, Numbers]  # those of `SHAPES` that can be read, in their shapes there
    problems: tuple[str, ...]  # why they hold no camera
    notes: tuple[str, ...]  # other differences

    @staticmethod
    def of(flat: Mapping[str, Any]) -> Form:
        arrays: dict[str, Numbers] = {}
        missing = _missing_keys(flat)
        problems = [missing] if missing else []
        notes: list[str] = []
        spellings: dict[str, list[str]] = {}
        for key in [key for key in SHAPES if key in flat]:
            numbers = _numbers(key, flat[key])
            if numbers is None:
                (problems if key in NEEDED else notes).append(_wrong_shape(key, flat[key]))
                continue
            arrays[key] = numbers
            for spelling in _spellings(key, flat[key]):
                spellings.setdefault(spelling, []).append(key)
        absent = [k for k in (*SHAPES, "global_step") if k not in flat and k not in NEEDED]
        if absent:
            notes.append(f"lacks {', '.join(absent)}")
        if "global_step" in flat and type(flat["global_step"]) is not int:
            notes.append(f"global_step is {describe(flat['global_step'])}, not a whole number")
        if more := [_short(k) for k in flat if k not in SHAPES and k not in LAST_KEYS]:
            notes.append(f"{len(more)} entries that the tracker does not write: {_listed(more)}")
        notes += [f"{_listed(keys)} {spelling}" for spelling, keys in spellings.items()]
        return Form(arrays, tuple(problems), tuple(notes))


def _spellings(key: str, value: Any) -> Iterator[str]:
    """How an entry that can be read is stored otherwise than the tracker does."""
    if type(value) not in (Array, Tensor):
        yield "in lists"
        return
    if type(value) is Tensor:
        yield "as torch tensors"
    if _with_batch(key, value.shape) != value.shape:
        yield "in other shapes"
    # The tracker's numbers are float32, and two whole ones.
    if value.dtype[1] != ("i" if key == "img_size" else "f") or value.dtype == "<f8":
        yield f"as {np.dtype(value.dtype).name}"


def _numbers(key: str, value: Any) -> Numbers | None:
    """An entry in the tracker's shape; None where it is something else, or too coarse for a camera."""
    if type(value) in (Array, Tensor):
        if key in NEEDED and value.dtype in ("<f2", "|b1"):
            return None
        shape = _with_batch(key, value.shape)
        numbers: Numbers | None = value.numpy().reshape(shape) if shape else None
        return numbers
    if type(value) not in (list, tuple):
        return None
    listed = _from_lists(value)
    shape = _with_batch(key, listed.shape) if listed is not None else None
    return listed.reshape(shape) if listed is not None and shape else None


def _with_batch(key: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The tracker's shape of an entry of this one, which may lack the batch axis; None: it is another."""
    expected = SHAPES[key]
    lead = 1 if expected[0] == 1 else 0
    tail, found = expected[lead:], shape
    if key == "opencv.t" and found[-2:] == (3, 1):
        found = found[:-1]
    while len(found) > len(tail) and found[0] == 1:
        found = found[1:]
    if found == () and tail == (1,):
        found = (1,)
    fits = len(found) == len(tail) and all(t in (-1, n) for t, n in zip(tail, found))
    return (1,) * lead + found if fits else None


MAX_LISTED = 4096


def _from_lists(value: Any) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """Numbers in lists of lists, all alike; None where it is something else. Bounded in depth and count."""
    rows: list[Any] = [value]
    shape: list[int] = []
    for _ in range(4):
        if type(rows[0]) not in (list, tuple):
            break
        length = len(rows[0])
        if not 0 < length * len(rows) <= MAX_LISTED:
            return None
        if any(type(row) not in (list, tuple) or len(row) != length for row in rows):
            return None
        shape.append(length)
        rows = [item for row in rows for item in row]
    if any(type(item) not in (int, float) for item in rows):
        return None
    return np.array(rows, np.float64).reshape(shape)


def _missing_keys(flat: Mapping[str, Any]) -> str:
    """Which keys of `NEEDED` are missing, and what is there instead; "" when all are there."""
    missing = [key for key in NEEDED if key not in flat]
    if not missing:
        return ""
    found = [_short(key) for key in tuple(flat)[:40]]
    more = f" and {len(flat) - 40} more" if len(flat) > 40 else ""
    return f"lacks {', '.join(missing)}; it holds {', '.join(found) or 'nothing'}{more}"


def _wrong_shape(key: str, value: Any) -> str:
    expected = " x ".join("n" if n < 0 else str(n) for n in SHAPES[key])
    coarse = type(value) in (Array, Tensor) and value.dtype in ("<f2", "|b1")
    why = f" as {np.dtype(value.dtype).name}, too coarse for a camera" if coarse else ""
    return f"{key} must be an array of {expected}; it is {describe(value)}{why}"


def _short(key: str) -> str:
    return key if key.isprintable() and len(key) <= 60 else repr(key[:60])


def _listed(names: list[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
