"""Temporary folders named after their process, so that those of killed ones can be removed. A leaf."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "br-"


def make_folder(parent: Path) -> Path:
    """A new folder in `parent` that only we may enter; those of our killed processes are removed."""
    sweep(parent)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for a moment, in the system's place for them."""
    folder = make_folder(Path(tempfile.gettempdir()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove the folders of processes that are gone; those of other users, and links, stay."""
    for left in parent.glob(f"{PREFIX}[0-9]*-*"):
        pid = left.name.removeprefix(PREFIX).partition("-")[0]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            with contextlib.suppress(FileNotFoundError):  # another process sweeps, too
                if not left.is_symlink() and left.lstat().st_uid == os.geteuid():
                    shutil.rmtree(left, ignore_errors=True)
        except (ValueError, OverflowError, OSError):
            continue  # not ours, or somebody else is at work
