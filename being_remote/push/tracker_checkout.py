"""A tracker's checkout on this laptop: whether it is complete, and which of its files a host needs.

Left out: names that begin with a dot (git's, and secrets such as .env), Python's caches, the runs' input/
and output/, and our own files. Links are followed, because people link FLAME's model files into a checkout.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from being_remote.errors import NotFoundError, UsageError
from being_remote.inventory import Inventory
from being_remote.tracker.layout import CHECKOUT_FILES, INPUT, OUTPUT
from being_remote.wording import list_some

MAX_FILES = 100_000
_CACHE = "__pycache__"
_RUNS = (INPUT, OUTPUT)


@dataclass(frozen=True)
class Checkout:
    """The files by their names below the checkout; `skipped` are dead links and special files."""

    files: dict[str, Path]
    skipped: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes for a person."""
        left_out = f"left out: {INPUT}/, {OUTPUT}/ and names that begin with a dot"
        if not self.skipped:
            return (left_out,)
        shown = list_some([repr(name) for name in self.skipped])
        return left_out, f"left out: {len(self.skipped)} dead links, devices or pipes: {shown}"


def read_checkout(folder: Path, inventory: Inventory) -> Checkout:
    """List the checkout's files.

    Raises:
        NotFoundError: files are missing; the text says where to get each.
        UsageError: more files than a checkout has.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        raise NotFoundError("no such folder", where=str(folder), hint="--tracker DIR: a checkout")
    missing = [f"{name} ({hint})" for name, hint in CHECKOUT_FILES.items() if not (folder / name).is_file()]
    if missing:
        raise NotFoundError(
            f"incomplete checkout of the tracker; missing: {'; '.join(missing)}",
            where=str(folder),
            hint="complete it, then push again",
        )
    ours = {path.resolve() for path in (inventory.backups, inventory.state, inventory.path)}
    files: dict[str, Path] = {}
    skipped: list[str] = []
    for name, path in _walk(folder, "", (folder,), ours):
        if path.is_file():
            files[name] = path
        else:
            skipped.append(name)
        if len(files) > MAX_FILES:
            raise UsageError(
                f"holds more than {MAX_FILES} files", where=str(folder), hint="name a checkout of the tracker"
            )
    return Checkout(files, tuple(skipped))


def _walk(folder: Path, below: str, above: tuple[Path, ...], ours: set[Path]) -> Iterator[tuple[str, Path]]:
    """Yield all files by name; `above` are the folders on the way, so that a link never leads in a circle."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            path, name = Path(entry.path), f"{below}{entry.name}"
            if entry.name == _CACHE or entry.name.startswith(".") or entry.name.endswith(".pyc"):
                continue
            if (not below and entry.name in _RUNS) or path.resolve() in ours:
                continue
            if not entry.is_dir():
                yield name, path
            elif (real := path.resolve()) not in above:
                yield from _walk(path, f"{name}/", (*above, real), ours)
