"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from being_remote.errors import NoSpace, UsageError


def write_atomically(path: Path, pieces: Iterable[bytes], *, synced: bool = True) -> None:
    """Write beside `path`, then rename over it: a reader sees the old file or the new one.

    `synced` makes that hold through a power cut too; it costs a disk's turn, which is too much for
    each of a thousand small files.

    Raises:
        NoSpace: the disk is full; `path` is as it was.
        UsageError: the folder cannot be made or written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as f:
                f.writelines(pieces)
                if synced:
                    f.flush()
                    os.fsync(f.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as e:
        if e.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace("the disk is full; what was here before is unchanged", file=str(path)) from e
        raise UsageError(
            f"cannot be written: {e.strerror}", where=str(path), hint="name another folder: --out DIR"
        ) from e
