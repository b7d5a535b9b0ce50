"""Plain data out of a pickle that torch.save wrote, without unpickling it.

A small stack machine knows the opcodes of protocol 2 that plain data needs and the handful of
names that numpy uses; anything else is refused by name. Nothing of the file is ever called or
imported: arrays become `Array` values that hold shape, dtype and bytes. Every count is bounded by
bytes that are really there, so a small file cannot ask for much memory or time.

Containers may share parts or hold themselves: walk them only to a fixed depth.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from being_remote.errors import UnsafeFile

if TYPE_CHECKING:
    from collections.abc import Callable

# A genuine `.frame` has about 550; a fork's extra arrays add 30 each.
MAX_OPCODES = 20_000
MAX_DIMENSIONS = 8

# The tracker writes f4 and i8; boxes made by hand come in whole numbers of any size.
_DTYPES = {
    **{code: (f"<{code}", int(code[1])) for code in ("f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8")},
    **{code: (f"|{code}", 1) for code in ("i1", "u1")},
}
_FLOATS = {"FloatStorage": 4, "DoubleStorage": 8}
_STORAGES = {
    **_FLOATS,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
}
_INT, _UNSIGNED, _SHORT, _DOUBLE = (struct.Struct(f) for f in ("<i", "<I", "<H", ">d"))


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
    """A torch tensor as the file describes it; its numbers are left to torch."""

    __slots__ = ("shape",)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


class _Dtype:
    __slots__ = ("built", "code")

    def __init__(self, code: str) -> None:
        self.code, self.built = code, False


class _Storage:
    __slots__ = ("count",)

    def __init__(self, count: int) -> None:
        self.count = count


class _Malformed(Exception):
    """Not a pickle that torch.save writes; the text says why."""


def load(data: bytes, name: str, storages: dict[str, int] | None = None) -> tuple[Any, list[Array]]:
    """Run the pickle.

    Args:
        data: the pickle, as stored in the archive.
        name: of the file, as it is to stand in messages.
        storages: bytes of each tensor storage in the archive, by key; None refuses tensors.

    Returns:
        Its value, made of None, bool, int, float, str, bytes, tuple, list, dict, `Array` and
        `Tensor`; and its arrays in the order in which the file fills them.

    Raises:
        UnsafeFile: it asks for something by name that plain data does not need, for more than its
            own bytes can back, or it is no such pickle. The text says what was found.
    """
    try:
        return _run(data, storages)
    except _Malformed as e:
        what = str(e)
    except (IndexError, struct.error):
        what = "holds a pickle that ends too early or takes more than it put down"
    except UnicodeError:
        what = "holds text that is not well formed"
    raise UnsafeFile(what, file=name, hint="it was not opened; fetch the original again or leave it")


def _run(data: bytes, storages: dict[str, int] | None) -> tuple[Any, list[Array]]:
    if data[:2] != b"\x80\x02":
        raise _Malformed("holds a pickle of another protocol than torch.save's 2")
    names = _NAMES if storages is None else _NAMES_WITH_TENSORS
    size, at = len(data), 2
    stack: list[Any] = []
    below: list[list[Any]] = []  # the stacks under each open mark
    memo: list[Any] = []
    arrays: list[Array] = []
    encoded = unfilled = 0
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
            if type(made) is bytes:
                # One text can be encoded again and again; honest files do it once for each array.
                encoded += len(made)
                if encoded > size:
                    raise _Malformed("builds more bytes than it holds")
            elif type(made) is Array:
                unfilled += 1
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
            if asked not in names:
                raise _Malformed(f"asks for {_spelled(asked)}")
            stack.append(names[asked])
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
        elif op == 0x51 and storages is not None:  # BINPERSID
            stack.append(_storage(stack.pop(), storages))
        elif op == 0x2E:  # STOP
            if at != size or below or len(stack) != 1 or unfilled:
                raise _Malformed("holds a pickle with something left over at its end")
            return stack[0], arrays
        else:
            raise _Malformed(f"uses pickle opcode 0x{op:02x}, which plain data does not need")
    raise _Malformed(f"takes more than {MAX_OPCODES} pickle opcodes")


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


def _storage(claim: Any, storages: dict[str, int]) -> _Storage:
    if type(claim) is not tuple or len(claim) != 5 or type(claim[1]) is not _StorageClass:
        raise _Malformed("points to a tensor storage in another way than torch does")
    word, kind, key, _, count = claim
    if word != "storage" or type(key) is not str or type(count) is not int or key not in storages:
        raise _Malformed("points to a tensor storage that is not in the archive")
    if count * kind.item_bytes != storages[key]:
        raise _Malformed(f"has a tensor storage that claims {count} items and holds {storages[key]} bytes")
    return _Storage(count)


def _tensor(arguments: tuple[Any, ...]) -> Tensor:
    if len(arguments) != 6 or type(arguments[0]) is not _Storage or type(arguments[4]) is not bool:
        raise _Malformed("makes a tensor in another way than torch does")
    storage, offset, shape, strides, _, hooks = arguments
    (offset,) = _counts((offset,), "a tensor offset")
    shape, strides = _counts(shape, "a tensor shape"), _counts(strides, "tensor strides")
    if len(shape) != len(strides) or hooks != {}:
        raise _Malformed("makes a tensor in another way than torch does")
    reach = offset + sum((shape[i] - 1) * strides[i] for i in range(len(shape)))
    # A stride of 0 would show one number a billion times.
    if reach >= storage.count or _product(shape) > storage.count:
        raise _Malformed("has a tensor that reaches beyond its storage")
    return Tensor(shape)


class _StorageClass:
    __slots__ = ("item_bytes",)

    def __init__(self, item_bytes: int) -> None:
        self.item_bytes = item_bytes


_NDARRAY = object()
_NAMES: dict[bytes, object] = {
    b"numpy\nndarray": _NDARRAY,
    b"numpy\ndtype": _Maker(_dtype),
    b"_codecs\nencode": _Maker(_encode),
    b"__builtin__\nbytes": _Maker(_no_bytes),
    # numpy 1 and numpy 2 spell the same two functions differently.
    **{b"numpy.%s.multiarray\n_reconstruct" % core: _Maker(_array) for core in (b"core", b"_core")},
    **{b"numpy.%s.multiarray\nscalar" % core: _Maker(_scalar) for core in (b"core", b"_core")},
}
_NAMES_WITH_TENSORS: dict[bytes, object] = {
    **_NAMES,
    b"torch._utils\n_rebuild_tensor_v2": _Maker(_tensor),
    b"collections\nOrderedDict": _Maker(_ordered_dict),
    **{b"torch\n%s" % kind.encode(): _StorageClass(size) for kind, size in _STORAGES.items()},
}
