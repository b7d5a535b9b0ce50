"""The small JSON records in a job's folder, which are whole or absent.

Records are written to a temporary name, synced, renamed, and the folder synced: a reader sees the
old one or the new one. Readers take regular files of bounded size only.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from typing import Any, Dict, Optional, Tuple

from being_remote.pod import disk_features

MAX_RECORD_BYTES = 1 << 20

Record = Dict[str, Any]


class Unreadable(OSError, ValueError):
    """The system gave no answer about a file: its content is unknown."""


def read_bytes(path: str, limit: int = MAX_RECORD_BYTES) -> Optional[bytes]:
    """A regular file's content; None if it is missing. Raises ValueError for anything odd."""
    try:
        # Without O_NONBLOCK a pipe of that name would wait for its writer.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as e:
        what = f"{os.path.basename(path)} cannot be read: {e.strerror}"
        if e.errno in (errno.ELOOP, errno.ENXIO):
            raise ValueError(what) from None
        unreadable = Unreadable(what)
        unreadable.errno = e.errno
        raise unreadable from None
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or info.st_size > limit:
            raise ValueError(f"{os.path.basename(path)} is not a small file")
        return os.read(fd, info.st_size)  # a buffer of the limit would cost more than the file
    finally:
        os.close(fd)


def read_json(path: str) -> Optional[Record]:
    """A record; None if it is missing. Raises ValueError for anything odd."""
    data = read_bytes(path)
    if data is None:
        return None
    try:
        record = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise ValueError(f"{os.path.basename(path)} is not a record")
    return record


def read_spec(path: str) -> Tuple[Record, str]:
    """(the job's spec, its hash). Raises ValueError if it is missing or odd."""
    data = read_bytes(path)
    try:
        spec = None if data is None else json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        spec = None
    if data is None or not isinstance(spec, dict):
        raise ValueError("spec.json is missing or cannot be read")
    return spec, hashlib.sha256(data).hexdigest()


def write_json(path: str, record: Record, durable: bool = True, reserved: Optional[str] = None) -> None:
    """Replace a record as a whole; `durable`: it survives a power cut from here on.

    `reserved` is a file whose room the record takes, for a disk that may be full by then.

    Raises:
        OSError: it could not be written; `filename` says where.
    """
    data = (json.dumps(record, sort_keys=True) + "\n").encode()
    if reserved is None:
        write_bytes(path, data, durable)
    else:
        _replace(path, reserved, data, durable)


def write_bytes(path: str, data: bytes, durable: bool = True) -> None:
    temporary = temporary_beside(path)
    try:
        _replace(path, temporary, data, durable)
    except OSError:
        with contextlib.suppress(OSError):  # what a full disk took of it
            os.unlink(temporary)
        raise


def temporary_beside(path: str) -> str:
    """A name that no other writer takes; pods that share a disk have processes of the same number."""
    return f"{path}.{os.urandom(8).hex()}.tmp"


def _replace(path: str, temporary: str, data: bytes, durable: bool) -> None:
    try:
        # Written in place: what a reserved file already has of the disk is enough.
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb", buffering=0) as file:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            file.truncate()
            if durable:
                disk_features.sync_descriptor(fd)
        os.rename(temporary, path)
        if durable:
            sync_folder(os.path.dirname(path))
    except OSError as e:
        e.filename = path
        raise


def sync_folder(path: str) -> None:
    """Make the names in a folder survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        disk_features.sync_descriptor(fd)
    finally:
        os.close(fd)
