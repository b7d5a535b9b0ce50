"""Runs on the pod: which folders hold results, as one JSON document. Writes nothing.

Runs on Python 3.8; `pod_client/disk_survey.py` has the request, read from stdin, and the answer. Names are
base64 of their bytes. Every folder is walked, those that rarely hold results last. Since people keep runs on
other disks, folders behind links are walked as well, after all others and under their real path. The kernel's
own file systems are not entered. All times are of this pod's own clocks.
"""

from __future__ import annotations

import base64
import errno
import fnmatch
import json
import os
import re
import stat
import sys
import time
from collections import deque
from typing import Any, BinaryIO, Deque, Dict, List, Optional, Pattern, Set, Tuple

from being_remote.pod import kernel_fs

MAX_SPEC_BYTES = 1 << 20
NAMED = 20
_GONE = (errno.ENOENT, errno.ENOTDIR)

# A folder, and how many folders it lies below the top that it was reached from.
_Queue = Deque[Tuple[bytes, int]]


class _WalkLimit(Exception):
    """A limit of the whole walk was reached; what was found so far is the answer."""


class PathSample:
    """How many paths, and the first few."""

    def __init__(self) -> None:
        self.count = 0
        self.examples: List[bytes] = []

    def add(self, path: bytes) -> None:
        self.count += 1
        if len(self.examples) < NAMED:
            self.examples.append(path)

    def as_json(self) -> Dict[str, Any]:
        return {"count": self.count, "examples": [_b64(path) for path in self.examples]}


class FolderCount:
    """How many files of one folder, and their bytes."""

    def __init__(self, path: bytes) -> None:
        self.path, self.files, self.bytes = path, 0, 0

    def add(self, size: int) -> None:
        self.files += 1
        self.bytes += size

    def as_json(self) -> Dict[str, Any]:
        return {"path": _b64(self.path), "files": self.files, "bytes": self.bytes}


