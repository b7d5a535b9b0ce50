"""Runs on the pod: the kernel's own file systems (/proc, /sys and the like), which no search enters.

They are known by their type, wherever they are mounted; their links lead anywhere. What is only mounted below
them, as /dev/shm is, is a disk like others.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from typing import Dict, FrozenSet, Iterator, List, Optional, Tuple

KINDS = frozenset(
    b"proc sysfs devtmpfs devpts devfs cgroup cgroup2 cpuset securityfs debugfs tracefs configfs pstore bpf"
    b" mqueue fusectl binfmt_misc efivarfs selinuxfs rpc_pipefs nfsd nsfs hugetlbfs".split()
)
_MAX_LINKS = 40


def mounted() -> Dict[int, bytes]:
    """Return the type of each mounted file system by its device number; empty where unknown."""
    kinds: Dict[int, bytes] = {}
    with contextlib.suppress(OSError, ValueError, IndexError):
        for fields, kind in _mounts():
            major, _, minor = fields[2].partition(b":")
            kinds[os.makedev(int(major), int(minor))] = kind
    return kinds


def find_kind(path: str) -> Optional[bytes]:
    """Return the type of the file system that holds a path, or will hold it; None where unknown."""
    real = os.fsencode(os.path.realpath(path))
    found, longest = None, b""
    try:
        for fields, kind in _mounts():
            point = re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), fields[4])
            below = real == point or real.startswith(point.rstrip(b"/") + b"/")
            if below and len(point) >= len(longest):  # of two at one place the later one is seen
                longest, found = point, kind
    except (OSError, ValueError, IndexError):
        return None
    return found


def _mounts() -> Iterator[Tuple[List[bytes], bytes]]:
    """(the fields before the separator, the type) of each mount, as proc(5) lists them."""
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            fields, _, more = line.partition(b" - ")
            yield fields.split(), more.split()[0]


def devices() -> FrozenSet[int]:
    """Return the device numbers of the kernel's file systems."""
    found = {device for device, kind in mounted().items() if kind in KINDS}
    top = os.stat("/").st_dev
    for path in ("/proc", "/sys"):  # some sandboxes number their mounts otherwise
        try:
            found.add(os.stat(path).st_dev)
        except OSError:
            continue
    return frozenset(found - {top})


def real_path(path: bytes, kernel: FrozenSet[int]) -> Optional[bytes]:
    """Resolve an absolute path; None where it ends among the kernel's files or passes a link of theirs.

    Raises:
        OSError: it does not exist, or cannot be read.
    """
    left: List[bytes] = path.split(b"/")[::-1]
    resolved, links, device = b"/", 0, os.stat("/").st_dev
    while left:
        part = left.pop()
        if part in (b"", b"."):
            continue
        step = os.path.dirname(resolved) if part == b".." else os.path.join(resolved, part)
        at = os.lstat(step)
        if not stat.S_ISLNK(at.st_mode):
            resolved, device = step, at.st_dev
            continue
        links += 1
        if at.st_dev in kernel:
            return None
        if links > _MAX_LINKS:
            os.stat(path)  # raises the kernel's own error: too many links
            return None
        target = os.readlink(step)
        if target.startswith(b"/"):
            resolved, device = b"/", os.stat("/").st_dev
        left += target.split(b"/")[::-1]
    return None if device in kernel else resolved
