"""The files of one attempt as they lie on its host: which fit a pattern, how they look, their hashes.

Nothing from the host is followed or trusted: regular files below the attempt's folder only, bounded
in number, size and name.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from being_remote.disk import no_space
from being_remote.durable_files import fitting, is_nearly_full, size_words
from being_remote.errors import HostError, NotFoundError, UnsafeFile
from being_remote.foreign_text import quote
from being_remote.local_path import PathCollisions, Tree, folds_case, local_path
from being_remote.pod_client.listing import FolderQuery, ListedFile, Listing, hash_files, list_files
from being_remote.session import Session

# Names the attempt and each file's hash. Written here, never downloaded.
PULLED = "pulled.json"
RESULTS = Tree(None, None, frozenset({PULLED}))
MOST_FILES = 100_000
# Files with refused names that are named.
MAX_REFUSED = 20


@dataclass(frozen=True)
class SkippedFile:
    """A file that was not taken, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class AttemptFile:
    """A file of the attempt: its path below the work folder, and its bytes.

    `looks` is all that the host's file system says of it, size and times among it: while that is the
    same, so are the bytes. `sha256` is None where it was not asked for, or the file went away.
    """

    name: str
    size: int
    looks: tuple[int, ...]
    sha256: str | None = None


@dataclass(frozen=True)
class AttemptFolder:
    """The folder of one attempt on a host, and which of its files are meant."""

    session: Session
    python: str
    folder: PurePosixPath
    patterns: tuple[str, ...]

    def offered(self, into: Path) -> tuple[tuple[AttemptFile, ...], tuple[SkippedFile, ...]]:
        """The files that fit, and those that cannot come to lie in the folder `into` here.

        Raises:
            NotFoundError: the attempt's folder is not there.
            HostError: the host's list cannot be believed, or is beyond all bounds.
        """
        top = FolderQuery(self.folder, self.folder, "", recursive=False)
        asked = self._asked()
        listing = list_files(self.session, self.python, [*asked, top])
        if not listing.folders[-1].exists:
            raise NotFoundError(
                f"there is no {str(self.folder)!r}", where=self.session.host, hint="being-remote jobs --all"
            )
        broken = next((listed.error for listed in listing.folders if listed.error is not None), None)
        if broken is not None:
            raise HostError(
                f"{str(self.folder)!r} could not be read whole: {quote(broken)}", host=self.session.host
            )
        taken, kept, refused = PathCollisions([], folds=folds_case(into)), [], list[SkippedFile]()
        aside = [SkippedFile(name, f"it is a {what}") for name, what in self._skipped(asked, listing)]
        aside += self._not_listed(asked, listing)
        files = {offer.name: offer for offer in self._files(asked, listing)}
        for offer in sorted(files.values(), key=lambda offer: offer.name):
            why = name_refused(offer.name) or taken.clash(offer.name)
            if why is not None:
                refused.append(SkippedFile(offer.name, why))
                continue
            taken.add(offer.name)
            kept.append(offer)
        aside += refused[:MAX_REFUSED]
        if len(refused) > MAX_REFUSED:
            aside.append(SkippedFile(".", f"{len(refused) - MAX_REFUSED} more files have refused names"))
        return tuple(kept), tuple(aside)

    def place_of(self, offer: AttemptFile) -> int:
        """Which pattern a file fits first."""
        return next(n for n, pattern in enumerate(self.patterns) if fits(offer.name, pattern))

    def fitting(
        self, offers: Sequence[AttemptFile], folder: Path, here: Collection[str] = ()
    ) -> tuple[list[AttemptFile], tuple[SkippedFile, ...]]:
        """Those of these files for which the disk of `folder` has room, and those for which it has none.

        What fits the first pattern gets the room first, and of that the smallest. Files `here` need none.

        Raises:
            NoSpace: there is room for none of them, for the disk is full.
        """
        order = sorted(offers, key=lambda offer: (self.place_of(offer), offer.size))
        fits = fitting(folder, (0 if offer.name in here else offer.size for offer in order))
        if order and not any(fits) and is_nearly_full(folder):
            raise no_space(folder, sum(offer.size for offer in order))
        left_out = {o.name: o for o, fit in zip(order, fits, strict=True) if not fit}
        aside = tuple(
            SkippedFile(o.name, f"not fetched: {size_words(o.size)} do not fit here")
            for o in left_out.values()
        )
        return [offer for offer in offers if offer.name not in left_out], aside

    def hashed(self, offers: Sequence[AttemptFile]) -> dict[str, AttemptFile]:
        """The same files once more with hashes made over there, by name; without those that went away."""
        (listed,) = hash_files(
            self.session,
            self.python,
            {self.folder: [(os.fsencode(o.name), None) for o in offers]},
            hash_bytes=sum(o.size for o in offers),
        ).folders
        found = {os.fsdecode(file.name): file for file in listed.files}
        return {o.name: _offer(o.name, found[o.name]) for o in offers if o.name in found}

    def _asked(self) -> list[FolderQuery]:
        """What to list, the most precious first: more files than fit in one list must hide no others."""
        found = []
        for pattern in self.patterns:
            top, rest = _divided(pattern)
            wide = "*" if rest == "**" else rest
            folder = FolderQuery(
                self.folder, self.folder / top, wide, "/" in rest or rest == "**", MOST_FILES
            )
            found.append(folder)
        return found

    def _not_listed(self, asked: Sequence[FolderQuery], listing: Listing) -> Iterator[SkippedFile]:
        for folder, listed in zip(asked, listing.folders, strict=False):
            named = [(self._name(folder, raw), why) for raw, why in listed.malformed]
            yield from (SkippedFile(name, f"not fetched: {why}") for name, why in named if self._fits(name))
            if more := listed.malformed_count - len(named):
                yield SkippedFile(folder.path.name, f"{more} more files are not fetched either")
            if listed.cut:
                why = f"holds more than {folder.most} files; only the first are fetched"
                yield SkippedFile(folder.path.name, why)

    def _files(self, asked: Sequence[FolderQuery], listing: Listing) -> Iterator[AttemptFile]:
        for folder, listed in zip(asked, listing.folders, strict=False):
            for file in listed.files:
                name = self._name(folder, file.name)
                if self._fits(name):
                    yield _offer(name, file)

    def _skipped(self, asked: Sequence[FolderQuery], listing: Listing) -> Iterator[tuple[str, str]]:
        found = {
            self._name(folder, raw): what
            for folder, listed in zip(asked, listing.folders, strict=False)
            for raw, what in listed.skipped
        }
        return ((name, what) for name, what in found.items() if self._fits(name))

    def _fits(self, name: str) -> bool:
        return any(fits(name, pattern) for pattern in self.patterns)

    def _name(self, folder: FolderQuery, raw: bytes) -> str:
        below = folder.path.relative_to(self.folder).as_posix()
        return os.fsdecode(raw) if below == "." else f"{below}/{os.fsdecode(raw)}"


