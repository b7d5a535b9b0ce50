"""Which names from a host may become paths on this laptop. Names are data: judged, never trusted."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path

MAX_PART_BYTES = 255
MAX_PATH_BYTES = 2048


def refusal(name: bytes) -> str | None:
    """Why `name`, a path below a folder on a host, cannot come home; None when it can.

    Example:
        >>> refusal(b"00000.frame"), refusal(b"-rf $(x)")
        (None, None)
        >>> refusal(b"../../.ssh/authorized_keys")
        'it leaves its folder'
    """
    parts = name.split(b"/")
    if name.startswith(b"/") or b".." in parts:
        return "it leaves its folder"
    if b"\0" in name or b"" in parts or b"." in parts:
        return "it is no plain path"
    if len(name) > MAX_PATH_BYTES or max(map(len, parts)) > MAX_PART_BYTES:
        return "it is too long"
    if sys.platform == "darwin" and not is_utf8(name):
        return "it is not UTF-8, which this file system demands"
    return None


def is_utf8(name: bytes) -> bool:
    """Whether the name is text.

    Example:
        >>> is_utf8("grün".encode()), is_utf8(b"gr\\xfcn")
        (True, False)
    """
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def folds_case(folder: Path) -> bool:
    """Whether `A` and `a` are one file there; looks only, and climbs to what exists."""
    for path in (folder, *folder.parents):
        swapped = path.with_name(path.name.swapcase())
        if swapped.name != path.name and os.path.lexists(path):
            return os.path.lexists(swapped) and os.path.samefile(path, swapped)
    return False


class Taken:
    """The paths that have a place here, and whether one more would fall upon them.

    Example:
        >>> taken = Taken(["run/logs/a"], folds=True)
        >>> taken.clash("run/logs/A"), taken.clash("run/logs/a"), taken.clash("run/logs/a/b")
        ("it would fall upon 'run/logs/a'", None, "'run/logs/a' is a file here")
        >>> taken.clash("run")
        "'run' is a folder here"
    """

    def __init__(self, paths: Iterable[str], *, folds: bool) -> None:
        self._folds = folds
        self._files: dict[str, str] = {}
        self._folders: set[str] = set()
        for path in paths:
            self.add(path)

    def add(self, path: str) -> None:
        """Give a path its place."""
        key = self._key(path)
        self._files[key] = path
        if key.rpartition("/")[0] not in self._folders:
            self._folders.update(_parents(key))

    def clash(self, path: str) -> str | None:
        """Why `path` cannot lie beside the others; None when it can, or is one of them."""
        key = self._key(path)
        if self._files.get(key, path) != path:
            return f"it would fall upon {self._files[key]!r}"
        if key in self._folders:
            return f"{path!r} is a folder here"
        if key.rpartition("/")[0] in self._folders:
            return None  # where one file has its place, others may have theirs
        blocked = next((self._files[p] for p in _parents(key) if p in self._files), None)
        return f"{blocked!r} is a file here" if blocked is not None else None

    def _key(self, path: str) -> str:
        return unicodedata.normalize("NFC", path).casefold() if self._folds else path


def _parents(path: str) -> list[str]:
    return [path[:i] for i, letter in enumerate(path) if letter == "/"]
