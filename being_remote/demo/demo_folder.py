"""The folder of a demo: the next demo replaces it, and an interrupted one removes it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from being_remote.disk import existing_parent
from being_remote.errors import NoSpace, UsageError
from being_remote.wording import size_words

NEEDED_BYTES = 200_000_000
_OURS = ".made-by-being-remote-demo"  # holds the process id of a pod that was kept


@contextmanager
def demo_folder(folder: Path) -> Iterator[Path]:
    """Make `folder` for one demo, in place of an earlier demo's; an interrupted demo leaves no folder.

    A demo that fails leaves its files, to look at.

    Raises:
        UsageError: the folder cannot be made, exists and was not made by a demo, or its pod is still running.
        NoSpace: its disk has too little room.
    """
    folder = folder.absolute()
    _remove_earlier(folder)
    _require_room(folder)
    try:
        _make(folder)
        yield folder
    except (KeyboardInterrupt, SystemExit):
        shutil.rmtree(folder, ignore_errors=True)
        raise


def note_kept_pod(folder: Path, pid: int | None) -> None:
    """Remember the pod that goes on in this folder, so that the next demo does not remove its files."""
    (folder / _OURS).write_text("" if pid is None else str(pid))


def _require_room(folder: Path) -> None:
    free = shutil.disk_usage(existing_parent(folder)).free
    if free < NEEDED_BYTES:
        raise NoSpace(
            f"a demo needs about {size_words(NEEDED_BYTES)}, and {size_words(free)} are free",
            file=str(folder),
            hint="name a folder on another disk: --out DIR",
        )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
        (folder / _OURS).touch()
    except OSError as e:
        raise UsageError(
            f"cannot be made: {e.strerror}", where=str(folder), hint="name another folder: --out DIR"
        ) from e


def _remove_earlier(folder: Path) -> None:
    if not folder.exists():
        return
    if not (folder / _OURS).exists():
        raise UsageError(
            "exists and was not made by a demo",
            where=str(folder),
            hint="name another folder: --out DIR",
        )
    pid = (folder / _OURS).read_text()
    if pid and _is_alive(int(pid)):
        raise UsageError(
            "holds an earlier demo's pod, which is still running",
            where=str(folder),
            hint=f"stop it: kill {pid}; or name another folder: --out DIR",
        )
    # The mark goes last: what an interrupted removal leaves is still a demo's.
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != _OURS:
            path.unlink()
    shutil.rmtree(folder)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
