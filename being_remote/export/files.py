"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from being_remote.disk import FULL
from being_remote.durable_files import write_whole
from being_remote.errors import NoSpace, UsageError


def write_atomically(path: Path, pieces: Iterable[bytes], *, synced: bool = True) -> None:
    """Write beside `path`, then rename over it; its folder is made. `synced`: see `write_whole`.

    Raises:
        NoSpace: the disk is full; `path` is as it was.
        UsageError: the folder cannot be made or written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_whole(path, pieces, scratch=temporary, synced=synced)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as e:
        if e.errno in FULL:
            raise NoSpace("the disk is full; what was here before is unchanged", file=str(path)) from e
        raise UsageError(
            f"cannot be written: {e.strerror}", where=str(path), hint="name another folder: --out DIR"
        ) from e