def name_refused(name: str) -> str | None:
    """Why a result of this name may not be stored here; None when it may.

    Example:
        >>> name_refused("output/a.txt"), name_refused("pulled.json"), name_refused("code/.git/config")
        (None, 'the name is ours', "'.git' is a hidden name, which tools read as settings")
    """
    try:
        local_path(RESULTS, os.fsencode(name))
    except UnsafeFile as e:
        return e.what
    return None


def _offer(name: str, file: ListedFile) -> AttemptFile:
    looks = (file.bytes, file.mtime_ns, file.ctime_ns, file.inode)
    return AttemptFile(name, file.bytes, looks, file.sha256)


def fits(name: str, pattern: str) -> bool:
    """Whether a path fits a glob, part by part; `**` stands for any number of them.

    Example:
        >>> fits("output/a/checkpoint/1.frame", "output/*/checkpoint/*.frame"), fits("a/b", "*")
        (True, False)
        >>> fits("a/b", "**"), fits("a", "**")
        (True, True)
    """
    if pattern == "**":
        return True
    parts, globs = name.split("/"), pattern.split("/")
    return len(parts) == len(globs) and all(map(fnmatch.fnmatchcase, parts, globs))


def _divided(pattern: str) -> tuple[str, str]:
    """A glob as the folder that it begins with and the rest.

    Example:
        >>> _divided("output/*/checkpoint/*.frame"), _divided("result.json"), _divided("**")
        (('output', '*/checkpoint/*.frame'), ('.', 'result.json'), ('.', '**'))
    """
    parts = pattern.split("/")
    fixed = next((n for n, part in enumerate(parts[:-1]) if any(c in part for c in "*?[")), len(parts) - 1)
    return "/".join(parts[:fixed]) or ".", "/".join(parts[fixed:])