class DiskWalk:
    """One walk.

    Attributes:
        folders: those with results (`results`: of a name, or of a name in a folder of a name).
        counted: those below `count_below`, with all their files.
        others: those with files of a name in `others`, with these; the first of very many.
        odd: files of a name that nearly is a result's.
        outside: folders outside the roots that a link led to.
        away: links and mounts that lead into the kernel's own files.
        main_walked: where the walk of the main root began; another folder where that one is not there.
    """

    def __init__(self, request: Dict[str, Any]) -> None:
        self.limits = request["limits"]
        self.results = [
            (None if folder is None else base64.b64decode(folder), _pattern(names))
            for folder, names in request["results"]
        ]
        self.dated = _pattern(request["dated"])
        self.odd_names = re.compile(base64.b64decode(request["odd"]))
        self.other_names = _pattern(request["others"])
        self.count_below = [base64.b64decode(path) for path in request["count_below"]]
        self.roots = [base64.b64decode(path) for path in request["roots"]]
        self.main = base64.b64decode(request["main"])
        self.main_walked = self.main
        self.apart = {base64.b64decode(path) for path in request["apart"]}
        self.last_names = {os.fsencode(name) for name in request["last_names"]}
        self.kernel = kernel_fs.devices()
        self.started = time.monotonic()
        self.entries = 0
        self.newest_ns: Optional[int] = None
        self.folders: List[FolderCount] = []
        self.counted: List[FolderCount] = []
        self.others: List[FolderCount] = []
        self.odd: List[Dict[str, Any]] = []
        self.unreadable, self.outside, self.away = PathSample(), PathSample(), PathSample()
        self.truncated: List[str] = []
        self.last: _Queue = deque()
        self.linked: _Queue = deque()
        self.tops: List[bytes] = []

    def walk(self) -> None:
        """Each folder once, breadth first; roots in the order in which they were named."""
        queue: _Queue = deque()
        for root in self.roots:
            queue.extend((path, 0) for path in self.top(root))
        seen: Set[Tuple[int, int]] = set()
        try:
            while queue or self.last or self.linked:
                folder, depth = (queue or self.last or self.linked).popleft()
                try:
                    here = os.stat(folder)
                except OSError as e:
                    self.failed(folder, e)
                    continue
                if not stat.S_ISDIR(here.st_mode) or (here.st_dev, here.st_ino) in seen:
                    continue
                if here.st_dev in self.kernel:
                    self.away.add(folder)
                    continue
                seen.add((here.st_dev, here.st_ino))
                below = self.visit(folder)
                if depth >= self.limits["depth"] and below:
                    self.cut(f"deeper than {self.limits['depth']} folders")
                    continue
                for path in below:
                    seldom = os.path.basename(path) in self.last_names
                    (self.last if seldom else queue).append((path, depth + 1))
        except _WalkLimit as reason:
            self.cut(str(reason))

    def top(self, root: bytes) -> List[bytes]:
        """Where to begin for a root: itself; for a missing main root the folder above that exists."""
        path = os.path.normpath(root)
        try:
            while root == self.main and not os.path.lexists(path):
                path = os.path.dirname(path)
            real = kernel_fs.real_path(path, self.kernel)
            if real is not None and not os.path.isdir(real):
                raise NotADirectoryError(errno.EINVAL, "no folder")
        except OSError as e:
            if os.path.lexists(path) or e.errno not in _GONE:
                self.unreadable.add(path)  # or a link that leads nowhere now: a disk that is not mounted
            return []
        if root == self.main:
            self.main_walked = path
        if real is None:
            self.unreadable.add(path)
            return []
        self.tops.append(real)
        return [path]

    def cut(self, reason: str) -> None:
        if reason not in self.truncated:
            self.truncated.append(reason)

    def failed(self, folder: bytes, error: OSError) -> None:
        """Note that a folder could not be listed; one that is missing by now holds nothing."""
        if error.errno not in _GONE:
            self.unreadable.add(folder)

    def visit(self, folder: bytes) -> List[bytes]:
        """Look at one folder's files; return the folders in it."""
        below: List[bytes] = []
        all_files = any(_within(folder, top) for top in self.count_below)
        name = os.path.basename(folder)
        wanted = [pattern for where, pattern in self.results if where is None or where == name]
        found, counted, others = FolderCount(folder), FolderCount(folder), FolderCount(folder)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self.bounds()
                    if entry.is_dir(follow_symlinks=False):
                        if entry.path not in self.apart:
                            below.append(entry.path)
                        continue
                    result = any(pattern.match(entry.name) for pattern in wanted)
                    if entry.is_symlink():
                        self.follow(entry, result)
                        continue
                    dated = result or bool(self.dated.match(entry.name))
                    odd = not result and bool(self.odd_names.match(entry.name))
                    other = not odd and bool(self.other_names.match(entry.name))
                    if not (dated or odd or other or all_files):
                        continue
                    at = _plain(entry)
                    if at is None:
                        continue
                    for one, counts in ((found, result), (counted, all_files), (others, other)):
                        if counts:
                            one.add(at.st_size)
                    if odd:
                        self.keep_odd(entry.path, at)
                    if dated:
                        self.newest_ns = max(self.newest_ns or 0, at.st_mtime_ns)
        except OSError as e:
            self.failed(folder, e)
        for kept, one in ((self.folders, found), (self.counted, counted)):
            if one.files:
                self.keep(kept, one)
        if others.files and len(self.others) < self.limits["folders"]:  # no verdict hangs on these
            self.others.append(others)
        return sorted(below)

    def follow(self, link: os.DirEntry[bytes], result: bool) -> None:
        """Walk later where a link to a folder leads, or one to a result."""
        try:
            path = kernel_fs.real_path(link.path, self.kernel)
            if path is None:
                self.away.add(link.path)
                return
            at = os.stat(path)
        except OSError as e:
            if e.errno not in (*_GONE, errno.ELOOP):
                self.unreadable.add(link.path)
            return
        if stat.S_ISREG(at.st_mode):
            self.follow_file(path, at, result)
        elif stat.S_ISDIR(at.st_mode):
            self.reach(path)

    def follow_file(self, path: bytes, at: os.stat_result, result: bool) -> None:
        """A result by its own name, or by the name of the link to it."""
        folder, name = os.path.split(path)
        wanted = [p for where, p in self.results if where is None or where == os.path.basename(folder)]
        if any(pattern.match(name) for pattern in wanted):
            self.reach(folder)
        elif result:
            self.keep_odd(path, at)

    def reach(self, path: bytes) -> None:
        """Walk a folder that a link leads to, unless it is walked anyway."""
        if any(_within(path, top) for top in (*self.tops, *self.apart)):
            return
        if any(_within(top, path) for top in self.tops):
            self.cut("a link leads to a folder above the roots")
            return
        self.outside.add(path)
        self.linked.append((path, 0))

    def keep(self, kept: List[FolderCount], found: FolderCount) -> None:
        if len(kept) >= self.limits["folders"]:
            raise _WalkLimit(f"more than {self.limits['folders']} folders with files")
        kept.append(found)

    def keep_odd(self, path: bytes, at: os.stat_result) -> None:
        if len(self.odd) >= self.limits["odd"]:
            raise _WalkLimit(f"more than {self.limits['odd']} files whose names are nearly a result's")
        self.odd.append({"path": _b64(path), "bytes": at.st_size, "mtime_ns": at.st_mtime_ns})

    def bounds(self) -> None:
        self.entries += 1
        if self.entries > self.limits["entries"]:
            raise _WalkLimit(f"more than {self.limits['entries']} entries")
        if self.entries % 256 == 0 and time.monotonic() - self.started > self.limits["seconds"]:
            raise _WalkLimit(f"longer than {self.limits['seconds']} s")


