"""Reads a live tree all the time while others change it, as a person's own programs would.

with LiveWatcher(root, whole) as watcher:
    ...
# fails if any file was ever seen that `whole(path, contents)` did not call whole
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from being_remote.errors import DataError
from being_remote.tracker.file_check import check_bytes


def whole(path: str, data: bytes) -> bool:
    """Whether the content fits the name."""
    try:
        check_bytes(path, data)
    except DataError:
        return False
    return True


class LiveWatcher:
    """A thread that reads every live file again and again, and remembers those that are not whole."""

    def __init__(self, root: Path, whole: Callable[[str, bytes], bool]) -> None:
        self.torn: dict[str, bytes] = {}
        self.rounds = 0
        self._root, self._whole = root, whole
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> LiveWatcher:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        self._end.set()
        self._thread.join()
        if kind is None:
            assert self.rounds, "the watcher saw nothing"
            assert not self.torn, {path: (len(data), data[:60]) for path, data in self.torn.items()}

    def _watch(self) -> None:
        while not self._end.wait(0.002):
            for path, data in live_files(self._root).items():
                if not self._whole(path, data):
                    self.torn[path] = data
            self.rounds += 1


def live_files(root: Path) -> dict[str, bytes]:
    """What a person sees: path -> contents, without the history."""
    found = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".history"]
        for name in names:
            path = Path(folder, name)
            try:
                found[str(path.relative_to(root))] = path.read_bytes()
            except FileNotFoundError:
                continue  # replaced while we looked
    return found
