"""Records in which order a program syncs and renames, and tells what a power cut could then spoil.

    with recorded(monkeypatch, root, syncfs=False) as order:
        work()
    assert order.problems(commits=lambda path: path.suffix == ".json") == []

What was written and not synced is lost in a power cut, and so is a name that was given after its folder
was last synced. So a file, or all below a folder, is to be synced before it is renamed into place; its
new folder afterwards; and before a commit is given its name, all that was renamed earlier is to be safe.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Step(NamedTuple):
    """One thing that was done.

    `what` is "write", "mkdir", "rename", "remove", "sync" (of one file or folder) or "sync all" below one.
    """

    what: str
    path: Path
    source: Path | None = None


class DiskOrder:
    """What was done below one folder, in order."""

    def __init__(self, root: Path, steps: list[Step] | None = None) -> None:
        self.root, self.steps = root, steps or []

    def wrote(self, folder: Path) -> None:
        """Another program wrote all that lies below `folder`."""
        self.steps += [Step("write", path) for path in sorted(folder.rglob("*")) if path.is_file()]

    def problems(
        self,
        *,
        commits: Callable[[Path], bool] = lambda _: False,
        transient: Callable[[Path], bool] = lambda _: False,
    ) -> list[str]:
        """What a power cut could spoil.

        Args:
            commits: the files that tell which others count.
            transient: the files that nobody needs after a power cut.
        """
        said = list[str]()
        unwritten, entered = set[Path](), set[Path]()  # bytes, and names of new files, that may be lost
        unnamed, unremoved, made = dict[Path, str](), set[Path](), set[Path]()
        for step in self.steps:
            path, short = step.path, self._short(step.path)
            if step.what == "mkdir":
                made.add(path)
            elif step.what == "write":
                unwritten.add(path)
                entered.add(path)
            elif step.what in ("sync", "sync all"):
                unwritten = {p for p in unwritten if not _is_at(p, step)}
                entered = {p for p in entered if not _is_at(p.parent, step)}
                unremoved = {p for p in unremoved if not _is_at(p.parent, step)}
                made = {p for p in made if not _is_at(p.parent, step)}
                unnamed = {p: name for p, name in unnamed.items() if not _is_at(p.parent, step)}
            elif step.what == "remove":
                if unremoved and not commits(path):
                    said.append(f"{short} is removed before the removal of what named it is safe")
                unwritten.discard(path)
                entered.discard(path)
                unnamed.pop(path, None)
                unremoved |= {path} if commits(path) else set()
            else:
                source = step.source or path
                if not transient(path):
                    if any(_is_in(p, source) for p in unwritten):
                        said.append(f"{short} is renamed into place before its bytes are safe")
                    if any(source in p.parents for p in entered):
                        said.append(f"{short} is renamed into place before the names in it are safe")
                    if commits(path) and any(folder in path.parents for folder in made):
                        said.append(f"{short} commits before the name of its folder is safe")
                    if commits(path) and unnamed:
                        said.append(f"{short} commits before {next(iter(unnamed.values()))}")
                unwritten = {path / p.relative_to(source) if _is_in(p, source) else p for p in unwritten}
                entered = {p for p in entered if not _is_in(p, source)}
                made = {p for p in made if not _is_in(p, source)}
                unnamed = {p: name for p, name in unnamed.items() if not _is_in(p, source)}
                if not transient(path):
                    unnamed[path] = f"the name of {short} is safe"
        named = [step.path for step in self.steps if step.what == "rename" and not transient(step.path)]
        lost = [folder for folder in made if any(folder in path.parents for path in named)]
        said += [f"it ends before the name of the folder {self._short(folder)} is safe" for folder in lost]
        return said + [f"it ends before {name}" for name in unnamed.values()]

    def without(self, number: int) -> DiskOrder:
        """The same with one step left out."""
        return DiskOrder(self.root, [step for i, step in enumerate(self.steps) if i != number])

    def syncs(self) -> list[int]:
        """The numbers of the steps that are syncs."""
        return [i for i, step in enumerate(self.steps) if step.what.startswith("sync")]

    def renamed(self) -> list[str]:
        """The names that were given, below the root."""
        return [self._short(step.path) for step in self.steps if step.what == "rename"]

    def _short(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _is_in(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def _is_at(path: Path, step: Step) -> bool:
    return path == step.path or (step.what == "sync all" and step.path in path.parents)


_recording: list[DiskOrder] = []


def _hook(event: str, words: tuple[Any, ...]) -> None:
    if not _recording or event not in ("open", "os.rename", "os.link", "os.remove", "os.mkdir"):
        return
    order = _recording[-1]
    if event == "open":
        if (
            isinstance(words[0], str | bytes | os.PathLike)
            and isinstance(words[2], int)
            and words[2] & WRITES
        ):
            _note(order, Step("write", Path(os.fsdecode(words[0]))))
    elif event in ("os.rename", "os.link"):
        source, target = (Path(os.fsdecode(word)) for word in words[:2])
        _note(order, Step("rename", target, source))
    elif event in ("os.remove", "os.mkdir"):
        _note(order, Step(event.removeprefix("os."), Path(os.fsdecode(words[0]))))


_hooked: list[bool] = []


def _note(order: DiskOrder, step: Step) -> None:
    if order.root in step.path.parents or (step.path == order.root and step.what == "sync"):
        order.steps.append(step)


@contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch, root: Path, *, syncfs: bool) -> Iterator[DiskOrder]:
    """Record what this process does below `root`.

    Args:
        monkeypatch: undone when this ends.
        root: the folder.
        syncfs: whether one call can sync a whole file system here.
    """
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_hook)
    order, fsync, load = DiskOrder(root), os.fsync, ctypes.CDLL

    def place_of(descriptor: int) -> Path:
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))

    def recorded_fsync(file: Any) -> None:
        descriptor = file if isinstance(file, int) else file.fileno()
        fsync(descriptor)
        _note(order, Step("sync", place_of(descriptor)))

    def recorded_sync() -> None:
        order.steps.append(Step("sync all", root))

    class Library:
        def __init__(self) -> None:
            if syncfs:
                self.syncfs = self._syncfs

        def _syncfs(self, descriptor: int) -> int:
            order.steps.append(Step("sync all", root))  # whatever lies on that disk
            return 0

    def library(name: str | None, *rest: Any, **more: Any) -> Any:
        return Library() if name is None else load(name, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", recorded_fsync)
        patched.setattr(os, "sync", recorded_sync)
        patched.setattr(ctypes, "CDLL", library)
        _recording.append(order)
        try:
            yield order
        finally:
            _recording.remove(order)