def recipe_of(path: bytes) -> Optional[str]:
    """The recipe that a job's spec names; None where it cannot be read."""
    try:
        # Without O_NONBLOCK a pipe of that name would wait for its writer.
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            spec = json.loads(file.read(MAX_SPEC_BYTES).decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    recipe = spec.get("recipe") if isinstance(spec, dict) else None
    return recipe if isinstance(recipe, str) and len(recipe) <= 80 else None


def up_s() -> Optional[float]:
    """Seconds since this pod started, by a clock that nothing sets; None: not known."""
    try:
        with open("/proc/1/stat", "rb") as file:
            started = int(file.read(4096).rpartition(b")")[2].split()[19])
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def _plain(entry: os.DirEntry[bytes]) -> Optional[os.stat_result]:
    """A plain file's status; None for anything else, or if it is missing by now."""
    try:
        at = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return at if stat.S_ISREG(at.st_mode) else None


def _pattern(names: List[str]) -> Pattern[bytes]:
    """One pattern for names that are given as globs."""
    globs = [base64.b64decode(name).decode("latin-1") for name in names]
    return re.compile("|".join(map(fnmatch.translate, globs)).encode("latin-1") or rb"(?!)")


def _within(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(os.path.join(folder, b""))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def main(_: str, stdin: BinaryIO) -> None:
    """Answer the request on stdin."""
    asked = json.loads(stdin.read().decode("ascii"))
    survey = DiskWalk(asked)
    survey.walk()
    answer = {
        "now_ns": time.time_ns(),
        "newest_ns": survey.newest_ns,
        "main_walked": _b64(survey.main_walked),
        "up_s": up_s(),
        "folders": [one.as_json() for one in survey.folders],
        "counted": [one.as_json() for one in survey.counted],
        "others": [one.as_json() for one in survey.others],
        "odd": survey.odd,
        "recipes": [recipe_of(base64.b64decode(path)) for path in asked["specs"]],
        "unreadable": survey.unreadable.as_json(),
        "outside": survey.outside.as_json(),
        "away": survey.away.as_json(),
        "truncated": survey.truncated,
    }
    json.dump(answer, sys.stdout, separators=(",", ":"))
