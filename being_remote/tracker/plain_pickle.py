"""Plain data out of a pickle that torch.save wrote, without unpickling it.

A small stack machine knows the opcodes that plain data needs (protocol 2, which the tracker writes,
and what 3 to 5 add) and the handful of names that numpy and torch use; anything else is refused by
name. Nothing of the file is ever called or imported: arrays and tensors become `Array` and `Tensor`
values that hold shape, dtype and bytes. Every count is bounded by bytes that are really there, so a
small file cannot ask for much memory or time.

Containers may share parts or hold themselves: walk them only to a fixed depth.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from being_remote.errors import UnsafeFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
_INT, _UNSIGNED, _SHORT, _DOUBLE = (struct.Struct(f) for f in ("<i", "<I", "<H", ">d"))
_LONG = struct.Struct("<Q")


class Array:
    """A numpy array as the file describes it: dtype as in "<f4", order "C" or "F", and its bytes."""

    __slots__ = ("content", "dtype", "order", "shape")

    shape: tuple[int, ...]
    content: bytes
    dtype: str
    order: Literal["C", "F"]

    def numpy(self) -> np.ndarray[Any, np.dtype[Any]]:
        """The array over the file's own bytes: read-only, no copy is made."""
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
        """As numpy spells it, with its byte order."""
        return self._storage.dtype

    def numpy(self) -> np.ndarray[Any, np.dtype[Any]]:
        """Its numbers, read-only. That they lie inside the storage was checked when it was built."""
        numbers = np.frombuffer(self._storage.content, self.dtype)
        if not _product(self.shape):
            return numbers[:0].reshape(self.shape)
        item = numbers.itemsize
        view = np.lib.stride_tricks.as_strided(
            numbers[self._offset :], self.shape, [n * item for n in self._strides], writeable=False
        )
        return view


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
    """The tensor storages of one file, by key.

    Args:
        found: their bytes; None: they follow the pickle, so that claims are checked by the caller.
    """

    def __init__(self, found: Mapping[str, memoryview] | None) -> None:
        self._found = found
        self.claimed: dict[str, Storage] = {}

    def claim(self, code: str, key: str, count: int) -> Storage:
        """The storage of that key, if the pickle says of it what is there."""
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
    """What a pickle holds.

    Attributes:
        value: made of None, bool, int, float, str, bytes, tuple, list, dict, `Array` and `Tensor`.
        arrays: its arrays in the order in which the file fills them.
        oddities: how it is spelled otherwise than the tracker's, in words.
        end: where it ends in the data.
    """

    value: Any
    arrays: list[Array]
    oddities: tuple[str, ...]
    end: int


class _Malformed(Exception):
    """Not a pickle that torch.save writes; the text says why."""


def load(
    data: bytes, name: str, storages: Storages | None = None, start: int = 0, *, whole: bool = True
) -> Loaded:
    """Run the pickle.

    Args:
        data: the pickle, as stored in the archive.
        name: of the file, as it is to stand in messages.
        storages: of the file's tensors; None: it has none.
        start: where it begins in the data.
        whole: nothing may follow it.

    Raises:
        UnsafeFile: it asks for something by name that plain data does not need, for more than its
            own bytes can back, or it is no such pickle. The text says what was found.
    """
    try:
        return _run(data, start, storages or Storages({}), whole)
    except _Malformed as e:
        what = str(e)
    except (IndexError, struct.error):
        what = "holds a pickle that ends too early or takes more than it put down"
    except UnicodeError:
        what = "holds text that is not well formed"
    raise UnsafeFile(what, file=name, hint="it was not opened; fetch the original again or leave it")


