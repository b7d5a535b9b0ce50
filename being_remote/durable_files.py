"""File operations that are durable, atomic, and never follow a link."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from being_remote.disk import FULL, no_space, room_bytes
from being_remote.errors import InconsistentData

# What disks refuse, here as on a pod.
from being_remote.pod.disk_features import rename_new as rename_new
from being_remote.pod.disk_features import set_time as set_time
from being_remote.pod.disk_features import sync_descriptor as sync_descriptor

FICLONE = 0x40049409  # linux/fs.h: the copy shares its blocks until one side is written
CHUNK_BYTES = 1 << 20
BLOCK_BYTES = 4096
FULL_BYTES = 64 << 20


class Stat(NamedTuple):
    """The two figures that show a change of a file; an `os.stat_result` takes five times the memory."""

    st_size: int
    st_mtime_ns: int


class NamedPaths(Mapping[str, Path]):
    """Names and their paths, each made when it is asked for: a hundred thousand of them are 50 MB."""

    def __init__(self, names: Collection[str], at: Callable[[str], Path]) -> None:
        self._names, self._at = names, at

    def __getitem__(self, name: str) -> Path:
        if name not in self._names:
            raise KeyError(name)
        return self._at(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def stat_plain(path: Path | str) -> Stat | None:
    """The figures of the plain file that lies there; None for nothing, a link, a folder or a special."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Stat(found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


@contextmanager
def open_plain(path: Path) -> Iterator[tuple[int, os.stat_result]]:
    """A plain file's descriptor for reading, and its stat; never through a link.

    Raises:
        InconsistentData: it is a link, a folder or a special.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        if e.errno != errno.ELOOP:
            raise
        raise InconsistentData("is not a plain file", file=str(path)) from e
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise InconsistentData("is not a plain file", file=str(path))
        yield descriptor, found
    finally:
        os.close(descriptor)


def copy_apart(source: Path, target: Path) -> None:
    """Make `target` a file of its own with `source`'s bytes: a reflink where possible, else a copy."""
    if not share_blocks(source, target):
        shutil.copyfile(source, target)


def share_blocks(source: Path, target: Path) -> bool:
    """Make `target` a reflink of `source`, which costs no space; False where that cannot be."""
    with open(source, "rb") as reader, open(target, "wb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), FICLONE, reader.fileno())
        except OSError as e:
            if e.errno in (*FULL, errno.EIO):
                raise
            return False
    return True


def can_share_blocks(source: Path, target: Path) -> bool:
    """Whether files in the place of these two, which are made and removed, can be reflinks of one another."""
    try:
        source.write_bytes(bytes(BLOCK_BYTES))
        return share_blocks(source, target)
    finally:
        source.unlink(missing_ok=True)
        target.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes | Iterable[bytes], *, scratch: Path, synced: bool = True) -> None:
    """Write a file so that it holds all of the old or all of the new bytes at any moment.

    Args:
        data: its bytes; what is long comes in pieces, so that it is never in memory as a whole.
        scratch: a path on the same disk, written first.
        synced: holds through a power cut too; an fsync is too slow for each of a thousand small files.
    """
    with open(scratch, "wb") as f:
        f.writelines([data] if isinstance(data, bytes) else data)
        if synced:
            f.flush()
            sync_descriptor(f.fileno())
    os.replace(scratch, path)
    if synced:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Names that were made or renamed in the folder are on the disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def sync_files(folder: Path, files: Iterable[Path]) -> None:
    """The contents of `files`, all on `folder`'s file system, are on the disk when this returns.

    One call for the whole file system where there is one: 838 single ones take seconds.
    """
    syncfs = getattr(ctypes.CDLL(None), "syncfs", None)
    if syncfs is not None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if syncfs(descriptor) == 0:
                return
        finally:
            os.close(descriptor)
    files = list(files)
    for file in files:
        sync_file(file)
    for parent in {above for file in files for above in file.parents if above.is_relative_to(folder)}:
        sync_folder(parent)


def sync_file(file: Path) -> None:
    """The content of one file is on the disk when this returns; not its name: see `sync_folder`."""
    with open(file, "rb") as f:
        sync_descriptor(f.fileno())


@contextmanager
def room_on_disk(folder: Path) -> Iterator[None]:
    """Report as `NoSpace` that something inside ran out of space or quota."""
    try:
        yield
    except OSError as e:
        if e.errno not in FULL:
            raise
        raise no_space(folder, error=e) from e


def require_room(folder: Path, sizes: Iterable[int]) -> None:
    """Raise NoSpace where files of so many bytes would leave too little of the folder's disk free."""
    need = sum(map(round_to_blocks, sizes))
    if room_bytes(folder) < need:
        raise no_space(folder, need)


def round_to_blocks(size: int) -> int:
    """What a file of so many bytes takes on a disk."""
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def is_nearly_full(folder: Path) -> bool:
    """Whether the folder's disk has hardly any room left: then its size is not why a file does not fit."""
    return room_bytes(folder) < FULL_BYTES
