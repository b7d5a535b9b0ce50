"""The members of a small archive made by torch.save, or a refusal. Nothing is unpacked.

Only what torch itself writes is accepted: stored members, back to back from the first byte, then
the directory, then the end. So no byte is claimed twice, none is hidden between members, and no
other zip reader can see other contents. Every checksum is verified.
"""

from __future__ import annotations

import struct
import zlib
from typing import NoReturn

from being_remote.errors import TornFile, UnsafeFile

MAX_MEMBERS = 64

TORN = "it was cut short on its way or is still being written: `sync` again"
NOT_OPENED = "it was not opened; fetch the original again or leave it"

# Versions, times and attributes are skipped.
_LOCAL = struct.Struct("<4s2xHH4xIIIHH")
_CENTRAL = struct.Struct("<4s4xHH4xIIIHHH8xI")
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR64 = struct.Struct("<4sIQI")
_DESCRIPTOR = struct.Struct("<4sIII")

_HAS_DESCRIPTOR, _UTF8_NAME = 1 << 3, 1 << 11


def members(data: bytes, name: str) -> dict[str, memoryview]:
    """The archive's members by their names inside its one folder, e.g. `data.pkl`; `name` is for messages.

    Raises:
        TornFile: cut short, damaged, or not a zip archive.
        UnsafeFile: compressed, overlapping, hidden or repeated members, which torch does not write.
    """
    count, directory_size, directory_at, tail_at = _end_of(data, name)
    if count > MAX_MEMBERS:
        _unsafe(name, f"has {count} members, more than {MAX_MEMBERS}")
    if directory_at + directory_size != tail_at:
        _unsafe(name, "hides bytes around its directory")
    folder = ""
    found: dict[str, memoryview] = {}
    view, at, expected = memoryview(data), directory_at, 0
    for _ in range(count):
        if at + _CENTRAL.size > tail_at:
            _torn(name, "its directory is damaged")
        mark, flags, method, crc, packed, size, *lengths, start = _CENTRAL.unpack_from(data, at)
        raw = data[at + _CENTRAL.size : at + _CENTRAL.size + lengths[0]]
        at += _CENTRAL.size + sum(lengths)  # of name, extra and note
        if mark != b"PK\x01\x02" or at > tail_at:
            _torn(name, "its directory is damaged")
        if method != 0 or packed != size or flags & ~(_HAS_DESCRIPTOR | _UTF8_NAME):
            _unsafe(name, f"has a compressed or encrypted member {_text(raw)!r}")
        if start != expected:
            _unsafe(name, f"has a member {_text(raw)!r} that overlaps another or follows hidden bytes")
        body, expected = _body(view, start, raw, flags, size, crc, name)
        if expected > directory_at:
            _unsafe(name, f"has a member {_text(raw)!r} that reaches into the directory")
        if zlib.crc32(body) != crc:
            _torn(name, f"the checksum of its member {_text(raw)!r} is wrong")
        parent, _, inside = _text(raw).partition("/")
        if folder and parent != folder:
            _unsafe(name, f"has members in two folders, {folder!r} and {parent!r}")
        if not inside or inside in found:
            _unsafe(name, f"has a member {_text(raw)!r} that is repeated or has no name")
        folder, found[inside] = parent, body
    if at != tail_at or expected != directory_at:
        _unsafe(name, "hides bytes around its directory")
    return found


def _end_of(data: bytes, name: str) -> tuple[int, int, int, int]:
    """(members, bytes of the directory, where it starts, where it must end)."""
    if data[:4] != b"PK\x03\x04":
        if not data:
            _torn(name, "is empty")
        _torn(name, "is not an archive made by torch.save, or its start is damaged")
    end_at = len(data) - _END.size
    if end_at < 0 or data[end_at : end_at + 4] != b"PK\x05\x06":
        _torn(name, f"is cut short: {len(data)} bytes without its end")
    _, disk, start_disk, here, count, size, at, note_len = _END.unpack_from(data, end_at)
    if disk or start_disk or here != count or note_len:
        _unsafe(name, "has a directory that torch would not write")
    locator_at = end_at - _LOCATOR64.size
    if locator_at < 0 or data[locator_at : locator_at + 4] != b"PK\x06\x07":
        return count, size, at, end_at
    # torch always adds the 64-bit end as well; readers may use either, so both must say the same.
    _, disk, end64_at, disks = _LOCATOR64.unpack_from(data, locator_at)
    if end64_at != locator_at - _END64.size or disk or disks != 1:
        _unsafe(name, "has two ends that contradict each other")
    mark, length, _, _, disk, start_disk, here64, count64, size64, at64 = _END64.unpack_from(data, end64_at)
    agrees = (here64, count64, size64, at64) == (count, count, size, at)
    if mark != b"PK\x06\x06" or length != _END64.size - 12 or disk or start_disk or not agrees:
        _unsafe(name, "has two ends that contradict each other")
    return count, size, at, end64_at


def _body(
    data: memoryview, start: int, raw: bytes, flags: int, size: int, crc: int, name: str
) -> tuple[memoryview, int]:
    """A member's bytes and where it ends; its own header must say what the directory says."""
    if start + _LOCAL.size > len(data):
        _torn(name, f"its member {_text(raw)!r} lies outside the file")
    mark, own_flags, method, own_crc, packed, own_size, name_len, extra_len = _LOCAL.unpack_from(data, start)
    name_at = start + _LOCAL.size
    begin = name_at + name_len + extra_len
    end = begin + size
    described = bool(flags & _HAS_DESCRIPTOR)
    if end + (_DESCRIPTOR.size if described else 0) > len(data):
        _torn(name, f"its member {_text(raw)!r} lies outside the file")
    if described:
        # Sizes and checksum follow the contents; the header may leave them zero.
        same = _DESCRIPTOR.unpack_from(data, end) == (b"PK\x07\x08", crc, size, size)
        same = same and own_crc in (0, crc) and packed in (0, size) and own_size in (0, size)
    else:
        same = (own_crc, packed, own_size) == (crc, size, size)
    same_name = data[name_at : name_at + name_len] == raw
    if mark != b"PK\x03\x04" or own_flags != flags or method != 0 or not same_name or not same:
        _unsafe(name, f"describes its member {_text(raw)!r} twice, and differently")
    return data[begin:end], end + (_DESCRIPTOR.size if described else 0)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _torn(name: str, what: str) -> NoReturn:
    raise TornFile(what, file=name, hint=TORN)


def _unsafe(name: str, what: str) -> NoReturn:
    raise UnsafeFile(what, file=name, hint=NOT_OPENED)