def _run(data: bytes, start: int, storages: Storages, whole: bool) -> Loaded:
    protocol = data[start + 1] if data[start : start + 1] == b"\x80" else 0
    if protocol not in PROTOCOLS:
        raise _Malformed("holds a pickle of another protocol than torch.save's 2, or 3 to 5")
    oddities = {} if protocol == 2 else {f"pickle protocol {protocol}": None}
    size, at = len(data), start + 2
    stack: list[Any] = []
    below: list[list[Any]] = []  # the stacks under each open mark
    memo: list[Any] = []
    arrays: list[Array] = []
    encoded = unfilled = ordered = 0
    # The commonest opcodes come first: this loop is what reading a run costs.
    for _ in range(MAX_OPCODES):
        op = data[at]
        at += 1
        if op == 0x71:  # BINPUT
            if data[at] != len(memo):
                raise _Malformed(f"claims memo slot {data[at]} where {len(memo)} is the next")
            memo.append(stack[-1])
            at += 1
        elif op == 0x68:  # BINGET
            stack.append(memo[data[at]])
            at += 1
        elif op == 0x4B:  # BININT1
            stack.append(data[at])
            at += 1
        elif op == 0x58:  # BINUNICODE
            (length,) = _UNSIGNED.unpack_from(data, at)
            at += 4
            if length > size - at:
                raise _Malformed(f"claims {length} bytes of text and holds {size - at}")
            stack.append(str(data[at : at + length], "utf-8"))
            at += length
        elif op == 0x52:  # REDUCE
            arguments, maker = stack.pop(), stack.pop()
            if type(maker) is not _Maker or type(arguments) is not tuple:
                raise _Malformed("calls something that is no maker of plain data")
            made = maker.make(arguments)
            stack.append(made)
            if type(made) is bytes and maker.make is _encode:
                # One text can be encoded again and again; honest files do it once for each array.
                encoded += len(made)
                if encoded > size:
                    raise _Malformed("builds more bytes than it holds")
            elif type(made) is Array and hasattr(made, "shape"):
                arrays.append(made)
            elif type(made) is Array:
                unfilled += 1
            elif type(made) is Tensor:
                ordered -= 1  # the hooks that each tensor brings along
            elif type(made) is dict:
                ordered += 1
        elif op == 0x86:  # TUPLE2
            last = stack.pop()
            stack[-1] = (stack[-1], last)
        elif op == 0x28:  # MARK
            below.append(stack)
            stack = []
        elif op == 0x87:  # TUPLE3
            last, second = stack.pop(), stack.pop()
            stack[-1] = (stack[-1], second, last)
        elif op == 0x89:  # NEWFALSE
            stack.append(False)
        elif op == 0x74:  # TUPLE
            items = stack
            stack = below.pop()
            stack.append(tuple(items))
        elif op == 0x62:  # BUILD
            state, target = stack.pop(), stack[-1]
            if type(target) is Array:
                _build_array(target, state)
                arrays.append(target)
                unfilled -= 1
            elif type(target) is _Dtype:
                _build_dtype(target, state)
            else:
                raise _Malformed("sets the state of something that has none")
        elif op == 0x85:  # TUPLE1
            stack[-1] = (stack[-1],)
        elif op == 0x75:  # SETITEMS
            items = stack
            stack = below.pop()
            _set_items(stack[-1], items)
        elif op == 0x4A:  # BININT
            stack.append(_INT.unpack_from(data, at)[0])
            at += 4
        elif op == 0x4D:  # BININT2
            stack.append(_SHORT.unpack_from(data, at)[0])
            at += 2
        elif op == 0x4E:  # NONE
            stack.append(None)
        elif op == 0x7D:  # EMPTY_DICT
            stack.append({})
        elif op == 0x63:  # GLOBAL
            middle = data.find(b"\n", at, at + 200)
            end = data.find(b"\n", middle + 1, middle + 200)
            if middle < 0 or end < 0:
                raise _Malformed("asks for a name that has no end")
            asked = data[at:end]
            stack.append(_named(asked))
            at = end + 1
        elif op == 0x72:  # LONG_BINPUT
            (slot,) = _UNSIGNED.unpack_from(data, at)
            if slot != len(memo):
                raise _Malformed(f"claims memo slot {slot} where {len(memo)} is the next")
            memo.append(stack[-1])
            at += 4
        elif op == 0x6A:  # LONG_BINGET
            stack.append(memo[_UNSIGNED.unpack_from(data, at)[0]])
            at += 4
        elif op == 0x88:  # NEWTRUE
            stack.append(True)
        elif op == 0x47:  # BINFLOAT
            stack.append(_DOUBLE.unpack_from(data, at)[0])
            at += 8
        elif op == 0x5D:  # EMPTY_LIST
            stack.append([])
        elif op == 0x29:  # EMPTY_TUPLE
            stack.append(())
        elif op == 0x65:  # APPENDS
            items = stack
            stack = below.pop()
            _append(stack[-1], items)
        elif op == 0x61:  # APPEND
            last = stack.pop()
            _append(stack[-1], [last])
        elif op == 0x73:  # SETITEM
            last, key = stack.pop(), stack.pop()
            _set_items(stack[-1], [key, last])
        elif op == 0x8A:  # LONG1
            if data[at] > 8:
                raise _Malformed(f"holds a whole number of {data[at]} bytes")
            stack.append(int.from_bytes(data[at + 1 : at + 1 + data[at]], "little", signed=True))
            at += 1 + data[at]
        elif op == 0x51:  # BINPERSID
            stack.append(_storage(stack.pop(), storages))
        elif op == 0x2E:  # STOP
            if (whole and at != size) or below or len(stack) != 1 or unfilled:
                raise _Malformed("holds a pickle with something left over at its end")
            if ordered > 0:
                oddities["an OrderedDict"] = None
            return Loaded(stack[0], arrays, tuple(oddities), at)
        elif op == 0x94 and protocol >= 4:  # MEMOIZE
            memo.append(stack[-1])
        elif op == 0x8C and protocol >= 4:  # SHORT_BINUNICODE
            text, at = _taken(data, at + 1, data[at], "text")
            stack.append(str(text, "utf-8"))
        elif op == 0x43 and protocol >= 3:  # SHORT_BINBYTES
            content, at = _taken(data, at + 1, data[at], "bytes")
            stack.append(content)
        elif op == 0x42 and protocol >= 3:  # BINBYTES
            content, at = _taken(data, at + 4, _UNSIGNED.unpack_from(data, at)[0], "bytes")
            stack.append(content)
        elif op == 0x96 and protocol >= 5:  # BYTEARRAY8
            content, at = _taken(data, at + 8, _LONG.unpack_from(data, at)[0], "bytes")
            stack.append(content)
        elif op == 0x93 and protocol >= 4:  # STACK_GLOBAL
            name, module = stack.pop(), stack.pop()
            if type(name) is not str or type(module) is not str:
                raise _Malformed("asks for a name that is no text")
            stack.append(_named(f"{module}\n{name}".encode()))
        elif op == 0x95 and protocol >= 4:  # FRAME
            _taken(data, at + 8, _LONG.unpack_from(data, at)[0], "a frame")
            at += 8
        else:
            raise _Malformed(f"uses pickle opcode 0x{op:02x}, which plain data does not need")
    raise _Malformed(f"takes more than {MAX_OPCODES} pickle opcodes")


