"""The live tree: what a person and every other command reads.

It is made from the history and can always be made again: files are reflinks or copies, never hard
links, since a program that writes in place would otherwise rewrite the past. Each file is renamed
into place whole; a tree of another run replaces the old one as a whole.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from being_remote.backup.files import copy_apart, sync_files, sync_folder
from being_remote.backup.history import History
from being_remote.backup.manifest import Entry, Manifest
from being_remote.errors import InconsistentData

# The live tree is these entries of the backup folder; whatever else lies there is not ours.
TOPS = ("actor", "bbox.pt", "checkpoint", "run")
# Written by file managers into every folder that is looked at.
LITTER = frozenset({".DS_Store", "Thumbs.db"})


def scan(root: Path) -> dict[str, os.stat_result]:
    """Every live file, by its path relative to `root`.

    Raises:
        InconsistentData: a link or a special lies in the live tree, which might lead out of it.
    """
    return {path: found for top in TOPS for path, found in _walk(root, top)}


def _walk(root: Path, path: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        found = os.lstat(root / path)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        for name in sorted(os.listdir(root / path)):
            if name not in LITTER:
                yield from _walk(root, f"{path}/{name}")
    elif stat.S_ISREG(found.st_mode):
        yield path, found
    else:
        raise InconsistentData(
            "is a link or a special file, and a backup holds plain files only",
            file=str(root / path),
            hint="move it out of the backup, or put the file itself there; then sync again",
        )


def refresh(
    history: History, target: Manifest, content: Mapping[str, str], found: Mapping[str, os.stat_result]
) -> None:
    """Bring the live tree to `target`, file by file; files that are right already are not touched.

    Args:
        history: where the contents are.
        target: what shall be live.
        content: path -> sha256 of the live files whose contents are known for sure.
        found: what `scan` saw.
    """
    written = []
    for path, entry in target.files.items():
        live = history.root / path
        if content.get(path) != entry.sha256:
            live.parent.mkdir(parents=True, exist_ok=True)
            _make(history, entry, live)
            written.append(live)
        elif found[path].st_mtime_ns != entry.mtime_ns:
            os.utime(live, ns=(entry.mtime_ns, entry.mtime_ns))
    _shown(history, target, written)


def replace(history: History, target: Manifest) -> None:
    """Bring the live tree to `target` as a whole, so that files of two runs never stand side by side.

    Killed anywhere, it can be started again: the new tree is made anew from the history, and all
    that was live is in the history.
    """
    history.clear(history.next, history.previous)
    history.next.mkdir()
    history.previous.mkdir()
    written = []
    for path, entry in target.files.items():
        made = history.next / path
        made.parent.mkdir(parents=True, exist_ok=True)
        _make(history, entry, made)
        written.append(made)
    sync_files(history.root, written)
    for top in TOPS:
        if os.path.lexists(history.root / top):
            os.rename(history.root / top, history.previous / top)
        if os.path.lexists(history.next / top):
            os.rename(history.next / top, history.root / top)
    sync_folder(history.root)
    _shown(history, target, ())
    history.clear(history.next, history.previous)


def _shown(history: History, target: Manifest, written: Iterable[Path]) -> None:
    """Note that `target` is live now, once that is true on the disk as well."""
    if written:
        sync_files(history.root, written)
    if history.shown() != target.generation:
        history.show(target.generation)


def _make(history: History, entry: Entry, path: Path) -> None:
    try:
        copy_apart(history.object(entry.sha256), history.scratch)
    except FileNotFoundError as e:
        raise InconsistentData(
            f"the contents of {entry.path!r} are not in the history any more",
            file=str(history.object(entry.sha256)),
            hint="put that file back if you moved it",
        ) from e
    os.utime(history.scratch, ns=(entry.mtime_ns, entry.mtime_ns))
    os.replace(history.scratch, path)
