"""Runs on the pod: where frames and boxes lie below some folders, as one JSON document. Writes nothing.

Sent as text, so it imports nothing of ours and runs on Python 3.8; the request is read from stdin.
Request and answer: `workflows/stopping/survey.py`. Names travel as base64 of their bytes. People keep
runs on other disks: where links to folders and frames lead is walked as well, after all the rest and
under its real path. It judges nothing; a bound that was hit is named in `truncated`. All times are of
this pod's own clock.
"""

from __future__ import annotations

import base64
import errno
import fnmatch
import json
import os
import stat
import sys
import time
from collections import deque
from typing import Any, Deque, Dict, List, Optional, Set, Tuple

MAX_SPEC_BYTES = 1 << 20


class _Stop(Exception):
    """A bound of the whole walk was hit; what was found so far is the answer."""


class Survey:
    """One walk. `folders` and `counted` are folders with what was found in each."""

    def __init__(self, request: Dict[str, Any]) -> None:
        self.limits = request["limits"]
        self.names = [base64.b64decode(name) for name in request["names"]]
        self.dated = [base64.b64decode(name) for name in request["dated"]]
        self.count_below = [base64.b64decode(path) for path in request["count_below"]]
        self.roots = [base64.b64decode(path) for path in request["roots"]]
        self.skip_names = {os.fsencode(name) for name in request["skip_names"]}
        self.skip_paths = {os.fsencode(path) for path in request["skip_paths"]}
        self.started = time.monotonic()
        self.entries = 0
        self.unreadable = 0
        self.newest_ns: Optional[int] = None
        self.linked: Deque[Tuple[bytes, int]] = deque()
        self.folders: List[Dict[str, Any]] = []
        self.counted: List[Dict[str, Any]] = []
        self.truncated: List[str] = []

    def walk(self) -> None:
        """Each folder once, breadth first; roots in the order in which they were named."""
        queue: Deque[Tuple[bytes, int]] = deque((os.path.normpath(root), 0) for root in self.roots)
        seen: Set[Tuple[int, int]] = set()
        try:
            while queue or self.linked:
                folder, depth = (queue or self.linked).popleft()
                try:
                    here = os.stat(folder)
                except OSError:
                    continue  # a root that is not there, or it went away meanwhile
                if not stat.S_ISDIR(here.st_mode) or (here.st_dev, here.st_ino) in seen:
                    continue
                seen.add((here.st_dev, here.st_ino))
                below = self.visit(folder)
                if depth < self.limits["depth"]:
                    queue.extend((path, depth + 1) for path in below)
                elif below:
                    self.cut(f"deeper than {self.limits['depth']} folders")
        except _Stop as reason:
            self.cut(str(reason))

    def cut(self, reason: str) -> None:
        if reason not in self.truncated:
            self.truncated.append(reason)

    def visit(self, folder: bytes) -> List[bytes]:
        """Look at one folder's files; return the folders in it."""
        below: List[bytes] = []
        all_files = any(folder == top or folder.startswith(top + b"/") for top in self.count_below)
        found = {"path": _b64(folder), "files": 0, "bytes": 0}
        counted = dict(found)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self.bounds()
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in self.skip_names and entry.path not in self.skip_paths:
                            below.append(entry.path)
                        continue
                    if entry.is_symlink():
                        self.follow(entry)
                        continue
                    wanted, dated = _fits(entry.name, self.names), _fits(entry.name, self.dated)
                    if wanted or dated or all_files:
                        self.take(entry, found if wanted else None, counted, wanted or dated)
        except OSError as e:
            if e.errno not in (errno.ENOENT, errno.ENOTDIR):
                self.unreadable += 1
        if found["files"]:
            self.keep(self.folders, found)
        if all_files and counted["files"]:
            self.keep(self.counted, counted)
        return sorted(below)

    def follow(self, link: os.DirEntry[bytes]) -> None:
        """Walk later where a link to a folder leads, or the folder of the file behind a frame's."""
        path = os.path.realpath(link.path)
        if not os.path.isdir(path):
            if not _fits(link.name, self.names) or not os.path.isfile(path):
                return
            path = os.path.dirname(path)
        roots = [os.path.realpath(root) for root in self.roots]
        if any(_within(path, root) for root in roots):
            return  # it is walked anyway
        if any(_within(root, path) for root in roots):
            self.cut("a link leads to a folder above, which holds more than what is ours")
            return
        skipped = any(_within(path, skip) for skip in self.skip_paths)
        if not skipped and os.path.basename(path) not in self.skip_names:
            self.linked.append((path, 0))

    def keep(self, kept: List[Dict[str, Any]], found: Dict[str, Any]) -> None:
        if len(kept) >= self.limits["folders"]:
            raise _Stop(f"more than {self.limits['folders']} folders with files")
        kept.append(found)

    def take(
        self,
        entry: os.DirEntry[bytes],
        found: Optional[Dict[str, Any]],
        counted: Dict[str, Any],
        dated: bool,
    ) -> None:
        try:
            info = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return  # it went away meanwhile
        if not stat.S_ISREG(info.st_mode):
            return
        for one in (counted,) if found is None else (counted, found):
            one["files"] += 1
            one["bytes"] += info.st_size
        if dated:
            self.newest_ns = max(self.newest_ns or 0, info.st_mtime_ns)

    def bounds(self) -> None:
        self.entries += 1
        if self.entries > self.limits["entries"]:
            raise _Stop(f"more than {self.limits['entries']} entries")
        if self.entries % 256 == 0 and time.monotonic() - self.started > self.limits["seconds"]:
            raise _Stop(f"longer than {self.limits['seconds']} s")


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


def _fits(name: bytes, patterns: List[bytes]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _within(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(os.path.join(folder, b""))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def main() -> None:
    """Answer the request on stdin."""
    asked = json.loads(sys.stdin.buffer.read().decode("ascii"))
    survey = Survey(asked)
    survey.walk()
    answer = {
        "now_ns": time.time_ns(),
        "newest_ns": survey.newest_ns,
        "there": [os.path.isdir(root) for root in survey.roots],
        "folders": survey.folders,
        "counted": survey.counted,
        "recipes": [recipe_of(base64.b64decode(path)) for path in asked["specs"]],
        "unreadable": survey.unreadable,
        "truncated": survey.truncated,
    }
    json.dump(answer, sys.stdout, separators=(",", ":"))


if __name__ == "__main__":
    main()
