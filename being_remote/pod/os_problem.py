"""Runs on the pod: what the system refused, as a record and in words.

The laptop says the same with the host's name: `in_words` is the one table of these words. Each program runs
in `run`, which ends one that was refused something with EXIT_CODE and the record, as the last line of stderr.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from typing import Any, Callable, Dict, Optional

EXIT_CODE = 74  # EX_IOERR of sysexits.h
FULL = ("ENOSPC", "EDQUOT")
FULL_BELOW_BYTES = 64 << 10
_WORDS = {
    "ENOSPC": "disk full",
    "EDQUOT": "quota exceeded",
    "EIO": "disk error",
    "ENOLCK": "the disk offers no locks",
    "ESTALE": "network disk lost",
    "EROFS": "disk is read-only",
    "EACCES": "no permission",
    "EPERM": "no permission",
    "EMFILE": "too many open files",
    "ENFILE": "too many open files",
    "ENOMEM": "out of memory",
    "EAGAIN": "no more processes allowed",
    "ENOENT": "No such file or directory",
    "ENOTDIR": "not a folder",
}
_MAX_PATH, _PAGE = 300, 4096


def run(program: Callable[[], None]) -> None:
    """Run a program to its end. An exception that does not come from the system passes: it is a bug."""
    try:
        program()
    except BrokenPipeError:  # its reader has gone
        raise
    except OSError as e:
        if e.errno is None:
            raise
        _end(record_of(e))
    except MemoryError:
        _end({"errno": "ENOMEM", "path": ""})


def _end(record: Dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        os.write(2, (json.dumps(record) + "\n").encode("ascii"))
    sys.exit(EXIT_CODE)


def record_of(error: OSError) -> Dict[str, Any]:
    """The record of a refusal: its errno's name and the path, "" without one."""
    path = error.filename if error.filename is not None else ""
    name = errno.errorcode.get(error.errno or 0, "EIO")
    return {"errno": name, "path": os.fsdecode(path)[-_MAX_PATH:] if isinstance(path, (str, bytes)) else ""}


def in_words(name: str, path: str, host: str = "") -> str:
    """A refusal in words.

    Example:
        >>> in_words("ENOSPC", "/workspace/Being", "a100")
        'disk full on a100 (/workspace/Being)'
        >>> in_words("ELOOP", "")
        'ELOOP: Too many levels of symbolic links'
    """
    number = getattr(errno, name, 0)
    what = _WORDS.get(name) or f"{name}: {os.strerror(number)}"
    return what + (f" on {host}" if host else "") + (f" ({path})" if path else "")


def describe(error: OSError) -> str:
    """A refusal in words, for a record on this pod."""
    record = record_of(error)
    return in_words(record["errno"], record["path"])


def find_full_disk(folder: str) -> Optional[Dict[str, Any]]:
    """The record of a disk without room, by its own figures; a quota is not seen by them."""
    try:
        at = os.statvfs(folder)
    except OSError:
        return None
    # Root may use the blocks that are reserved for it.
    blocks, files = (at.f_bfree, at.f_ffree) if os.geteuid() == 0 else (at.f_bavail, at.f_favail)
    # Network disks say 0 of what they do not count.
    full = (at.f_blocks > 0 and blocks * at.f_frsize < FULL_BELOW_BYTES) or (at.f_files > 0 and files == 0)
    return {"errno": "ENOSPC", "path": folder} if full else None


def find_quota(folder: str) -> Optional[Dict[str, Any]]:
    """The record of a disk that refuses to take another page in the folder, which its figures may not say."""
    probe = os.path.join(folder, f".{os.urandom(8).hex()}.probe")
    try:
        with open(probe, "xb", buffering=0) as file:
            file.write(bytes(_PAGE))
            os.fsync(file.fileno())
    except OSError as e:
        found = record_of(e)
        return dict(found, path=folder) if found["errno"] in FULL else None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(probe)
    return None
