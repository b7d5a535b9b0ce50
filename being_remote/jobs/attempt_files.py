"""The files of one attempt as they lie on its host: which match a pattern, how they look, their hashes.

Nothing from the host is followed or trusted: regular files below the attempt's folder only, bounded
in number, size and name.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from being_remote.errors import HostError, NotFoundError
from being_remote.foreign_text import quote
from being_remote.local_path import PathCollisions, Tree, folds_case, path_problem
from being_remote.pod_client.listing import FolderQuery, Listing, list_files
from being_remote.session import Session
from being_remote.transfer.download_plan import RemoteFile, RemoteFolder, accept_names
from being_remote.transfer.hash_comparison import HostFiles, ask_hashes
from being_remote.transfer.quarantine import QuarantinedFile

# Names the attempt and each file's hash. Written here, never downloaded.
PULLED = "pulled.json"
RESULTS = Tree(None, None, frozenset({PULLED}))
MOST_FILES = 100_000


@dataclass(frozen=True)
class AttemptFolder:
    """The folder of one attempt on a host, and the patterns of the files that count."""

    session: Session
    python: str
    folder: PurePosixPath
    patterns: tuple[str, ...]

    def list_files(self, into: Path) -> tuple[tuple[RemoteFile, ...], tuple[QuarantinedFile, ...]]:
        """The files that match, and those that cannot be stored in the local folder `into`.

        Raises:
            NotFoundError: the host has no such folder.
            HostError: the host's list cannot be believed, or is too large.
        """
        top = FolderQuery(self.folder, self.folder, "", recursive=False)
        queries = self._queries()
        listing = list_files(self.session, self.python, [*queries, top])
        if not listing.folders[-1].exists:
            raise NotFoundError(
                f"there is no {str(self.folder)!r}", where=self.session.host, hint="being-remote jobs --all"
            )
        broken = next((listed.error for listed in listing.folders if listed.error is not None), None)
        if broken is not None:
            raise HostError(
                f"{str(self.folder)!r} could not be read whole: {quote(broken)}", host=self.session.host
            )
        files = {file.path: file for file in self._listed(queries, listing)}
        taken = PathCollisions([], folds=folds_case(into))
        accepted, refused = accept_names(sorted(files.values(), key=lambda f: f.path), RESULTS, taken)
        skipped = dict(self._special(queries, listing))
        return tuple(accepted), (
            *(QuarantinedFile(name, f"it is a {what}") for name, what in skipped.items()),
            *self._not_listed(queries, listing),
            *refused,
        )

    def hash_files(self, files: Sequence[RemoteFile]) -> HostFiles:
        """The same files once more with hashes made on the host now; without those that it cannot read."""
        now = ask_hashes(self.session, self.python, [(file, file.bytes) for file in files], whole=True)
        readable = {path: file for path, file in now.files.items() if file.sha256 is not None}
        return replace(now, files=readable)

    def _queries(self) -> list[FolderQuery]:
        """What to list, the most precious first: more files than fit in one list must hide no others."""
        queries = []
        for pattern in self.patterns:
            top, rest = _split_pattern(pattern)
            wide = "*" if rest == "**" else rest
            recursive = "/" in rest or rest == "**"
            queries.append(FolderQuery(self.folder, self.folder / top, wide, recursive, MOST_FILES))
        return queries

    def _listed(self, queries: Sequence[FolderQuery], listing: Listing) -> Iterator[RemoteFile]:
        # Of the first pattern's files those fit on the disk first; see `disk_room`.
        ranks = range(len(self.patterns))
        origins = [RemoteFolder("", self.folder, self.folder, rank, is_precious=False) for rank in ranks]
        for query, listed in zip(queries, listing.folders, strict=False):
            for file in listed.files:
                name = self._name(query, file.name)
                rank = next((n for n, pattern in enumerate(self.patterns) if matches(name, pattern)), None)
                if rank is not None:
                    yield RemoteFile(name, origins[rank], *file[1:])

    def _not_listed(self, queries: Sequence[FolderQuery], listing: Listing) -> Iterator[QuarantinedFile]:
        for query, listed in zip(queries, listing.folders, strict=False):
            named = [(self._name(query, raw), why) for raw, why in listed.malformed]
            yield from (
                QuarantinedFile(name, f"not downloaded: {why}") for name, why in named if self._fits(name)
            )
            if more := listed.malformed_count - len(named):
                yield QuarantinedFile(query.path.name, f"{more} more files are not downloaded either")
            if listed.cut:
                why = f"holds more than {query.most} files; only the first are downloaded"
                yield QuarantinedFile(query.path.name, why)

    def _special(self, queries: Sequence[FolderQuery], listing: Listing) -> Iterator[tuple[str, str]]:
        for query, listed in zip(queries, listing.folders, strict=False):
            for raw, what in listed.skipped:
                if self._fits(name := self._name(query, raw)):
                    yield name, what

    def _fits(self, name: str) -> bool:
        return any(matches(name, pattern) for pattern in self.patterns)

    def _name(self, query: FolderQuery, raw: bytes) -> str:
        below = query.path.relative_to(self.folder).as_posix()
        return os.fsdecode(raw) if below == "." else f"{below}/{os.fsdecode(raw)}"


def name_refused(name: str) -> str | None:
    """Why a result of this name may not be stored here; None when it may.

    Example:
        >>> name_refused("output/a.txt"), name_refused("pulled.json"), name_refused("code/.git/config")
        (None, 'the name is ours', "'.git' is a hidden name, which tools read as settings")
    """
    return path_problem(RESULTS, os.fsencode(name))


def matches(name: str, pattern: str) -> bool:
    """Whether a path matches a glob, part by part; `**` stands for any number of parts.

    Example:
        >>> matches("output/a/checkpoint/1.frame", "output/*/checkpoint/*.frame"), matches("a/b", "*")
        (True, False)
        >>> matches("a/b", "**"), matches("a", "**")
        (True, True)
    """
    if pattern == "**":
        return True
    parts, globs = name.split("/"), pattern.split("/")
    return len(parts) == len(globs) and all(map(fnmatch.fnmatchcase, parts, globs))


def _split_pattern(pattern: str) -> tuple[str, str]:
    """A glob as the folder that it begins with and the rest.

    Example:
        >>> _split_pattern("output/*/checkpoint/*.frame"), _split_pattern("result.json")
        (('output', '*/checkpoint/*.frame'), ('.', 'result.json'))
    """
    parts = pattern.split("/")
    fixed = next((n for n, part in enumerate(parts[:-1]) if any(c in part for c in "*?[")), len(parts) - 1)
    return "/".join(parts[:fixed]) or ".", "/".join(parts[fixed:])
