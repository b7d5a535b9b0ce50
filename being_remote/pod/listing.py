"""Runs on the pod: what lies in some folders, as one JSON document on stdout. Writes nothing.

Sent as text to `python3 - REQUEST` on stdin, so it imports nothing of ours and runs on Python 3.8.
REQUEST is JSON: {"hash": bool, "folders": [{"path": base64, "pattern": base64, "recursive": bool}]}.
Names travel as base64 of their bytes. A folder that is asked for may itself be a link (people put
their data on volumes); links and specials found below it are named under "skipped", never followed.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import os
import stat
import sys
from typing import Any, Dict, Iterator, List, Optional, Tuple

MAX_FILES = 500000
MAX_SKIPPED = 100
CHUNK_BYTES = 1 << 20


def incarnation() -> Dict[str, Any]:
    """What tells this start of this container from any other; None where the system keeps silent."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as f:
            boot_id: Optional[str] = f.read(64).strip()
    except OSError:
        boot_id = None
    try:
        pid_namespace: Optional[int] = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        pid_namespace = None
    return {"boot_id": boot_id, "pid_namespace": pid_namespace}


def entries(folder: bytes, recursive: bool, below: bytes = b"") -> Iterator[Tuple[bytes, os.DirEntry[bytes]]]:
    """Every entry below a folder with its relative path; subfolders are entered, not yielded."""
    with os.scandir(os.path.join(folder, below)) as found:
        for entry in sorted(found, key=lambda e: e.name):
            name = os.path.join(below, entry.name)
            if not entry.is_dir(follow_symlinks=False):
                yield name, entry
            elif recursive:
                yield from entries(folder, recursive, name)


def sha256_of(path: bytes) -> Optional[str]:
    """The file's hash, or None when it cannot be read (any more)."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as f:
            for chunk in iter(lambda: f.read(CHUNK_BYTES), b""):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()


def folder_listing(asked: Dict[str, Any], with_hash: bool, room: int) -> Dict[str, Any]:
    """One folder: [name, bytes, mtime_ns, sha256 or null] of each plain file that fits the pattern."""
    folder, pattern = base64.b64decode(asked["path"]), base64.b64decode(asked["pattern"])
    files: List[Any] = []
    skipped: List[Any] = []
    exists = os.path.isdir(folder)
    answer: Dict[str, Any] = {"exists": exists, "error": None, "files": files, "skipped": skipped}
    if not exists:
        return answer
    try:
        for name, entry in entries(folder, asked["recursive"]):
            if not fnmatch.fnmatchcase(name, pattern):
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # it went away while we looked
            word = base64.b64encode(name).decode("ascii")
            if not stat.S_ISREG(found.st_mode):
                if len(skipped) < MAX_SKIPPED:
                    skipped.append([word, "link" if stat.S_ISLNK(found.st_mode) else "special"])
                continue
            if len(files) >= room:
                raise OverflowError(f"more than {MAX_FILES} files")
            digest = sha256_of(os.path.join(folder, name)) if with_hash else None
            files.append([word, found.st_size, found.st_mtime_ns, digest])
    except OSError as e:
        answer["error"] = f"{e.strerror}: {e.filename!r}"
    return answer


def main(request: str) -> None:
    """Answer one request."""
    asked = json.loads(request)
    folders: List[Any] = []
    room = MAX_FILES
    for folder in asked["folders"]:
        folders.append(folder_listing(folder, asked["hash"], room))
        room -= len(folders[-1]["files"])
    json.dump({"incarnation": incarnation(), "folders": folders}, sys.stdout, separators=(",", ":"))


if __name__ == "__main__":
    main(sys.argv[1])
