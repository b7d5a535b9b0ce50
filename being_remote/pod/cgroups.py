"""Where the kernel shows this process's cgroups, of both versions. A container shows the machine's otherwise.

Source: the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from __future__ import annotations

import os
from typing import Iterator, Tuple

TOP = "/sys/fs/cgroup"
OWN = "/proc/self/cgroup"


def find_folders(controller: str) -> Iterator[Tuple[int, str]]:
    """(version, folder) of our group of that controller and of those above it, the innermost first.

    The last one is the top in any case: in a container our group's path may be the machine's, or lead out of
    what is mounted, and our own files are then at the top.
    """
    for line in read(OWN).splitlines():
        controllers, separator, group = line.partition(":")[2].partition(":")
        if not separator or (controllers and controller not in controllers.split(",")):
            continue
        top = TOP
        if controllers:
            mounted = os.path.join(TOP, controllers)
            top = mounted if os.path.isdir(mounted) else os.path.join(TOP, controller)
        version, path = 1 if controllers else 2, os.path.normpath(top + "/" + group)
        while path.startswith(top + "/"):
            yield version, path
            path = os.path.dirname(path)
        yield version, top


def read(path: str) -> str:
    """A file of the kernel's; "" where it cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""
