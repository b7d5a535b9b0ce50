"""One search of a host for bbox.pt, and for what else could tell the crop: runs, crops, landmarks.

Runs over there: its source is sent on the stdin of `python3 -` with one call of `answer` behind it,
and one JSON document comes back. Stdlib only, Python 3.8. It enters no file system of the kernel's, by
whatever link or mount. It writes nothing, starts no program and
judges nothing; names and bounds come in the request, and a bound that was hit is named in
`truncated`. Names and contents travel as base64, because they may be any bytes.
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
from typing import Any, BinaryIO, Deque, Dict, Iterator, List, Optional, Set, Tuple

from being_remote.pod import kernel_fs

SAMPLED_FRAMES = 2000
NOT_CARRIED = "NOT_CARRIED"
# In whose turn a folder is looked at.
FIRST, PLAIN, LAST = range(3)


class _SearchLimit(Exception):
    """A bound of the whole search was hit; what was found so far is the answer."""


class _QueuedFolder:
    """A folder to look at: below which root, how deep, and in which turn."""

    __slots__ = ("depth", "path", "root", "turn")

    def __init__(self, root: bytes, path: bytes, depth: int, turn: int) -> None:
        self.root, self.path, self.depth, self.turn = root, path, depth, turn


class _Queue:
    """Folders by turn, and in each turn in the order in which they came."""

    def __init__(self) -> None:
        self._turns: List[Deque[_QueuedFolder]] = [deque(), deque(), deque()]

    def put(self, folder: _QueuedFolder) -> None:
        self._turns[folder.turn].append(folder)

    def roots(self) -> Iterator[bytes]:
        """The roots of what is left."""
        return (folder.root for turn in self._turns for folder in turn)

    def __iter__(self) -> Iterator[_QueuedFolder]:
        while any(self._turns):
            yield next(turn for turn in self._turns if turn).popleft()


class _BoxSearch:
    def __init__(self, request: Dict[str, Any]) -> None:
        self.request = request
        self.limits = request["limits"]
        self.box_name = os.fsencode(request["box_name"])
        self.run_folder = os.fsencode(request["run_folder"])
        self.frame_suffix = os.fsencode(request["frame_suffix"])
        self.names = {os.fsencode(name) for name in request["names"]}
        self.skip_names = {os.fsencode(name) for name in request["skip_names"]}
        self.skip_paths = {os.fsencode(path) for path in request["skip_paths"]}
        self.first_names = {os.fsencode(name) for name in request["first_names"]}
        self.last_names = {os.fsencode(name) for name in request["last_names"]}
        self.last_paths = {os.fsencode(path) for path in request["last_paths"]}
        self.kernel = kernel_fs.devices()
        self.started = time.monotonic()
        self.entries = 0
        self.carried = 0
        self.unreadable = 0
        self.candidates: Dict[bytes, Dict[str, Any]] = {}
        self.folders: Dict[bytes, Dict[str, Any]] = {}
        self.missing: List[str] = []
        self.truncated: List[str] = []
        self.unfinished: Dict[bytes, None] = {}  # a set that keeps its order
        self.root = b"/"  # the search root, or known folder, that is being looked at

    def run(self) -> Dict[str, Any]:
        known, roots = self.paths("known"), self.paths("roots")
        known = [folder for folder in known if not self.leads_away(folder)]
        try:
            for self.root in known:
                self.candidate(os.path.join(self.root, self.box_name))
            for self.root in known:
                self.look_into(self.root)
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
        """Note a bound that was hit, and below which roots a box may lie unseen for it."""
        if reason not in self.truncated:
            self.truncated.append(reason)
        self.unfinished.update(dict.fromkeys(unfinished))

    def leads_away(self, path: bytes) -> bool:
        """Whether a path leads into the kernel's own files, or through them; said where it does."""
        try:
            away = kernel_fs.real_path(path, self.kernel) is None
        except OSError:
            return False  # whoever looks into it finds out
        if away:
            self.cut(
                f"{os.fsdecode(path)[-120:]!a} leads into the kernel's own files: not searched"[:200], path
            )
        return away

    def walk(self, roots: List[bytes]) -> None:
        """Breadth first, so that what lies near the top is found even where a bound cuts the rest."""
        queue = _Queue()
        for root in roots:
            if os.path.isdir(root):  # a root itself may be a link: the user named it
                if not self.leads_away(root):
                    queue.put(_QueuedFolder(root, root, 0, PLAIN))
            else:
                self.missing.append(_b64(root))
        seen: Set[Tuple[int, int]] = set()
        for folder in queue:
            self.root = folder.root
            try:
                here = os.stat(folder.path)
            except OSError:
                continue  # it went away meanwhile
            if (here.st_dev, here.st_ino) in seen or here.st_dev in self.kernel:
                continue
            seen.add((here.st_dev, here.st_ino))
            try:
                below = self.visit(folder)
            except _SearchLimit as reason:
                return self.cut(str(reason), folder.root, *queue.roots())
            if below and folder.depth == self.limits["depth"]:
                self.cut(f"deeper than {folder.depth} folders", folder.root)
                continue
            for path in below:
                queue.put(_QueuedFolder(folder.root, path, folder.depth + 1, self.turn(folder, path)))

    def turn(self, above: _QueuedFolder, path: bytes) -> int:
        """When a folder is looked at: those that may well hold a box before all others."""
        name = os.path.basename(path)
        if above.turn == LAST or name in self.last_names or path in self.last_paths:
            return LAST
        in_first = os.path.basename(above.path) in self.first_names
        return FIRST if in_first or name in self.first_names or name in self.names else PLAIN

    def visit(self, at: _QueuedFolder) -> List[bytes]:
        """Look at one folder's names; return its subfolders that are worth a visit."""
        below: List[bytes] = []
        folder = at.path
        telling = os.path.basename(folder) in self.names
        for entry in self.entries_of(folder):
            if entry.name == self.box_name:
                self.candidate(entry.path)
                telling = True
            if _is_folder(entry):
                telling = telling or entry.name == self.run_folder
                below.append(entry.name)
        if (
            telling and at.turn != LAST
        ):  # a job's runs are known by the ledger, what was thrown away is no evidence
            self.look_into(folder)
        if b"conda-meta" in below:
            below = [name for name in below if name != b"pkgs"]
        paths = [os.path.join(folder, name) for name in below if name not in self.skip_names]
        return sorted(path for path in paths if path not in self.skip_paths)

    def entries_of(self, folder: bytes) -> Iterator[os.DirEntry[bytes]]:
        """A folder's entries, counted against the bounds of the whole search."""
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

    def candidate(self, path: bytes) -> None:
        if path in self.candidates:
            return
        try:
            info = os.lstat(path)
        except OSError:
            return
        if len(self.candidates) >= self.limits["candidates"]:
            raise _SearchLimit(f"more than {self.limits['candidates']} files of that name")
        found = {
            "path": _b64(path),
            "what": _kind(info.st_mode),
            "bytes": info.st_size,
            "mtime_ns": info.st_mtime_ns,
            "target": None,
            "content": None,
            "problem": None,
        }
        if found["what"] == "symlink":
            found["target"] = _b64(_target(path))
        elif found["what"] == "file":
            found["content"], found["problem"] = self.read(path, self.limits["file_bytes"])
            if found["problem"] == NOT_CARRIED:
                self.cut(_too_many_bytes(self.limits), self.root)
        self.candidates[path] = found

    def look_into(self, folder: bytes) -> None:
        """Count what one actor's or run's folder holds; keep it if that is anything at all."""
        if folder in self.folders:
            return
        if len(self.folders) >= self.limits["folders"]:
            self.cut(f"more than {self.limits['folders']} folders of actors and runs")
            return
        found: Dict[str, Any] = {"path": _b64(folder), "counts": {}, "frames": None, "configs": []}
        self.folders[folder] = found
        for kind, places in self.request["places"].items():
            found["counts"][kind] = 0
            for place, suffixes in places:
                count = self.count(os.path.join(folder, os.fsencode(place)), suffixes)
                # The same frames as crops in two folders are not twice as many.
                found["counts"][kind] = max(found["counts"][kind], count)
        found["frames"] = self.frames(os.path.join(folder, self.run_folder))
        if found["frames"] is None and not any(found["counts"].values()):
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
        first = os.path.join(folder, names[0] + suffix)
        content, problem = self.read(first, self.limits["file_bytes"])
        times = []
        for name in names[:: len(names) // SAMPLED_FRAMES + 1]:
            try:
                times.append(os.lstat(os.path.join(folder, name + suffix)).st_mtime_ns)
            except OSError:
                continue  # it went away meanwhile
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
        """A small regular file's content, or why there is none: an errno's name, IRREGULAR, TOO_BIG."""
        if self.carried + limit > self.limits["carried_bytes"]:
            self.cut(_too_many_bytes(self.limits))
            return None, NOT_CARRIED
        try:
            # Without O_NONBLOCK a pipe of that name would wait for its writer.
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(fd, "rb") as file:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return None, "IRREGULAR"
                data = file.read(limit + 1)
        except OSError as e:
            return None, errno.errorcode.get(e.errno or 0, "EIO")
        if len(data) > limit:
            return None, "TOO_BIG"
        self.carried += len(data)
        return _b64(data), None


def main(_: str, stdin: BinaryIO) -> None:
    """Answer the request on stdin."""
    json.dump(_BoxSearch(json.loads(stdin.read().decode("utf-8"))).run(), sys.stdout)


def _too_many_bytes(limits: Dict[str, Any]) -> str:
    return f"more than {limits['carried_bytes']} bytes of contents"


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) else "other"


def _target(path: bytes) -> bytes:
    try:
        return os.readlink(path)
    except OSError:
        return b"?"
