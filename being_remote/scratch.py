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
    """A new private folder in `parent`; removes those of our killed processes."""
    sweep(parent)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder in the system's temporary folder, removed afterwards."""
    folder = make_folder(Path(tempfile.gettempdir()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove our folders whose processes have ended; links and other users' folders stay."""
    for folder in parent.glob(f"{PREFIX}[0-9]*-*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            with contextlib.suppress(FileNotFoundError):  # another process sweeps, too
                if not folder.is_symlink() and folder.lstat().st_uid == os.geteuid():
                    shutil.rmtree(folder, ignore_errors=True)
        except (ValueError, OverflowError, OSError):
            continue  # not such a folder, or its process runs
