"""What lies on the host: all folders that matter in one listing, then hashes of what counts in another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from being_remote.inventory import LocalHost, SshHost
from being_remote.pod_client.listing import FolderQuery, ListedFile, Listing, hash_files, list_files
from being_remote.safe_to_stop.reasons import NOT_HASHED, RequiredFile
from being_remote.session import Session

# Smaller ones are hashed sooner than all manifests are read.
LARGE_BYTES = 16 << 20

# A folder and a name below it, both as the host spells them.
Key = tuple[PurePosixPath, bytes]


class Disk:
    """Folders to be listed together, in one round trip, and each asker's part of the answer."""

    def __init__(self) -> None:
        self._folders: list[FolderQuery] = []
        self._listing: Listing | None = None

    def want(self, folders: Sequence[FolderQuery]) -> slice:
        """Ask for folders; what comes back finds their part of the answer."""
        begin = len(self._folders)
        self._folders += folders
        return slice(begin, len(self._folders))

    def ask(self, session: Session, host: SshHost | LocalHost) -> None:
        """List them all. Raises HostError."""
        self._listing = list_files(session, host.python, self._folders)

    def part(self, which: slice) -> Listing:
        """The answer for what one `want` asked."""
        assert self._listing is not None
        return replace(self._listing, folders=self._listing.folders[which])


@dataclass(frozen=True)
class HostFile:
    """A file on the host. `path` is what it is called where it is compared."""

    path: str
    folder: PurePosixPath
    name: bytes
    bytes: int
    mtime_ns: int

    @property
    def key(self) -> Key:
        """What tells it from every other file, whoever asked for it."""
        whole = self.folder / os.fsdecode(self.name)
        return whole.parent, os.fsencode(whole.name)


def by_size(files: Iterable[HostFile], at_home: Callable[[], frozenset[int]]) -> Mapping[Key, ListedFile]:
    """The large files that need not be hashed: nothing local has their size. A sparse one is read for hours.

    Args:
        files: what would be hashed.
        at_home: the sizes of all that is local; asked only where it matters.
    """
    large = [file for file in files if file.bytes >= LARGE_BYTES]
    sizes = at_home() if large else frozenset[int]()
    return {
        file.key: ListedFile(file.key[1], file.bytes, file.mtime_ns, 0, 0, NOT_HASHED)
        for file in large
        if file.bytes not in sizes
    }


def hashes(
    session: Session, host: SshHost | LocalHost, files: Iterable[HostFile]
) -> Mapping[Key, ListedFile]:
    """The files, hashed over there in one round trip; those that went away are missing.

    Of a file that grows only what was listed is read: with its new size it is not at home anyway.

    Raises:
        HostError: no answer, or one that cannot be believed.
    """
    sizes = {file.key: file.bytes for file in files}
    if not sizes:
        return {}
    wanted: dict[PurePosixPath, list[tuple[bytes, int | None]]] = {}
    for (folder, name), size in sizes.items():
        wanted.setdefault(folder, []).append((name, size))
    answer = hash_files(session, host.python, wanted, hash_bytes=sum(sizes.values())).folders
    return {
        (folder, file.name): file
        for folder, listed in zip(wanted, answer, strict=True)
        for file in listed.files
    }


def hashed(file: HostFile, made: Mapping[Key, ListedFile]) -> RequiredFile:
    """The file as it should be at home; without a hash where it went away or could not be read."""
    found = made.get(file.key)
    if found is None:
        return RequiredFile(file.path, file.bytes, file.mtime_ns, None)
    return RequiredFile(file.path, found.bytes, found.mtime_ns, found.sha256)
