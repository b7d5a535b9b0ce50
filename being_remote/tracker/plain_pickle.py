"""Read plain data out of a pickle that torch.save wrote, without unpickling it.

A small stack machine knows the opcodes that plain data needs (protocol 2, which the tracker writes,
and what 3 to 5 add) and the names that numpy and torch use; anything else is refused by name. Nothing
of the file is ever called or imported: arrays and tensors become `Array` and `Tensor` values. Every
count is bounded by the bytes that are there, so a small file cannot ask for much memory or time.

Containers may share parts or hold themselves: walk them only to a fixed depth.
"""

from __future__ import annotations

import math
import struct
from typing import Any, Callable, List, Literal, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from being_remote.errors import UnsafeFile
from being_remote.tracker.torch_zip import NOT_OPENED

# A genuine `.frame` has about 550; a fork's extra arrays add 30 each.
MAX_OPCODES = 20_000
MAX_DIMENSIONS = 8
PROTOCOLS = (2, 3, 4, 5)
# Views of one storage: a fork may save a few, a bomb shows the same numbers again and again.
MAX_VIEWS = 8

# The tracker writes f4 and i8; forks and boxes made by hand have numbers of other sizes.
_DTYPES = {
    **{code: (f"<{code}", int(code[1])) for code in ("f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8")},
    **{code: (f"|{code}", 1) for code in ("b1", "i1", "u1")},
}
_STORAGES = {
    "HalfStorage": "f2",
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}
_BYTE = None  # the commonest, read without unpacking
_SHORT, _UNSIGNED, _LONG = (struct.Struct(f) for f in ("<H", "<I", "<Q"))
_INT, _DOUBLE = struct.Struct("<i"), struct.Struct(">d")


