"""Where the kernel shows this process's cgroups, of both versions. A container shows the machine's otherwise.

Source: the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from __future__ import annotations

import os
from typing import Iterator, Tuple

TOP = "/sys/fs/cgroup"
OWN = "/proc/self/cgroup"


def find_folders(controller: str) -> Iterator[Tuple[int, str]]:
    """(version, folder) of our group of that controller and of those above it, the innermost first."""
    for line in read(OWN).splitlines():
        controllers, separator, group = line.partition(":")[2].partition(":")
        if not separator or (controllers and controller not in controllers.split(",")):
            continue
        top = TOP
        if controllers:
            mounted = os.path.join(TOP, controllers)
            top = mounted if os.path.isdir(mounted) else os.path.join(TOP, controller)
        # In a container the group's path may be the machine's; its own files are then at the top.
        path = os.path.normpath(top + "/" + group)
        while path.startswith(top):
            yield (1 if controllers else 2), path
            if path == top:
                break
            path = os.path.dirname(path)


def read(path: str) -> str:
    """A file of the kernel's; "" where it cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""
