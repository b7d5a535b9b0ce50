"""Files on a host that should be local, and their hashes as made on the host."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from being_remote.pod_client.listing import FileKey, ListedFile

# Smaller files are hashed sooner than the sizes of all local files are read.
LARGE_BYTES = 16 << 20
# In place of a hash: no local file has this size, so the bytes are not local either.
NOT_HASHED = ""


@dataclass(frozen=True)
class HostFile:
    """A file on a host.

    Attributes:
        path: its name in the backup or among the job's results.
        folder, name: where it lies on the host.
        sha256: of its bytes on the host; None: not hashed yet, or the host could not read it.
        size_tells: a size that no local file has proves that the bytes are not local.
    """

    path: str
    folder: PurePosixPath
    name: bytes
    bytes: int
    mtime_ns: int
    sha256: str | None = None
    size_tells: bool = True

    @property
    def key(self) -> FileKey:
        """What identifies the file, whichever folder it was listed by."""
        whole = self.folder / os.fsdecode(self.name)
        return whole.parent, os.fsencode(whole.name)


def skip_by_size(
    files: Iterable[HostFile], local_sizes: Callable[[], frozenset[int]]
) -> dict[FileKey, ListedFile]:
    """The large files that need not be hashed, since no local file has their size.

    Hashing a sparse file can take hours. `local_sizes` is called only when there is a large file.
    """
    files = list(files)
    to_hash = {file.key for file in files if not file.size_tells}
    large = [file for file in files if file.bytes >= LARGE_BYTES and file.key not in to_hash]
    sizes = local_sizes() if large else frozenset[int]()
    return {
        file.key: ListedFile(file.key[1], file.bytes, file.mtime_ns, 0, 0, NOT_HASHED)
        for file in large
        if file.bytes not in sizes
    }


def add_hash(file: HostFile, hashes: Mapping[FileKey, ListedFile]) -> HostFile:
    """The file as it was hashed; without a hash where the host could not read it."""
    found = hashes.get(file.key)
    if file.sha256 is not None or found is None:
        return file
    return replace(file, bytes=found.bytes, mtime_ns=found.mtime_ns, sha256=found.sha256)
