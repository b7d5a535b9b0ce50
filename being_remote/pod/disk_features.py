"""What many network disks refuse, done where the disk offers it. Runs on the pod and on the laptop.

Without it names may be lost in a power cut, or a file keeps the mode and time that the disk gave it. Bytes
are compared by hash anyway.
"""

from __future__ import annotations

import errno
import os
from typing import Union

NOT_OFFERED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
REFUSED_TO_USER = (*NOT_OFFERED, errno.EPERM)
NO_HARD_LINKS = (*REFUSED_TO_USER, errno.EMLINK)
FileRef = Union[str, bytes, int, "os.PathLike[str]"]
Path = Union[str, bytes, "os.PathLike[str]"]


def sync_descriptor(descriptor: int) -> None:
    """Fsync a file or folder."""
    try:
        os.fsync(descriptor)
    except OSError as e:
        if e.errno not in NOT_OFFERED:
            raise


def set_mode(file: FileRef, mode: int) -> None:
    """Give a file its mode."""
    try:
        os.chmod(file, mode)
    except OSError as e:
        if e.errno not in REFUSED_TO_USER:
            raise


def set_time(file: FileRef, mtime_ns: int, *, follow_symlinks: bool = True) -> None:
    """Give a file its time."""
    try:
        os.utime(file, ns=(mtime_ns, mtime_ns), follow_symlinks=follow_symlinks)
    except OSError as e:
        if e.errno not in REFUSED_TO_USER:
            raise


def exists(path: Path) -> bool:
    """Whether the name is taken, by whatever it is. Raises OSError where the disk cannot say."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def rename_new(source: Path, target: Path) -> None:
    """Rename, but never over another file; on a disk without links one may appear between look and rename.

    Raises:
        FileExistsError: the target exists.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as e:
        if e.errno not in NO_HARD_LINKS:
            raise
        if exists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target)) from e
        os.rename(source, target)
    else:
        os.unlink(source)