def as_float64(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Numbers of a file, of any type, as float64; numpy would warn of some that are not finite.

    >>> as_float64(np.frombuffer(bytes([1, 0, 128, 127]), "<f4"))
    array([nan])
    """
    with np.errstate(all="ignore"):
        return np.asarray(values, np.float64)


class Array:
    """A numpy array as the file describes it: dtype as in "<f4", order "C" or "F", and its bytes."""

    __slots__ = ("content", "dtype", "order", "shape")

    shape: tuple[int, ...]
    content: bytes
    dtype: str
    order: Literal["C", "F"]

    def numpy(self) -> np.ndarray[Any, np.dtype[Any]]:
        """The array over the file's own bytes, read-only."""
        return np.frombuffer(self.content, self.dtype).reshape(self.shape, order=self.order)


class Tensor:
    """A torch tensor as the file describes it: a view of one storage, dtype as in "<f4"."""

    __slots__ = ("_offset", "_storage", "_strides", "shape")

    def __init__(
        self, storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> None:
        self._storage, self._offset, self._strides, self.shape = storage, offset, strides, shape

    @property
    def dtype(self) -> str:
        return self._storage.dtype

    def numpy(self) -> np.ndarray[Any, np.dtype[Any]]:
        """Its numbers, read-only. That they lie inside the storage was checked when it was built."""
        numbers = np.frombuffer(self._storage.content, self.dtype)
        if not math.prod(self.shape):
            return numbers[:0].reshape(self.shape)
        item = numbers.itemsize
        strides = [n * item for n in self._strides]
        return np.lib.stride_tricks.as_strided(numbers[self._offset :], self.shape, strides, writeable=False)


class _Dtype:
    __slots__ = ("built", "code")

    def __init__(self, code: str) -> None:
        self.code, self.built = code, False


class Storage:
    """The numbers that tensors are views of; `content` of a file without an archive comes later."""

    __slots__ = ("content", "count", "dtype", "item_bytes", "shown")

    content: bytes | memoryview

    def __init__(self, code: str, count: int) -> None:
        self.dtype, self.item_bytes = _DTYPES[code]
        self.count, self.shown = count, 0


class Storages:
    """The tensor storages of one file, by key; `found` are their bytes, None where they follow the pickle."""

    def __init__(self, found: Mapping[str, memoryview] | None) -> None:
        self._found = found
        self.claimed: dict[str, Storage] = {}

    def claim(self, code: str, key: str, count: int) -> Storage:
        """The storage of that key; refused where the pickle's claim does not fit it."""
        if self._found is not None and key not in self._found:
            raise _Malformed("points to a tensor storage that is not in the archive")
        storage = self.claimed.setdefault(key, Storage(code, count))
        if (storage.dtype, storage.count) != (_DTYPES[code][0], count) or count < 0:
            raise _Malformed("has a tensor storage that it describes twice, and differently")
        if self._found is not None:
            held = len(self._found[key])
            if count * storage.item_bytes != held:
                raise _Malformed(f"has a tensor storage that claims {count} items and holds {held} bytes")
            storage.content = self._found[key]
        return storage


class Loaded(NamedTuple):
    """The contents of a pickle."""

    value: Any  # made of None, bool, int, float, str, bytes, tuple, list, dict, `Array` and `Tensor`
    arrays: list[Array]  # its arrays in the order in which the file fills them
    oddities: tuple[str, ...]  # how its format differs from the tracker's, in words
    end: int  # where it ends in the data


class _Malformed(Exception):
    """Not a pickle that torch.save writes; the text says why."""


def load(
    data: bytes, name: str, storages: Storages | None = None, start: int = 0, *, whole: bool = True
) -> Loaded:
    """Run the pickle `data[start:]`; `whole`: nothing may follow it. `name` is the file's, for messages.

    Raises:
        UnsafeFile: it asks for a name that plain data does not need, or for more than its own bytes
            can back, or torch.save writes no such pickle.
    """
    try:
        return _Machine(data, start, storages or Storages({}), whole=whole).run()
    except _Malformed as e:
        what = str(e)
    except (IndexError, struct.error):
        what = "holds a pickle that ends too early or takes more than it put down"
    except UnicodeError:
        what = "holds text that is not valid UTF-8 or Latin-1"
    raise UnsafeFile(what, file=name, hint=NOT_OPENED)


class _Machine:
    """The stack machine on one pickle. The data end with an IndexError or struct.error."""

    def __init__(self, data: bytes, start: int, storages: Storages, *, whole: bool) -> None:
        self.data, self.at, self.storages, self.whole = data, start + 2, storages, whole
        self.protocol = data[start + 1] if data[start : start + 1] == b"\x80" else 0
        if self.protocol not in PROTOCOLS:
            raise _Malformed("holds a pickle of another protocol than torch.save's 2, or 3 to 5")
        self.stack: List[Any] = []
        self.below: List[List[Any]] = []  # the stacks under each open mark
        self.memo: List[Any] = []
        self.arrays: List[Array] = []
        self.encoded = self.unfilled = self.ordered = 0

    def run(self) -> Loaded:
        data, protocol, opcodes = self.data, self.protocol, _OPCODES
        for _ in range(MAX_OPCODES):
            opcode = data[self.at]
            self.at += 1
            if opcode == _STOP:
                return self.stop()
            least, act, argument = opcodes.get(opcode, _UNKNOWN)
            if protocol < least:
                raise _Malformed(f"uses pickle opcode 0x{opcode:02x}, which plain data does not need")
            act(self, argument)
        raise _Malformed(f"takes more than {MAX_OPCODES} pickle opcodes")

    def stop(self) -> Loaded:
        if (self.whole and self.at != len(self.data)) or self.below or len(self.stack) != 1 or self.unfilled:
            raise _Malformed("holds a pickle with something left over at its end")
        oddities = [] if self.protocol == 2 else [f"pickle protocol {self.protocol}"]
        oddities += ["an OrderedDict"] if self.ordered > 0 else []
        return Loaded(self.stack[0], self.arrays, tuple(oddities), self.at)

    def read(self, layout: Optional[struct.Struct]) -> Any:
        at = self.at
        if layout is None:
            self.at = at + 1
            return self.data[at]
        self.at = at + layout.size
        return layout.unpack_from(self.data, at)[0]

    def take(self, length: int, what: str) -> bytes:
        at = self.at
        self.at = self.measure(length, what)
        return self.data[at : self.at]

    def measure(self, length: int, what: str) -> int:
        """Where the next `length` bytes end."""
        left = len(self.data) - self.at
        if length > left:
            raise _Malformed(f"claims {length} bytes of {what} and holds {max(left, 0)}")
        return self.at + length

    def marked(self) -> List[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def mark(self, _: None) -> None:
        self.below.append(self.stack)
        self.stack = []

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def push_new(self, kind: Callable[[], Any]) -> None:
        self.stack.append(kind())

    def push_number(self, layout: Optional[struct.Struct]) -> None:
        self.stack.append(self.read(layout))

    def push_long(self, _: None) -> None:
        length = self.read(_BYTE)
        if length > 8:
            raise _Malformed(f"holds a whole number of {length} bytes")
        self.stack.append(int.from_bytes(self.take(length, "a number"), "little", signed=True))

    def push_text(self, length: Optional[struct.Struct]) -> None:
        self.stack.append(str(self.take(self.read(length), "text"), "utf-8"))

    def push_bytes(self, length: Optional[struct.Struct]) -> None:
        self.stack.append(self.take(self.read(length), "bytes"))

    def check_frame(self, length: struct.Struct) -> None:
        self.measure(self.read(length), "a frame")

    def memoize(self, _: None) -> None:
        self.memo.append(self.stack[-1])

    def memoize_at(self, layout: Optional[struct.Struct]) -> None:
        slot = self.read(layout)
        if slot != len(self.memo):
            raise _Malformed(f"claims memo slot {slot} where {len(self.memo)} is the next")
        self.memo.append(self.stack[-1])

    def recall(self, layout: Optional[struct.Struct]) -> None:
        self.stack.append(self.memo[self.read(layout)])

    def push_tuple(self, count: int) -> None:
        items = tuple(self.stack.pop() for _ in range(count))
        self.stack.append(items[::-1])

    def close_tuple(self, _: None) -> None:
        items = tuple(self.marked())
        self.stack.append(items)

    def set_item(self, _: None) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _set_items(self.stack[-1], [key, value])

    def close_items(self, _: None) -> None:
        items = self.marked()
        _set_items(self.stack[-1], items)

    def append(self, _: None) -> None:
        item = self.stack.pop()
        _append(self.stack[-1], [item])

    def close_list(self, _: None) -> None:
        items = self.marked()
        _append(self.stack[-1], items)

    def push_global(self, _: None) -> None:
        middle = self.data.find(b"\n", self.at, self.at + 200)
        end = self.data.find(b"\n", middle + 1, middle + 200)
        if middle < 0 or end < 0:
            raise _Malformed("asks for a name that has no end")
        self.stack.append(_named(self.data[self.at : end]))
        self.at = end + 1

    def push_stack_global(self, _: None) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise _Malformed("asks for a name that is not text")
        self.stack.append(_named(f"{module}\n{name}".encode()))

    def push_storage(self, _: None) -> None:
        self.stack.append(_storage(self.stack.pop(), self.storages))

    def reduce(self, _: None) -> None:
        arguments, maker = self.stack.pop(), self.stack.pop()
        if type(maker) is not _Maker or type(arguments) is not tuple:
            raise _Malformed("calls something that does not make plain data")
        made = maker.make(arguments)
        self.stack.append(made)
        if type(made) is bytes and maker.make is _encode:
            # One text can be encoded again and again; honest files do it once for each array.
            self.encoded += len(made)
            if self.encoded > len(self.data):
                raise _Malformed("builds more bytes than it holds")
        elif type(made) is Array and hasattr(made, "shape"):
            self.arrays.append(made)
        elif type(made) is Array:
            self.unfilled += 1
        elif type(made) is Tensor:
            self.ordered -= 1  # the hooks that each tensor brings along
        elif type(made) is dict:
            self.ordered += 1

    def build(self, _: None) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is Array:
            _build_array(target, state)
            self.arrays.append(target)
            self.unfilled -= 1
        elif type(target) is _Dtype:
            _build_dtype(target, state)
        else:
            raise _Malformed("sets the state of something that has none")

    def refuse(self, _: None) -> None:
        raise AssertionError("no protocol reaches this")


_STOP = 0x2E
_UNKNOWN: Tuple[int, Callable[[_Machine, Any], None], Any] = (256, _Machine.refuse, None)
# Opcode -> the least protocol that has it, what it does, and with which argument.
_OPCODES: Mapping[int, Tuple[int, Callable[[_Machine, Any], None], Any]] = {
    0x28: (2, _Machine.mark, None),  # MARK
    0x29: (2, _Machine.push_new, tuple),  # EMPTY_TUPLE
    0x42: (3, _Machine.push_bytes, _UNSIGNED),  # BINBYTES
    0x43: (3, _Machine.push_bytes, _BYTE),  # SHORT_BINBYTES
    0x47: (2, _Machine.push_number, _DOUBLE),  # BINFLOAT
    0x4A: (2, _Machine.push_number, _INT),  # BININT
    0x4B: (2, _Machine.push_number, _BYTE),  # BININT1
    0x4D: (2, _Machine.push_number, _SHORT),  # BININT2
    0x4E: (2, _Machine.push, None),  # NONE
    0x51: (2, _Machine.push_storage, None),  # BINPERSID
    0x52: (2, _Machine.reduce, None),  # REDUCE
    0x58: (2, _Machine.push_text, _UNSIGNED),  # BINUNICODE
    0x5D: (2, _Machine.push_new, list),  # EMPTY_LIST
    0x61: (2, _Machine.append, None),  # APPEND
    0x62: (2, _Machine.build, None),  # BUILD
    0x63: (2, _Machine.push_global, None),  # GLOBAL
    0x65: (2, _Machine.close_list, None),  # APPENDS
    0x68: (2, _Machine.recall, _BYTE),  # BINGET
    0x6A: (2, _Machine.recall, _UNSIGNED),  # LONG_BINGET
    0x71: (2, _Machine.memoize_at, _BYTE),  # BINPUT
    0x72: (2, _Machine.memoize_at, _UNSIGNED),  # LONG_BINPUT
    0x73: (2, _Machine.set_item, None),  # SETITEM
    0x74: (2, _Machine.close_tuple, None),  # TUPLE
    0x75: (2, _Machine.close_items, None),  # SETITEMS
    0x7D: (2, _Machine.push_new, dict),  # EMPTY_DICT
    0x85: (2, _Machine.push_tuple, 1),  # TUPLE1
    0x86: (2, _Machine.push_tuple, 2),  # TUPLE2
    0x87: (2, _Machine.push_tuple, 3),  # TUPLE3
    0x88: (2, _Machine.push, True),  # NEWTRUE
    0x89: (2, _Machine.push, False),  # NEWFALSE
    0x8A: (2, _Machine.push_long, None),  # LONG1
    0x8C: (4, _Machine.push_text, _BYTE),  # SHORT_BINUNICODE
    0x93: (4, _Machine.push_stack_global, None),  # STACK_GLOBAL
    0x94: (4, _Machine.memoize, None),  # MEMOIZE
    0x95: (4, _Machine.check_frame, _LONG),  # FRAME
    0x96: (5, _Machine.push_bytes, _LONG),  # BYTEARRAY8
}


def _named(name: bytes) -> object:
    """What `module\\nname` stands for here."""
    if name not in _NAMES:
        text = name[:100].decode("utf-8", "backslashreplace").replace("\n", ".")
        raise _Malformed(f"asks for {text if text.isprintable() else repr(text)}")
    return _NAMES[name]


def _set_items(target: Any, items: list[Any]) -> None:
    if type(target) is not dict or len(items) % 2 or any(type(k) not in (str, int) for k in items[::2]):
        raise _Malformed("sets items of something that is not a dict of names")
    for i in range(0, len(items), 2):
        target[items[i]] = items[i + 1]


def _append(target: Any, items: list[Any]) -> None:
    if type(target) is not list:
        raise _Malformed("appends to something that is not a list")
    target.extend(items)


def _counts(value: Any, what: str) -> tuple[int, ...]:
    whole = type(value) is tuple and all(type(n) is int and n >= 0 for n in value)
    if not whole or len(value) > MAX_DIMENSIONS:
        raise _Malformed(f"has {what} that is not up to {MAX_DIMENSIONS} whole numbers")
    return tuple(value)


def _build_dtype(dtype: _Dtype, state: Any) -> None:
    order = _DTYPES[dtype.code][0][0]
    if state != (3, order, None, None, None, -1, -1, 0):
        raise _Malformed("has a dtype that is not plain little-endian numbers")
    dtype.built = True


def _build_array(array: Array, state: Any) -> None:
    if type(state) is not tuple or len(state) != 5 or hasattr(array, "shape"):
        raise _Malformed("has an array whose state is not numpy's")
    version, shape, dtype, fortran, content = state
    shape = _counts(shape, "an array shape")
    if version != 1 or type(fortran) is not bool or type(dtype) is not _Dtype or not dtype.built:
        raise _Malformed("has an array whose state is not numpy's")
    spelled, item_bytes = _DTYPES[dtype.code]
    if type(content) is not bytes:
        raise _Malformed("has an array of objects, not of numbers")
    claimed = math.prod(shape) * item_bytes
    if claimed != len(content):
        raise _Malformed(f"has an array that claims {claimed} bytes and holds {len(content)}")
    array.shape, array.dtype, array.content = shape, spelled, content
    array.order = "F" if fortran else "C"


class _Maker:
    """What a name in the file stands for here; only `_Machine.reduce` calls it."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[tuple[Any, ...]], Any]) -> None:
        self.make = make


def _array(arguments: tuple[Any, ...]) -> Array:
    if len(arguments) != 3 or arguments[0] is not _NDARRAY or arguments[1:] != ((0,), b"b"):
        raise _Malformed("makes an array in another way than numpy does")
    return Array()


def _dtype(arguments: tuple[Any, ...]) -> _Dtype:
    if len(arguments) != 3 or type(arguments[0]) is not str or arguments[1:] != (False, True):
        raise _Malformed("makes a dtype in another way than numpy does")
    code = arguments[0]
    if code not in _DTYPES:
        kind = "objects" if code.startswith("O") else f"dtype {code[:20]!r}"
        raise _Malformed(f"has an array of {kind}; only {', '.join(_DTYPES)} are read")
    return _Dtype(code)


def _encode(arguments: tuple[Any, ...]) -> bytes:
    # Protocol 2 has no bytes: it stores text and the call that turns it back.
    if len(arguments) != 2 or type(arguments[0]) is not str or arguments[1] != "latin1":
        raise _Malformed("encodes something in another way than pickle does")
    encoded: bytes = arguments[0].encode("latin1")
    return encoded


def _no_bytes(arguments: tuple[Any, ...]) -> bytes:
    # How protocol 2 spells b"".
    if arguments:
        raise _Malformed("asks for __builtin__.bytes of something")
    return b""


def _scalar(arguments: tuple[Any, ...]) -> int | float:
    if len(arguments) != 2 or type(arguments[0]) is not _Dtype or type(arguments[1]) is not bytes:
        raise _Malformed("makes a number in another way than numpy does")
    dtype, content = arguments
    spelled, item_bytes = _DTYPES[dtype.code]
    if not dtype.built or len(content) != item_bytes:
        raise _Malformed(f"has a number of {dtype.code} in {len(content)} bytes")
    number: int | float = np.frombuffer(content, spelled)[0].item()
    return number


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[str, Any]:
    if arguments:
        raise _Malformed("asks for a filled collections.OrderedDict")
    return {}


def _frombuffer(arguments: tuple[Any, ...]) -> Array:
    # How protocol 5 spells an array; a last None says that its axes are in order.
    if len(arguments) == 5 and arguments[4] is None:
        arguments = arguments[:4]
    if len(arguments) != 4 or type(arguments[3]) is not str or arguments[3] not in ("C", "F"):
        raise _Malformed("makes an array in another way than numpy does")
    content, dtype, shape, order = arguments
    made = Array()
    _build_array(made, (1, shape, dtype, order == "F", content))
    return made


def _size(arguments: tuple[Any, ...]) -> tuple[int, ...]:
    if len(arguments) != 1:
        raise _Malformed("makes a torch.Size in another way than torch does")
    return _counts(arguments[0], "a torch.Size")


def _storage(claim: Any, storages: Storages) -> Storage:
    # Files without an archive say at the end whether a storage is a part of another; None: it is not.
    if type(claim) is tuple and len(claim) == 6 and claim[5] is None:
        claim = claim[:5]
    if type(claim) is not tuple or len(claim) != 5 or type(claim[1]) is not _StorageClass:
        raise _Malformed("points to a tensor storage in another way than torch does")
    word, kind, key, _, count = claim
    if word != "storage" or type(key) is not str or type(count) is not int:
        raise _Malformed("points to a tensor storage that is not in the archive")
    return storages.claim(kind.code, key, count)


def _tensor(arguments: tuple[Any, ...]) -> Tensor:
    if len(arguments) != 6 or type(arguments[0]) is not Storage or type(arguments[4]) is not bool:
        raise _Malformed("makes a tensor in another way than torch does")
    storage, offset, shape, strides, _, hooks = arguments
    (offset,) = _counts((offset,), "a tensor offset")
    shape, strides = _counts(shape, "a tensor shape"), _counts(strides, "tensor strides")
    if len(shape) != len(strides) or hooks != {}:
        raise _Malformed("makes a tensor in another way than torch does")
    reach = offset + sum((shape[i] - 1) * strides[i] for i in range(len(shape)))
    # A stride of 0 would show one number a billion times.
    if (0 not in shape and reach >= storage.count) or math.prod(shape) > storage.count:
        raise _Malformed("has a tensor that reaches beyond its storage")
    storage.shown += math.prod(shape)
    if storage.shown > MAX_VIEWS * storage.count:
        raise _Malformed("shows one tensor storage again and again")
    return Tensor(storage, offset, shape, strides)


def _parameter(arguments: tuple[Any, ...]) -> Tensor:
    if len(arguments) != 3 or type(arguments[0]) is not Tensor or arguments[2] != {}:
        raise _Malformed("makes a parameter in another way than torch does")
    made: Tensor = arguments[0]
    return made


class _StorageClass:
    __slots__ = ("code",)

    def __init__(self, code: str) -> None:
        self.code = code


_NDARRAY = object()
_NAMES: dict[bytes, object] = {
    b"numpy\nndarray": _NDARRAY,
    b"numpy\ndtype": _Maker(_dtype),
    b"_codecs\nencode": _Maker(_encode),
    b"__builtin__\nbytes": _Maker(_no_bytes),
    # numpy 1 and numpy 2 spell the same functions differently.
    **{b"numpy.%s.multiarray\n_reconstruct" % core: _Maker(_array) for core in (b"core", b"_core")},
    **{b"numpy.%s.multiarray\nscalar" % core: _Maker(_scalar) for core in (b"core", b"_core")},
    **{b"numpy.%s.numeric\n_frombuffer" % core: _Maker(_frombuffer) for core in (b"core", b"_core")},
    b"torch._utils\n_rebuild_tensor_v2": _Maker(_tensor),
    b"torch._utils\n_rebuild_parameter": _Maker(_parameter),
    b"torch\nSize": _Maker(_size),
    b"collections\nOrderedDict": _Maker(_ordered_dict),
    **{b"torch\n%s" % kind.encode(): _StorageClass(code) for kind, code in _STORAGES.items()},
}
