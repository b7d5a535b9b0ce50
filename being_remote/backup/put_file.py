"""Put one file into a backup, as a snapshot."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from being_remote.backup.history import History
from being_remote.backup.reconcile import settle
from being_remote.durable_files import room_on_disk, write_whole
from being_remote.errors import InconsistentData, UnsafeFile
from being_remote.local_path import LIVE, path_problem
from being_remote.transfer.checked_files import NO_JUDGE, StoredFile


def put_file(root: Path, relative: str, data: bytes, *, host: str) -> bool:
    """Keep `data`, which came from `host`, as `relative` in the backup `root`; never over another file.

    Returns:
        False when the same bytes lie there already.

    Raises:
        InconsistentData: another file lies there.
        Busy: another process changes this backup.
        NoSpace: the disk is full here.
        UnsafeFile: `relative` is not a path of the live tree.
    """
    if why := path_problem(LIVE, os.fsencode(relative)):
        raise UnsafeFile(why, file=relative)
    history = History(root)
    with room_on_disk(root), history.lock():
        live = settle(history, NO_JUDGE).manifest
        files = live.files if live is not None else {}
        sha256 = hashlib.sha256(data).hexdigest()
        if relative in files:
            if files[relative].sha256 == sha256:
                return False
            raise InconsistentData(
                f"holds other bytes than the file on {host}",
                file=str(root / relative),
                hint="compare the two; move the one here away if the other is the right one",
            )
        write_whole(history.object(sha256), data, scratch=history.scratch)
        entry = StoredFile(relative, sha256, len(data), time.time_ns(), ("sha256",), host)
        history.commit({**files, relative: entry}, why="put", host=host)
        settle(history, NO_JUDGE)
    return True
