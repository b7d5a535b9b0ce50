"""Runs on the pod: what a small regular file holds."""

from __future__ import annotations

import errno
import os
import stat
from typing import AnyStr, Optional, Tuple


def read_start(path: AnyStr, size: int, *, follow: bool = True) -> Tuple[Optional[bytes], Optional[str]]:
    """Return the first bytes of a regular file, or why there are none: an errno's name, or IRREGULAR.

    `follow`: whether it may be a link.
    """
    # Without O_NONBLOCK a pipe of that name would wait for its writer.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        with open(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None, "IRREGULAR"
            return file.read(size), None
    except OSError as e:
        return None, errno.errorcode.get(e.errno or 0, "EIO")


def read_small(path: AnyStr, limit: int, *, follow: bool = True) -> Tuple[Optional[bytes], Optional[str]]:
    """Return a regular file's content, or why there is none: see `read_start`, or TOO_BIG."""
    data, problem = read_start(path, limit + 1, follow=follow)
    return (None, "TOO_BIG") if data is not None and len(data) > limit else (data, problem)
