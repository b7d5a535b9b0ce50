"""Runs on the pod: the kernel's own file systems (/proc, /sys and the like), which no search enters.

They are known by their type, wherever they are mounted; their links lead anywhere. What is only mounted below
them, as /dev/shm is, is a disk like others.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Dict, FrozenSet, List, Optional

KINDS = frozenset(
    b"proc sysfs devtmpfs devpts devfs cgroup cgroup2 cpuset securityfs debugfs tracefs configfs pstore bpf"
    b" mqueue fusectl binfmt_misc efivarfs selinuxfs rpc_pipefs nfsd nsfs hugetlbfs".split()
)
_MAX_LINKS = 40


def mounted() -> Dict[int, bytes]:
    """Return the type of each mounted file system by its device number; empty where unknown."""
    kinds: Dict[int, bytes] = {}
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            for line in file:
                fields, _, more = line.partition(b" - ")
                major, _, minor = fields.split()[2].partition(b":")
                kinds[os.makedev(int(major), int(minor))] = more.split()[0]
    except (OSError, ValueError, IndexError):
        pass
    return kinds


def find_kind(path: str) -> Optional[bytes]:
    """Return the type of the file system that holds a path, or will hold it; None where unknown."""
    real = os.fsencode(os.path.realpath(path))
    found, kind = b"", None
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            for line in file:
                fields, _, more = line.partition(b" - ")
                point = re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), fields.split()[4])
                below = real == point or real.startswith(point.rstrip(b"/") + b"/")
                if below and len(point) >= len(found):  # of two at one place the later one is seen
                    found, kind = point, more.split()[0]
    except (OSError, ValueError, IndexError):
        return None
    return kind


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
