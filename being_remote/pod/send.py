"""Runs on the pod: sends files on stdout, one behind the other, with figures and hashes. Writes nothing.

The request comes on stdin, deflated (zlib) JSON Lines: the folder, then names,
some to a line: [[text, [[bytes, mtime in seconds], ...], most], ...], each with the versions that need not be
sent, and how many of its first bytes may be. Names travel as text, one letter for each byte. What is missing
or not a plain file is left out. Of each other file come

    HEADER   its number in the request, bytes, mtime_ns, ctime_ns, inode
             so many bytes
    TRAILER  whether it did not change meanwhile, how many of these bytes are the file's (it may have become
             shorter, and zeros stand for the rest), its mtime_ns by now, sha256 of all these bytes

and at the end a HEADER whose number is the count of all names. Files that cannot be read are named on stderr
at the end, with exit code 1; all others are sent.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import struct
import sys
import zlib
from typing import BinaryIO, List, Optional

HEADER = struct.Struct("!IQqqQ")
TRAILER = struct.Struct("!?Qq32s")
CHUNK_BYTES = 1 << 20
LATEST_NS = 1 << 63
# Deleted since it was listed, or something else now.
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)


def send_file(number: int, path: bytes, held: List[List[int]], most: int, out: BinaryIO) -> Optional[str]:
    """Send one file; return why it could not be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        return None if e.errno in GONE else f"{path!r}: {e.strerror}"
    try:
        at = os.fstat(descriptor)
        if not stat.S_ISREG(at.st_mode) or [at.st_size, at.st_mtime_ns // 1000000000] in held:
            return None
        if not all(-LATEST_NS <= ns < LATEST_NS for ns in (at.st_mtime_ns, at.st_ctime_ns)):
            return f"{path!r}: its time is beyond the year 2262"
        size = min(at.st_size, most)
        out.write(HEADER.pack(number, size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino))
        digest, left, why = hashlib.sha256(), size, None
        while left:
            try:
                chunk = os.read(descriptor, min(left, CHUNK_BYTES))
            except OSError as e:
                chunk, why = b"", f"{path!r}: {e.strerror}"
            if not chunk:
                break
            digest.update(chunk)
            out.write(chunk)
            left -= len(chunk)
        good = size - left
        while left:
            chunk = bytes(min(left, CHUNK_BYTES))
            digest.update(chunk)
            left -= out.write(chunk)
        now = os.fstat(descriptor)
        then = (good, at.st_mtime_ns, at.st_ctime_ns)
        sound = (now.st_size, now.st_mtime_ns, now.st_ctime_ns) == then
        out.write(TRAILER.pack(sound, good, now.st_mtime_ns, digest.digest()))
        return why
    finally:
        os.close(descriptor)


def main(_: str, stdin: BinaryIO) -> None:
    """Answer the request on stdin."""
    with open(1, "wb", buffering=1 << 17, closefd=False) as stdout:
        send_all(stdin, stdout)


def send_all(stdin: BinaryIO, out: BinaryIO) -> None:
    """Answer the request."""
    first, *lines = zlib.decompress(stdin.read()).split(b"\n")
    folder = json.loads(first).encode("latin-1")
    os.stat(folder)
    unread, number = [], 0
    for line in lines:
        for letters, held, most in json.loads(line):
            why = send_file(number, folder + b"/" + letters.encode("latin-1"), held, most, out)
            if why is not None:
                unread.append(why)
            number += 1
    out.write(HEADER.pack(number, 0, 0, 0, 0))
    out.flush()
    if unread:
        sys.exit("\n".join(unread[:10]))
