"""A tracker's checkout on this laptop: is it one, and which of its files a host needs.

Left out: what begins with a dot (git's, and secrets such as .env), what Python keeps beside the files,
what runs were given and made (input/, output/), and what is ours. Links are followed, because people
link FLAME's model files into a checkout.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from being_remote.errors import NotFoundError, UsageError
from being_remote.inventory import Inventory
from being_remote.tracker.layout import CHECKOUT_FILES, INPUT, OUTPUT
from being_remote.transfer.staged_upload import EXAMPLES

MAX_FILES = 100_000
_NEVER = "__pycache__"
_NEVER_AT_THE_TOP = (INPUT, OUTPUT)


@dataclass(frozen=True)
class Checkout:
    """Names below the checkout -> files here; `skipped` are links that lead nowhere, and specials."""

    files: dict[str, Path]
    skipped: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of it."""
        kept_here = f"left out: {INPUT}/, {OUTPUT}/ and what begins with a dot"
        if not self.skipped:
            return (kept_here,)
        shown = ", ".join(map(repr, self.skipped[:EXAMPLES]))
        odd = f"left out: {len(self.skipped)} links that lead nowhere, devices or pipes: {shown}"
        return kept_here, odd


def checkout_at(folder: Path, inventory: Inventory) -> Checkout:
    """Look at the checkout.

    Raises:
        NotFoundError: it is none; what it lacks is listed, with where it is to be had.
        UsageError: more files than a checkout has.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        raise NotFoundError("there is no such folder", where=str(folder), hint="--tracker DIR: a checkout")
    missing = [f"{name} ({hint})" for name, hint in CHECKOUT_FILES.items() if not (folder / name).is_file()]
    if missing:
        raise NotFoundError(
            f"is no whole checkout of the tracker; missing: {'; '.join(missing)}",
            where=str(folder),
            hint="complete it here, then push again",
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
    """Everything that is no folder, by name; `above` are the folders on the way, which no link re-enters."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            path, name = Path(entry.path), f"{below}{entry.name}"
            if entry.name == _NEVER or entry.name.startswith(".") or entry.name.endswith(".pyc"):
                continue
            if (not below and entry.name in _NEVER_AT_THE_TOP) or path.resolve() in ours:
                continue
            if not entry.is_dir():
                yield name, path
            elif (real := path.resolve()) not in above:
                yield from _walk(path, f"{name}/", (*above, real), ours)
