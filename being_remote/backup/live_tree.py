"""The live tree: the plain files that people and other commands read.

It is made from the history: its files are reflinks or copies, never hard links, since a program that writes
in place would rewrite the past. Each file is made beside the live tree, read back, synced, and renamed into
place; a tree of another run replaces the old one as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.backup_paths import CHECKPOINT, LIVE_PARTS
from being_remote.durable_files import Stat, copy_apart, set_time, sync_files, sync_folder
from being_remote.errors import InconsistentData
from being_remote.transfer.checked_files import StoredFile, find_fault

# Written by file managers into every folder that a person opens.
LITTER = frozenset({".DS_Store", "Thumbs.db"})


def count_frames(paths: Iterable[str]) -> int:
    """How many of these paths of a live tree are frames."""
    return sum(path.startswith(f"{CHECKPOINT}/") for path in paths)


def scan(root: Path, like: Mapping[str, StoredFile] | None = None) -> dict[str, Stat]:
    """Every live file, by its path relative to `root`; a file like its entry in `like` shares its memory.

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
    """Make the live tree show `target`, file by file; correct files are not touched.

    `content` has the sha256 of the live files whose contents are certain, `found` is the result of `scan`.

    Raises:
        InconsistentData: a content is missing or corrupt; the live tree is as it was.
    """
    wrong = [path for path, entry in target.files.items() if content.get(path) != entry.sha256]
    if wrong:
        history.clear(history.next)
        _make_files(history, target, wrong)
        for path in wrong:
            (history.root / path).parent.mkdir(parents=True, exist_ok=True)
            _place(history.next / path, history.root / path)
        sync_files(history.root, (history.root / path for path in wrong))
    for path, entry in target.files.items():
        if content.get(path) == entry.sha256 and found[path].st_mtime_ns != entry.mtime_ns:
            set_time(history.root / path, entry.mtime_ns)
    _note_shown(history, target)


def replace(history: History, target: Manifest) -> None:
    """Make the live tree show `target` as a whole, so that files of two runs never lie side by side.

    Killed anywhere, it can be repeated: both trees are in the history.

    Raises:
        InconsistentData: a content is missing or corrupt; the live tree is as it was.
    """
    history.clear(history.next, history.previous)
    history.previous.mkdir()
    _make_files(history, target, target.files)
    for top in LIVE_PARTS:
        if os.path.lexists(history.root / top):
            os.rename(history.root / top, history.previous / top)
        if os.path.lexists(history.next / top):
            os.rename(history.next / top, history.root / top)
    sync_folder(history.root)
    _note_shown(history, target)
    history.clear(history.next, history.previous)


def _note_shown(history: History, target: Manifest) -> None:
    if history.shown() != target.number:
        history.show(target.number)


def _make_files(history: History, target: Manifest, paths: Iterable[str]) -> None:
    """Make these files in `next`, each read back, all durable."""
    history.next.mkdir()
    made = []
    for path in paths:
        entry, file = target.files[path], history.next / path
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            copy_apart(history.object(entry.sha256), file)
        except FileNotFoundError as e:
            raise _content_error(history, entry, "are missing in the history") from e
        if find_fault(file, entry.sha256) is not None:
            raise _content_error(history, entry, "are corrupt in the history")
        set_time(file, entry.mtime_ns)
        made.append(file)
    sync_files(history.root, made)


def _content_error(history: History, entry: StoredFile, what: str) -> InconsistentData:
    return InconsistentData(
        f"the contents of {entry.path!r} {what}",
        file=str(history.object(entry.sha256)),
        hint="run `sync --verify`, which repairs it from the host if it can; or put a moved file back",
    )


def _place(made: Path, live: Path) -> None:
    try:
        os.replace(made, live)
    except IsADirectoryError:
        _remove_empty_folder(live)
        os.replace(made, live)


def _remove_empty_folder(folder: Path) -> None:
    """Remove a folder in a file's place; `scan` found no file in it."""
    try:
        for inside, _, _ in os.walk(folder, topdown=False):
            os.rmdir(inside)
    except OSError as e:
        raise InconsistentData(
            "is a folder here, and a file of the backup belongs in its place",
            file=str(folder),
            hint="move the folder out of the backup; then sync again",
        ) from e