def _taken(data: bytes, at: int, length: int, what: str) -> tuple[bytes, int]:
    """So many bytes, and where they end; a frame is only measured."""
    if length > len(data) - at:
        raise _Malformed(f"claims {length} bytes of {what} and holds {max(len(data) - at, 0)}")
    return b"" if what == "a frame" else data[at : at + length], at + length


def _named(asked: bytes) -> object:
    """What `module\\nname` stands for here."""
    if asked not in _NAMES:
        raise _Malformed(f"asks for {_spelled(asked)}")
    return _NAMES[asked]


def _set_items(target: Any, items: list[Any]) -> None:
    if type(target) is not dict or len(items) % 2 or any(type(k) not in (str, int) for k in items[::2]):
        raise _Malformed("sets items of something that is no dict of names")
    for i in range(0, len(items), 2):
        target[items[i]] = items[i + 1]


def _append(target: Any, items: list[Any]) -> None:
    if type(target) is not list:
        raise _Malformed("appends to something that is no list")
    target.extend(items)


def _spelled(asked: bytes) -> str:
    """A global's name for a message: `os.system`; repr() where it holds anything odd."""
    text = asked[:100].decode("utf-8", "backslashreplace").replace("\n", ".")
    return text if text.isprintable() else repr(text)


def _counts(value: Any, what: str) -> tuple[int, ...]:
    whole = type(value) is tuple and all(type(n) is int and n >= 0 for n in value)
    if not whole or len(value) > MAX_DIMENSIONS:
        raise _Malformed(f"has {what} that is not up to {MAX_DIMENSIONS} whole numbers")
    return tuple(value)


def _product(counts: tuple[int, ...]) -> int:
    total = 1
    for n in counts:
        total *= n
    return total


def _build_dtype(dtype: _Dtype, state: Any) -> None:
    order = _DTYPES[dtype.code][0][0]
    if dtype.built or state != (3, order, None, None, None, -1, -1, 0):
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
    claimed = _product(shape) * item_bytes
    if claimed != len(content):
        raise _Malformed(f"has an array that claims {claimed} bytes and holds {len(content)}")
    array.shape, array.dtype, array.content = shape, spelled, content
    array.order = "F" if fortran else "C"


class _Maker:
    """What a name in the file stands for here; only `_run` ever calls it."""

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
    if (0 not in shape and reach >= storage.count) or _product(shape) > storage.count:
        raise _Malformed("has a tensor that reaches beyond its storage")
    storage.shown += _product(shape)
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
