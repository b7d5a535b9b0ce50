"""Runs on the pod: puts staged files into their places, never over another; or only looks.

A staged file is named after its hash, and is hashed here before it is renamed into place, so a file in its
place is whole whatever happens. The folder may itself be a link (people put their data on volumes); links
below it are never followed. Either every file can be placed, or nothing is changed.

REQUEST is JSON: {"do": "look" or "place", "into", "stage": base64, "beside": [base64]}; on stdin comes
[[name base64, bytes, sha256, executable]]. The answer is one JSON document on stdout:

    files            for each: "same", "absent", or what is in its place: "different", "link", "folder",
                     "special", or "behind" a link or a file
    staged_bytes     of these files in the stage
    left_over_bytes  of other files in the stage
    free_bytes       on that disk
    beside           for each name below the folder: how many other files are there
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import stat
import sys
import time
from typing import Any, BinaryIO, Dict, List, NamedTuple, Set

from being_remote.pod import disk_features

CHUNK_BYTES = 1 << 20
# A push that was left for so long will not be completed.
ABANDONED_S = 7 * 24 * 3600
COPY = b".copy"


class FileToPlace(NamedTuple):
    """One file to place."""

    name: bytes
    size: int
    sha256: str
    executable: bool


def inspect_place(into: bytes, file: FileToPlace, plain: Set[bytes]) -> str:
    """Return what is in the file's place; `plain` collects the folders that are known to be plain."""
    *folders, last = file.name.split(b"/")
    path = into
    try:
        for folder in folders:
            path = os.path.join(path, folder)
            if path not in plain:
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    return "behind"
                plain.add(path)
        path = os.path.join(path, last)
        found = os.lstat(path)
    except FileNotFoundError:
        return "absent"
    except NotADirectoryError:
        return "behind"
    if not stat.S_ISREG(found.st_mode):
        kinds = {stat.S_IFLNK: "link", stat.S_IFDIR: "folder"}
        return kinds.get(stat.S_IFMT(found.st_mode), "special")
    return "same" if found.st_size == file.size and hash_file(path) == file.sha256 else "different"


def hash_file(path: bytes) -> str:
    """Return the hash of a file; a link is refused."""
    digest = hashlib.sha256()
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as f:
        for chunk in iter(lambda: f.read(CHUNK_BYTES), b""):
            digest.update(chunk)
    return digest.hexdigest()


def place_files(into: bytes, stage: bytes, files: List[FileToPlace], states: List[str]) -> None:
    """Put every absent file into its place, and update `states`.

    A staged file that is not whole is removed, so that it is sent again, and nothing is placed.
    """
    absent = [i for i, state in enumerate(states) if state == "absent"]
    whole = {files[i].sha256 for i in absent}
    remove_placed(stage, {file.sha256 for file in files}, whole)
    for sha256 in sorted(whole):
        staged = os.path.join(stage, sha256.encode())
        try:
            if stat.S_ISREG(os.lstat(staged).st_mode) and hash_file(staged) == sha256:
                continue
            os.unlink(staged)
        except FileNotFoundError:
            pass
        whole.discard(sha256)
    if any(files[i].sha256 not in whole for i in absent):
        return
    if absent:
        sync_disk(stage)
    last = {files[i].sha256: i for i in absent}
    for i in absent:
        staged = source = os.path.join(stage, files[i].sha256.encode())
        if last[files[i].sha256] != i:  # one content for several names: files of their own
            source = staged + COPY
            copy_file(staged, source)
        disk_features.set_mode(source, 0o755 if files[i].executable else 0o644)
        target = os.path.join(into, files[i].name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        disk_features.rename_new(source, target)
        states[i] = "same"
    if absent:
        sync_disk(into)


def copy_file(source: bytes, target: bytes) -> None:
    """Copy a file and fsync the copy."""
    with open(source, "rb") as reader, open(target, "wb") as writer:
        shutil.copyfileobj(reader, writer, CHUNK_BYTES)
        writer.flush()
        disk_features.sync_descriptor(writer.fileno())


def remove_placed(stage: bytes, known: Set[str], needed: Set[str]) -> None:
    """Remove from the stage what a killed call has placed: it is a hard link to the placed file."""
    for sha256 in known:
        staged = os.path.join(stage, sha256.encode())
        for path in (staged, staged + COPY):
            try:
                links = os.lstat(path).st_nlink
            except FileNotFoundError:
                continue
            if links > 1 or path != staged or sha256 not in needed:
                os.unlink(path)


def remove_abandoned(stage: bytes, wanted: Set[bytes]) -> None:
    """Remove what other pushes left in the stage long ago, by ctime, since rsync sets mtimes."""
    for folder, _, names in os.walk(stage, topdown=False):
        for name in names:
            path = os.path.join(folder, name)
            with contextlib.suppress(FileNotFoundError):
                if name not in wanted and time.time() - os.lstat(path).st_ctime > ABANDONED_S:
                    os.unlink(path)
        if folder != stage:
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(folder)


def sync_disk(folder: bytes) -> None:
    """Sync the folder's file system."""
    syncfs = getattr(ctypes.CDLL(None), "syncfs", None)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if syncfs is None or syncfs(descriptor) != 0:
            os.sync()
    finally:
        os.close(descriptor)


def measure_stage(stage: bytes, files: List[FileToPlace]) -> Dict[str, int]:
    """Return how much lies in the stage, of these files and of others."""
    wanted = {file.sha256.encode() for file in files}
    answer = {"staged_bytes": 0, "left_over_bytes": 0}
    for folder, _, names in os.walk(stage):
        for name in names:
            whose = "staged_bytes" if folder == stage and name in wanted else "left_over_bytes"
            answer[whose] += os.lstat(os.path.join(folder, name)).st_size
    return answer


def count_others(into: bytes, name: bytes, files: List[FileToPlace]) -> int:
    """Return how many files are at or in `name` that are not among `files`."""
    path, wanted = os.path.join(into, name), {file.name for file in files}
    try:
        return sum(os.path.join(name, entry) not in wanted for entry in os.listdir(path))
    except FileNotFoundError:
        return 0
    except NotADirectoryError:
        return int(name not in wanted)


def free_bytes(folder: bytes) -> int:
    """Return the free space where the folder is, or will be made."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free


def answer(request: Dict[str, Any], files: List[FileToPlace]) -> Dict[str, Any]:
    """Carry out one request."""
    into, stage = base64.b64decode(request["into"]), base64.b64decode(request["stage"])
    plain: Set[bytes] = set()
    states = [inspect_place(into, file, plain) for file in files]
    if request["do"] == "place" and set(states) <= {"same", "absent"}:
        place_files(into, stage, files, states)
        remove_abandoned(stage, {file.sha256.encode() for file in files})
        with contextlib.suppress(OSError):  # it holds what another push left, or there was none
            os.rmdir(stage)
    beside = [count_others(into, base64.b64decode(name), files) for name in request["beside"]]
    return {"files": states, "free_bytes": free_bytes(into), "beside": beside, **measure_stage(stage, files)}


def main(request: str, stdin: BinaryIO) -> None:
    """Answer one request."""
    rows = json.loads(stdin.read())
    files = [FileToPlace(base64.b64decode(name), *more) for name, *more in rows]
    json.dump(answer(json.loads(request), files), sys.stdout, separators=(",", ":"))
