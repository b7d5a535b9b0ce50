"""Runs on the pod: lists the files of some folders, or hashes named ones. Writes nothing.

The request comes on stdin, the answer goes to stdout, both deflated (zlib). The request is JSON:

    {"folders": [{"path": text, "pattern": text, "recursive": bool, "hash": bool, "most": number}  is listed
                 or {"path": text, "names": [[text, bytes or null], ...]}],                        is hashed
     "unless": text}

With a number of bytes only the first so many bytes are hashed. The answer is JSON Lines:
{"folder": N, "files": [[name, bytes, mtime_ns, ctime_ns, inode, sha256 or null], ...]}, many of them, then
{"incarnation", "clock_ns", "folders": [{"exists", "error", "skipped", "cut"}, ...], "digest"}.
"cut": the folder has more than "most" files, or all together more than `MAX_FILES`. What cannot be read is
skipped; "error" names the first such place. No file is listed where the digest equals "unless". A file's
figures are from before it was read. Names travel as text, one letter for each byte. A requested folder may be
a link (people put their data on volumes); links and specials below it are named under "skipped", never
followed. No file system of the kernel is entered.
"""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
import json
import marshal
import operator
import os
import stat
import sys
import time
import zlib
from typing import Any, BinaryIO, Dict, FrozenSet, Iterable, Iterator, List, Optional, Tuple

from being_remote.pod import kernel_fs

MAX_FILES = 500000
MAX_SKIPPED = 100
MAX_DEPTH = 100
CHUNK_BYTES = 1 << 20
ROWS = 500
NAME = operator.attrgetter("name")

# name, bytes, mtime_ns, ctime_ns, inode, sha256
Row = Tuple[bytes, int, int, int, int, Optional[str]]


def format_line(value: Any) -> bytes:
    """Return one line of the answer."""
    return (json.dumps(value, separators=(",", ":")) + "\n").encode("ascii")


def identify_start() -> Dict[str, Any]:
    """Return what tells this start of the container from any other; None where unknown."""
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


def hash_file(path: bytes, limit: Optional[int]) -> Tuple[Optional[os.stat_result], Optional[str]]:
    """Return a plain file's figures and hash (of its first `limit` bytes); None where it cannot be read."""
    digest = hashlib.sha256()
    found: Optional[os.stat_result] = None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return None, None
            left = limit
            while left is None or left > 0:
                chunk = os.read(descriptor, CHUNK_BYTES if left is None else min(left, CHUNK_BYTES))
                if not chunk:
                    break
                digest.update(chunk)
                left = None if left is None else left - len(chunk)
        finally:
            os.close(descriptor)
    except OSError:
        return found, None
    return found, digest.hexdigest()


class ListingFull(Exception):
    """There are more files than may be listed."""


def list_folder(
    query: Dict[str, Any],
    below: bytes,
    most: int,
    rows: List[Row],
    skipped: List[Any],
    kernel: FrozenSet[int],
) -> List[str]:
    """Add each plain file that fits the pattern to `rows`; return why some could not be read.

    Raises:
        ListingFull: there are more than `most`.
    """
    folder, pattern = query["path"].encode("latin-1"), query["pattern"].encode("latin-1")
    if below.count(b"/") > MAX_DEPTH:
        return [f"more than {MAX_DEPTH} folders deep: {below!r}"]
    try:
        with os.scandir(os.path.join(folder, below)) as found:
            inside = sorted(found, key=NAME)
    except OSError as e:
        return [f"{e.strerror}: {e.filename!r}"]
    errors: List[str] = []
    for entry in inside:
        name = below + entry.name
        try:
            if entry.is_dir(follow_symlinks=False):
                if query["recursive"] and entry.stat(follow_symlinks=False).st_dev not in kernel:
                    errors += list_folder(query, name + b"/", most, rows, skipped, kernel)
                continue
            if pattern != b"*" and not fnmatch.fnmatchcase(name, pattern):
                continue
            at = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # deleted meanwhile
        except OSError as e:
            errors.append(f"{e.strerror}: {e.filename!r}")
            continue
        if stat.S_ISREG(at.st_mode):
            if len(rows) >= most:
                raise ListingFull
            digest = None
            if query["hash"]:
                again, digest = hash_file(os.path.join(folder, name), None)
                at = again or at
            rows.append((name, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino, digest))
        elif len(skipped) < MAX_SKIPPED:
            skipped.append([name.decode("latin-1"), "link" if stat.S_ISLNK(at.st_mode) else "special"])
    return errors[:1]


def hash_named(query: Dict[str, Any], rows: List[Row]) -> None:
    """Add each named file that is still a plain file to `rows`."""
    folder = query["path"].encode("latin-1")
    for letters, limit in query["names"]:
        name = letters.encode("latin-1")
        at, digest = hash_file(os.path.join(folder, name), limit)
        if at is not None:
            rows.append((name, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino, digest))


def format_rows(number: int, rows: List[Row]) -> Iterator[bytes]:
    """Yield the lines for a folder's files."""
    for start in range(0, len(rows), ROWS):
        some = [(each[0].decode("latin-1"), *each[1:]) for each in rows[start : start + ROWS]]
        yield format_line({"folder": number, "files": some})


def main(_: str, stdin: BinaryIO) -> None:
    """Answer the request on stdin."""
    clock_ns = time.time_ns()
    request = json.loads(zlib.decompress(stdin.read()))
    folders: List[Dict[str, Any]] = []
    files: List[List[Row]] = []
    kernel, left = kernel_fs.devices(), MAX_FILES
    for query in request["folders"]:
        skipped: List[Any] = []
        rows: List[Row] = []
        errors: List[str] = []
        cut = False
        path = query["path"].encode("latin-1")
        exists = os.path.isdir(path)
        try:
            if exists and kernel_fs.real_path(path, kernel) is None:
                errors = [f"it leads into the kernel's own files: {path!r}"]
            elif exists and "names" in query:
                hash_named(query, rows)
            elif exists:
                errors = list_folder(
                    query, b"", min(left, query.get("most", MAX_FILES)), rows, skipped, kernel
                )
        except ListingFull:
            cut = True
        except OSError as e:
            errors = [f"{e.strerror}: {e.filename!r}"]
        left -= len(rows)
        files.append(rows)
        folders.append(
            {"exists": exists, "error": errors[0] if errors else None, "skipped": skipped, "cut": cut}
        )
    # This form of marshal writes equal rows as equal bytes, and is much faster than JSON.
    digest = hashlib.sha256(marshal.dumps(files, 2) + format_line(folders)).hexdigest()
    lines: Iterable[bytes] = ()
    if digest != request.get("unless"):
        lines = itertools.chain.from_iterable(map(format_rows, range(len(files)), files))
    end = {"incarnation": identify_start(), "clock_ns": clock_ns, "folders": folders, "digest": digest}
    sys.stdout.buffer.write(zlib.compress(b"".join(lines) + format_line(end), 1))
