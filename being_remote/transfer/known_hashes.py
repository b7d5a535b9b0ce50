"""Which of a host's files were hashed there already, so that a sync need not ask again.

A hash made on the host counts for as long as the file's size, both its times and its inode stay
the same: whoever writes into a file changes its ctime, which no program can set back. Of each such
fact only a digest is kept, in `.history/known/`; if that is lost, the next sync asks for the hashes once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from being_remote.backup_paths import BackupPaths
from being_remote.durable_files import write_whole
from being_remote.transfer.download_plan import RemoteFile

DIGEST_BYTES = 16
# Two writes may fall on the same tick of a file system's clock: what changed so shortly before it was
# hashed may have changed just afterwards, too, and look the same. Some keep whole seconds only.
TICK_NS = 100_000_000
COARSE_TICK_NS = 2_000_000_000


def version_digest(offer: RemoteFile, sha256: str) -> bytes:
    """The digest of: this version of this file has this hash."""
    text = f"{offer.bytes} {offer.mtime_ns} {offer.ctime_ns} {offer.inode} {sha256} {offer.path}"
    return hashlib.blake2b(os.fsencode(text), digest_size=DIGEST_BYTES).digest()


def outlasts_writes(offer: RemoteFile, clock_ns: int) -> bool:
    """Whether a hash that was made at `clock_ns` (the host's clock) tells this version from any later one."""
    tick_ns = COARSE_TICK_NS if offer.ctime_ns % 1_000_000_000 == 0 else TICK_NS
    return offer.ctime_ns < clock_ns - tick_ns


def load_known_hashes(paths: BackupPaths, host: str) -> frozenset[bytes]:
    """The facts about a host's files."""
    try:
        data = _file(paths, host).read_bytes()
    except FileNotFoundError:
        return frozenset()
    return frozenset(split_digests(data))


def split_digests(joined: bytes) -> Iterator[bytes]:
    """Facts, one by one."""
    return (joined[i : i + DIGEST_BYTES] for i in range(0, len(joined), DIGEST_BYTES))


def save_known_hashes(paths: BackupPaths, host: str, facts: Iterable[bytes]) -> None:
    """Keep the facts about a host's files, instead of all earlier ones; some may come joined."""
    file = _file(paths, host)
    file.parent.mkdir(exist_ok=True)
    write_whole(file, facts, scratch=paths.scratch)


def _file(paths: BackupPaths, host: str) -> Path:
    return paths.known_hashes / hashlib.sha256(os.fsencode(host)).hexdigest()[:16]
