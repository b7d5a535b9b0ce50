"""Runs on the pod: takes files from one stream on stdin, for pods without rsync.

Each file is written beside its place and renamed when it is whole; a cut one
stays there, and the next stream continues it.

REQUEST is JSON: {"do": "look" or "take", "into": base64}. `look` reads [[name base64, bytes, mtime_ns]]
from stdin and prints, for each, how many bytes are here already, or null where the file is whole.
`take` reads, for each file, a line [name base64, bytes, mtime_ns, mode, offset] and its bytes from there.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import stat
import sys
from typing import Any, BinaryIO, List, Optional

from being_remote.pod import disk_features

ASIDE = b".being-remote-partial"
CHUNK_BYTES = 1 << 20
MAX_LINE = 1 << 16


def partial_path(into: bytes, name: bytes, size: int, mtime_ns: int) -> bytes:
    """Return where the file is written; another version of it is written elsewhere."""
    key = b"%b\0%d\0%d" % (name, size, mtime_ns)
    return os.path.join(into, ASIDE, hashlib.sha256(key).hexdigest().encode())


def count_held(into: bytes, name: bytes, size: int, mtime_ns: int) -> Optional[int]:
    """Return how many of its bytes are here; None: all, in its place."""
    try:
        found = os.lstat(os.path.join(into, name))
        if stat.S_ISREG(found.st_mode) and (found.st_size, found.st_mtime_ns) == (size, mtime_ns):
            return None
    except FileNotFoundError:
        pass
    try:
        found = os.lstat(partial_path(into, name, size, mtime_ns))
    except FileNotFoundError:
        return 0
    return min(found.st_size, size) if stat.S_ISREG(found.st_mode) else 0


def take_file(into: bytes, header: List[Any], stdin: BinaryIO) -> None:
    """Read one file."""
    encoded, size, mtime_ns, mode, offset = header
    name = base64.b64decode(encoded)
    aside = partial_path(into, name, size, mtime_ns)
    os.makedirs(os.path.dirname(aside), exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(aside, flags, 0o644), "wb") as f:
        if os.fstat(f.fileno()).st_size < offset:
            sys.exit(f"the part of {name!r} that was here is missing")
        f.seek(offset)
        left = size - offset
        while left:
            chunk = stdin.read(min(left, CHUNK_BYTES))
            if not chunk:
                sys.exit("cut short")
            f.write(chunk)
            left -= len(chunk)
        f.truncate()
    final = os.path.join(into, name)
    os.makedirs(os.path.dirname(final), exist_ok=True)
    try:
        disk_features.set_mode(aside, mode)
        disk_features.set_time(aside, mtime_ns)
        os.replace(aside, final)
    except FileNotFoundError:
        # The link was cut unnoticed, and another stream has completed the same file; what this one wrote
        # since is the same bytes, but changed its time.
        if os.lstat(final).st_size != size:
            raise
        disk_features.set_time(final, mtime_ns, follow_symlinks=False)


def main(request: str, stdin: BinaryIO) -> None:
    """Answer one request."""
    asked = json.loads(request)
    into = base64.b64decode(asked["into"])
    if asked["do"] == "look":
        rows = json.loads(stdin.read())
        json.dump([count_held(into, base64.b64decode(row[0]), *row[1:]) for row in rows], sys.stdout)
        return
    try:
        for line in iter(lambda: stdin.readline(MAX_LINE), b""):
            take_file(into, json.loads(line), stdin)
    except OSError as e:
        e.filename = e.filename or into  # a write names no file
        raise
    with contextlib.suppress(OSError):  # another stream is running, or was cut
        os.rmdir(os.path.join(into, ASIDE))
