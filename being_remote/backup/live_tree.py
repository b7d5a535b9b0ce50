"""The live tree: what a person and every other command reads.

It is made from the history and can always be made again: files are reflinks or copies, never hard
links, since a program that writes in place would otherwise rewrite the past. Each file is made beside
the live tree, read back, synced, and renamed into place whole; a tree of another run replaces the old
one as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.backup_paths import LIVE_PARTS
from being_remote.durable_files import Stat, copy_apart, sync_files, sync_folder
from being_remote.errors import InconsistentData
from being_remote.transfer.checked_files import find_fault
from being_remote.transfer.stored_file import StoredFile

# What a backup is kept for above all lies below this one.
FRAMES = "checkpoint/"
# Written by file managers into every folder that is looked at.
LITTER = frozenset({".DS_Store", "Thumbs.db"})


def count_frames(paths: Iterable[str]) -> int:
    """How many of these paths of a live tree are frames."""
    return sum(path.startswith(FRAMES) for path in paths)


def scan(root: Path, like: Mapping[str, StoredFile] | None = None) -> dict[str, Stat]:
    """Every live file, by its path relative to `root`.

    What is as an entry of `like` says shares that entry's memory.

    Raises:
        InconsistentData: a link or a special lies in the live tree, which might lead out of it.
    """
    known, found = like or {}, {}
    for path, at in _files(root):
        entry = known.get(path)
        if entry is not None and entry.looks_like(at):
            found[entry.path] = Stat(entry.bytes, entry.mtime_ns)
        else:
            found[path] = at
    return found


def _files(root: Path) -> Iterator[tuple[str, Stat]]:
    try:
        with os.scandir(root) as entries:
            tops = sorted((e for e in entries if e.name in LIVE_PARTS), key=lambda e: e.name)
    except FileNotFoundError:
        return
    yield from _walk(tops, "")


def _walk(entries: Iterable[os.DirEntry[str]], below: str) -> Iterator[tuple[str, Stat]]:
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            with os.scandir(entry) as found:
                inside = sorted((e for e in found if e.name not in LITTER), key=lambda e: e.name)
            yield from _walk(inside, f"{below}{entry.name}/")
        elif entry.is_file(follow_symlinks=False):
            at = entry.stat(follow_symlinks=False)
            yield below + entry.name, Stat(at.st_size, at.st_mtime_ns)
        else:
            raise InconsistentData(
                "is a link or a special file, and a backup holds plain files only",
                file=entry.path,
                hint="move it out of the backup, or put the file itself there; then sync again",
            )


def refresh(
    history: History, target: Manifest, content: Mapping[str, str], found: Mapping[str, Stat]
) -> None:
    """Bring the live tree to `target`, file by file; files that are right already are not touched.

    Args:
        history: where the contents are.
        target: what shall be live.
        content: path -> sha256 of the live files whose contents are known for sure.
        found: what `scan` saw.

    Raises:
        InconsistentData: a content is missing or rotten; the live tree is as it was.
    """
    wrong = [path for path, entry in target.files.items() if content.get(path) != entry.sha256]
    if wrong:
        history.clear(history.next)
        _make(history, target, wrong)
        for path in wrong:
            (history.root / path).parent.mkdir(parents=True, exist_ok=True)
            _place(history.next / path, history.root / path)
        sync_files(history.root, (history.root / path for path in wrong))
    for path, entry in target.files.items():
        if content.get(path) == entry.sha256 and found[path].st_mtime_ns != entry.mtime_ns:
            os.utime(history.root / path, ns=(entry.mtime_ns, entry.mtime_ns))
    _shown(history, target)


def replace(history: History, target: Manifest) -> None:
    """Bring the live tree to `target` as a whole, so that files of two runs never stand side by side.

    Killed anywhere, it can be started again: the new tree is made anew from the history, and all
    that was live is in the history.

    Raises:
        InconsistentData: a content is missing or rotten; the live tree is as it was.
    """
    history.clear(history.next, history.previous)
    history.previous.mkdir()
    _make(history, target, target.files)
    for top in LIVE_PARTS:
        if os.path.lexists(history.root / top):
            os.rename(history.root / top, history.previous / top)
        if os.path.lexists(history.next / top):
            os.rename(history.next / top, history.root / top)
    sync_folder(history.root)
    _shown(history, target)
    history.clear(history.next, history.previous)


def _shown(history: History, target: Manifest) -> None:
    """Note that `target` is live now; that is true on the disk as well."""
    if history.shown() != target.number:
        history.show(target.number)


def _make(history: History, target: Manifest, paths: Iterable[str]) -> None:
    """Make these files in `next`, each read back, all of them safe on the disk."""
    history.next.mkdir()
    made = []
    for path in paths:
        entry, file = target.files[path], history.next / path
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            copy_apart(history.object(entry.sha256), file)
        except FileNotFoundError as e:
            raise _lost(history, entry, "are not in the history any more") from e
        if find_fault(file, entry.sha256) is not None:
            raise _lost(history, entry, "rotted in the history")
        os.utime(file, ns=(entry.mtime_ns, entry.mtime_ns))
        made.append(file)
    sync_files(history.root, made)


def _lost(history: History, entry: StoredFile, what: str) -> InconsistentData:
    return InconsistentData(
        f"the contents of {entry.path!r} {what}",
        file=str(history.object(entry.sha256)),
        hint="`sync --verify` repairs it from the host if it can; or put that file back if you moved it",
    )


def _place(made: Path, live: Path) -> None:
    try:
        os.replace(made, live)
    except IsADirectoryError:
        _give_way(live)
        os.replace(made, live)


def _give_way(folder: Path) -> None:
    """Remove a folder in a file's place, which holds no file: `scan` saw none."""
    try:
        for inside, _, _ in os.walk(folder, topdown=False):
            os.rmdir(inside)
    except OSError as e:
        raise InconsistentData(
            "is a folder here, and a file of the backup belongs in its place",
            file=str(folder),
            hint="move the folder out of the backup; then sync again",
        ) from e
