"""Runs on the pod: searches for bbox.pt, and for the runs, crops and landmarks that tell the crop too.

The request comes on stdin, one JSON document with the names and the limits; the answer goes to stdout:
`pod_client/box_search.py` has its form. A limit that was hit is named in `truncated`. Names and contents
travel as base64, because they may be any bytes. No file system of the kernel is entered. It writes nothing.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import stat
import sys
import time
from collections import deque
from typing import Any, BinaryIO, Deque, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from being_remote.pod import kernel_fs
from being_remote.pod.small_file import read_small

SAMPLED_FRAMES = 2000
NOT_CARRIED = "NOT_CARRIED"
# The turns in which folders are visited.
FIRST, PLAIN, LAST = range(3)


class _SearchLimit(Exception):
    """A limit of the whole search was hit; what was found so far is the answer."""


class _QueuedFolder(NamedTuple):
    """A folder to visit: below which root, how deep, and in which turn."""

    root: bytes
    path: bytes
    depth: int
    turn: int


class _BoxSearch:
    def __init__(self, request: Dict[str, Any]) -> None:
        self.request = request
        self.limits = request["limits"]
        self.box_name = os.fsencode(request["box_name"])
        self.run_folder = os.fsencode(request["run_folder"])
        self.frame_suffix = os.fsencode(request["frame_suffix"])
        self.names, self.skip_names, self.skip_paths, self.first_names, self.last_names, self.last_paths = (
            set(map(os.fsencode, request[field]))
            for field in ("names", "skip_names", "skip_paths", "first_names", "last_names", "last_paths")
        )
        self.kernel = kernel_fs.devices()
        self.started = time.monotonic()
        self.entries = self.carried = self.unreadable = 0
        self.candidates: Dict[bytes, Dict[str, Any]] = {}
        self.folders: Dict[bytes, Dict[str, Any]] = {}
        self.missing: List[str] = []
        self.truncated: List[str] = []
        self.unfinished: Dict[bytes, None] = {}  # a set that keeps its order
        self.root = b"/"  # the search root, or known folder, that is being searched

    def run(self) -> Dict[str, Any]:
        known, roots = self.paths("known"), self.paths("roots")
        known = [folder for folder in known if not self.leads_away(folder)]
        try:
            for self.root in known:
                self.add_candidate(os.path.join(self.root, self.box_name))
            for self.root in known:
                self.add_folder(self.root)
        except _SearchLimit as reason:
            self.cut(str(reason), *known, *roots)
        else:
            self.walk(roots)
        return {
            "candidates": list(self.candidates.values()),
            "folders": list(self.folders.values()),
            "missing_roots": self.missing,
            "unreadable": self.unreadable,
            "truncated": self.truncated,
            "unfinished": [_b64(root) for root in self.unfinished],
            "entries": self.entries,
            "seconds": time.monotonic() - self.started,
            "python": ".".join(map(str, sys.version_info[:3])),
        }

    def paths(self, name: str) -> List[bytes]:
        return [os.path.normpath(os.fsencode(path)) for path in self.request[name]]

    def cut(self, reason: str, *unfinished: bytes) -> None:
        """Note a limit that was hit, and below which roots a box may lie unseen for it."""
        if reason not in self.truncated:
            self.truncated.append(reason)
        self.unfinished.update(dict.fromkeys(unfinished))

    def leads_away(self, path: bytes) -> bool:
        """Whether a path leads into or through the kernel's own files; if so, note it."""
        try:
            away = kernel_fs.real_path(path, self.kernel) is None
        except OSError:
            return False  # found out when it is read
        if away:
            self.cut(
                f"{os.fsdecode(path)[-120:]!a} leads into the kernel's own files: not searched"[:200], path
            )
        return away

    def walk(self, roots: List[bytes]) -> None:
        """Search breadth first, so that what lies near the top is found even where a limit cuts the rest."""
        turns: List[Deque[_QueuedFolder]] = [deque(), deque(), deque()]
        for root in roots:
            if not os.path.isdir(root):  # a root itself may be a link: the user named it
                self.missing.append(_b64(root))
            elif not self.leads_away(root):
                turns[PLAIN].append(_QueuedFolder(root, root, 0, PLAIN))
        seen: Set[Tuple[int, int]] = set()
        while any(turns):
            folder = next(turn for turn in turns if turn).popleft()
            self.root = folder.root
            try:
                info = os.stat(folder.path)
            except OSError:
                continue  # deleted meanwhile
            if (info.st_dev, info.st_ino) in seen or info.st_dev in self.kernel:
                continue
            seen.add((info.st_dev, info.st_ino))
            try:
                below = self.visit(folder)
            except _SearchLimit as reason:
                return self.cut(str(reason), folder.root, *(left.root for turn in turns for left in turn))
            if below and folder.depth == self.limits["depth"]:
                self.cut(f"deeper than {folder.depth} folders", folder.root)
                continue
            for path in below:
                turn = self.turn(folder, path)
                turns[turn].append(_QueuedFolder(folder.root, path, folder.depth + 1, turn))

    def turn(self, above: _QueuedFolder, path: bytes) -> int:
        """When to visit a folder: those that are likely to hold a box come before all others."""
        name = os.path.basename(path)
        if above.turn == LAST or name in self.last_names or path in self.last_paths:
            return LAST
        in_first = os.path.basename(above.path) in self.first_names
        return FIRST if in_first or name in self.first_names or name in self.names else PLAIN

    def visit(self, at: _QueuedFolder) -> List[bytes]:
        """Read one folder's names; return its subfolders that are worth a visit."""
        below: List[bytes] = []
        of_run = os.path.basename(at.path) in self.names
        for entry in self.entries_of(at.path):
            if entry.name == self.box_name:
                self.add_candidate(entry.path)
                of_run = True
            if _is_folder(entry):
                of_run = of_run or entry.name == self.run_folder
                below.append(entry.name)
        # The ledger knows a job's runs, and the trash proves nothing.
        if of_run and at.turn != LAST:
            self.add_folder(at.path)
        if b"conda-meta" in below:
            below = [name for name in below if name != b"pkgs"]
        paths = [os.path.join(at.path, name) for name in below if name not in self.skip_names]
        return sorted(path for path in paths if path not in self.skip_paths)

    def entries_of(self, folder: bytes) -> Iterator[os.DirEntry[bytes]]:
        """A folder's entries, counted against the limits of the whole search."""
        try:
            with os.scandir(folder) as listing:
                for entry in listing:
                    self.entries += 1
                    if self.entries > self.limits["entries"]:
                        raise _SearchLimit(f"more than {self.limits['entries']} entries")
                    if self.entries % 256 == 0:
                        self.check_time()
                    yield entry
            self.check_time()
        except OSError as e:
            if e.errno not in (errno.ENOENT, errno.ENOTDIR):
                self.unreadable += 1

    def check_time(self) -> None:
        if time.monotonic() - self.started > self.limits["seconds"]:
            raise _SearchLimit(f"longer than {self.limits['seconds']} s")

    def add_candidate(self, path: bytes) -> None:
        """Note what lies at a path, if anything does, with its content if it is a small file."""
        if path in self.candidates:
            return
        try:
            info = os.lstat(path)
        except OSError:
            return
        if len(self.candidates) >= self.limits["candidates"]:
            raise _SearchLimit(f"more than {self.limits['candidates']} files of that name")
        what, target, content, problem = _kind(info.st_mode), None, None, None
        if what == "symlink":
            target = _b64(_target(path))
        elif what == "file":
            content, problem = self.read(path, self.limits["file_bytes"])
            if problem == NOT_CARRIED:
                self.cut(self.too_many_bytes, self.root)
        self.candidates[path] = {
            "path": _b64(path),
            "what": what,
            "bytes": info.st_size,
            "mtime_ns": info.st_mtime_ns,
            "target": target,
            "content": content,
            "problem": problem,
        }

    def add_folder(self, folder: bytes) -> None:
        """Count what an actor's or run's folder holds; note it unless that is nothing."""
        if folder in self.folders:
            return
        if len(self.folders) >= self.limits["folders"]:
            self.cut(f"more than {self.limits['folders']} folders of actors and runs")
            return
        counts: Dict[str, int] = {}
        found: Dict[str, Any] = {"path": _b64(folder), "counts": counts, "frames": None, "configs": []}
        self.folders[folder] = found  # before it is counted: what a limit cuts is told as far as it is known
        for kind, places in self.request["places"].items():
            counts[kind] = 0
            for place, endings in places:
                # The same frames as crops in two folders are not twice as many.
                counts[kind] = max(
                    counts[kind], self.count(os.path.join(folder, os.fsencode(place)), endings)
                )
        found["frames"] = self.frames(os.path.join(folder, self.run_folder))
        if found["frames"] is None and not any(counts.values()):
            del self.folders[folder]
            return
        for pattern in self.request["configs"]:
            name = os.fsencode(pattern).replace(b"{name}", os.path.basename(folder))
            path = os.path.normpath(os.path.join(folder, name))
            if self.leads_away(os.path.dirname(path)):
                continue
            content, problem = self.read(path, self.limits["config_bytes"])
            if problem != "ENOENT":
                found["configs"].append({"path": _b64(path), "content": content, "problem": problem})

    def count(self, folder: bytes, suffixes: List[str]) -> int:
        endings = tuple(os.fsencode(s) for s in suffixes)
        if self.leads_away(folder):
            return 0
        return sum(1 for e in self.entries_of(folder) if e.name.lower().endswith(endings))

    def frames(self, folder: bytes) -> Optional[Dict[str, Any]]:
        suffix = self.frame_suffix
        if self.leads_away(folder):
            return None
        names = [e.name[: -len(suffix)] for e in self.entries_of(folder) if e.name.endswith(suffix)]
        if not names:
            return None
        names.sort(key=lambda n: (not n.isdigit(), int(n) if n.isdigit() else 0, n))
        content, problem = self.read(os.path.join(folder, names[0] + suffix), self.limits["file_bytes"])
        times = []
        for name in names[:: len(names) // SAMPLED_FRAMES + 1]:
            try:
                times.append(os.lstat(os.path.join(folder, name + suffix)).st_mtime_ns)
            except OSError:
                continue  # deleted meanwhile
        return {
            "count": len(names),
            "first": _b64(names[0]),
            "last": _b64(names[-1]),
            "oldest_ns": min(times) if times else None,
            "newest_ns": max(times) if times else None,
            "content": content,
            "problem": problem,
        }

    def read(self, path: bytes, limit: int) -> Tuple[Optional[str], Optional[str]]:
        """A small regular file's content, or why there is none: see `read_small`, or NOT_CARRIED."""
        if self.carried + limit > self.limits["carried_bytes"]:
            self.cut(self.too_many_bytes)
            return None, NOT_CARRIED
        data, problem = read_small(path, limit, follow=False)
        if data is None:
            return None, problem
        self.carried += len(data)
        return _b64(data), None

    @property
    def too_many_bytes(self) -> str:
        return f"more than {self.limits['carried_bytes']} bytes of contents"


def main(_: str, stdin: BinaryIO) -> None:
    """Answer the request on stdin."""
    json.dump(_BoxSearch(json.loads(stdin.read().decode("utf-8"))).run(), sys.stdout)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _kind(mode: int) -> str:
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
    return kinds.get(stat.S_IFMT(mode), "other")


def _target(path: bytes) -> bytes:
    try:
        return os.readlink(path)
    except OSError:
        return b"?"
