"""Files of torch.save, read in any of its formats (plain data, or a refusal) and written for numpy 1.

The tracker's torch writes a zip archive. Older ones, and `_use_new_zipfile_serialization=False`, write
pickles one behind the other and then the tensors' numbers; some converters write one bare pickle.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from typing import Any, NamedTuple

from being_remote.errors import TornFile, UnsafeFile, UsageError
from being_remote.tracker.plain_pickle import Loaded, Storages, load
from being_remote.tracker.torch_zip import TORN, members

# torch's magic number and version of the format before archives; each is a pickle of its own.
_MAGIC = (b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"M\xe9\x03.")
_FRAMED = 4  # the first protocol that says the length of what follows
_COUNT = struct.Struct("<q")
# Of a member of a zip: its header without the name, the head of an extra field, and where contents begin.
_HEADER_BYTES, _EXTRA, _ALIGNMENT = 30, struct.Struct("<2sH"), 64

# numpy 2 calls the builder of its arrays by a name that numpy 1 lacks; the older name works in both.
_NUMPY_2, _NUMPY_1 = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"

BARE = "a bare pickle, no file of torch.save"
LEGACY = "torch's format before zip archives"


class Archive(NamedTuple):
    """A zip archive before its pickle is run."""

    pickled: bytes
    storages: Storages


def archive_of(data: bytes, shown: str) -> Archive | None:
    """The pickle of an archive, with its tensors' numbers; None where the file is pickles instead.

    Raises:
        UnsafeFile, TornFile: as `torch_zip.members`.
    """
    if data[:1] == b"\x80":
        return None
    parts = members(data, shown)
    if "data.pkl" not in parts:
        raise UnsafeFile("is an archive without data.pkl: torch.save did not write it", file=shown)
    if bytes(parts.get("byteorder", b"little")) != b"little":
        raise UnsafeFile("was written on a big-endian machine; such files are not read", file=shown)
    contents = {name[len("data/") :]: body for name, body in parts.items() if name.startswith("data/")}
    return Archive(bytes(parts["data.pkl"]), Storages(contents))


def load_file(data: bytes, shown: str) -> Loaded:
    """Read a file in any of torch's formats.

    Raises:
        UnsafeFile, TornFile: as `torch_zip.members` and `plain_pickle.load`.
    """
    archive = archive_of(data, shown)
    if archive is not None:
        return load(archive.pickled, shown, archive.storages)
    begin = _legacy_begin(data[1:2])
    if data.startswith(begin):
        return _legacy(data, shown, len(begin))
    # Tensors need torch.save: a bare pickle has no place for their numbers.
    loaded = load(data, shown)
    return loaded._replace(oddities=(BARE, *loaded.oddities))


def import_torch(what: str) -> Any:
    """The module torch, which nothing but writing tensors needs.

    Raises:
        UsageError: it is not installed, so `what` cannot be made.
    """
    try:
        import torch
    except ImportError as e:
        raise UsageError(
            f"it holds tensors, and torch is not installed: {e}",
            where=what,
            hint="pip install torch; the small build has no CUDA and is enough",
        ) from e
    return torch


def bytes_for_numpy_1(value: Any) -> bytes:
    """What torch.save writes for an array or a dict of them, readable where numpy is 1.x as well as 2.x.

    Equal values give equal bytes. No torch is needed.

    Source:
        torch/serialization.py, _save: a pickle of protocol 2, the byte order and the version, in one folder;
        caffe2/serialize/inline_container.cc, getPadding: an extra field "FB" of Zs.
    """
    parts = {
        "data.pkl": pickle.dumps(value, protocol=2).replace(_NUMPY_2, _NUMPY_1),
        "byteorder": b"little",
        "version": b"3\n",
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            member = zipfile.ZipInfo(f"archive/{name}")  # one of its own carries a fixed date
            # Each content begins at a multiple of 64, so that files whose pickles differ a little in length
            # mostly have one size.
            begin = written.tell() + _HEADER_BYTES + len(member.filename) + _EXTRA.size
            padding = -begin % _ALIGNMENT
            member.extra = _EXTRA.pack(b"FB", padding) + b"Z" * padding
            archive.writestr(member, content)
            member.extra = b""  # the list at the end has none
    return written.getvalue()


def _legacy_begin(protocol: bytes) -> bytes:
    framed = protocol >= bytes([_FRAMED])
    heads = [b"\x80" + protocol + (struct.pack("<BQ", 0x95, len(one)) if framed else b"") for one in _MAGIC]
    return heads[0] + _MAGIC[0] + heads[1] + _MAGIC[1]


def _legacy(data: bytes, shown: str, begin: int) -> Loaded:
    storages = Storages(None)
    system = load(data, shown, None, begin, whole=False)
    if type(system.value) is not dict or system.value.get("little_endian") is not True:
        raise UnsafeFile("was written on a big-endian machine; such files are not read", file=shown)
    loaded = load(data, shown, storages, system.end, whole=False)
    keys = load(data, shown, None, loaded.end, whole=False)
    listed = keys.value if type(keys.value) is list else []
    if any(type(key) is not str for key in listed) or sorted(listed) != sorted(storages.claimed):
        raise UnsafeFile("lists other tensor storages than its pickle points to", file=shown)
    view, at = memoryview(data), keys.end
    for key in listed:
        storage = storages.claimed[key]
        if at + _COUNT.size > len(data) or _COUNT.unpack_from(data, at)[0] != storage.count:
            raise TornFile("is cut short or damaged within its tensors", file=shown, hint=TORN)
        at += _COUNT.size
        storage.content = view[at : at + storage.count * storage.item_bytes]
        at += storage.count * storage.item_bytes
    if at != len(data):
        raise TornFile("does not end where its tensors end", file=shown, hint=TORN)
    return loaded._replace(oddities=(LEGACY, *loaded.oddities))
