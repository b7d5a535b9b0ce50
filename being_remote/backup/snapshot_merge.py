"""A watch's rounds become one snapshot as long as they only add: else an hour would leave 700 of them."""

from __future__ import annotations

import hashlib
import os

from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.durable_files import CHUNK_BYTES, open_plain
from being_remote.transfer.stored_file import StoredFile


def merge_snapshots(history: History, earlier: Manifest, later: Manifest) -> bool:
    """Remove snapshot `earlier` if `later`, the next one, shows all that it had. The caller holds the lock.

    Call it when `later` is live; killed before, one snapshot more than needed stays, which harms
    nobody. A file that only grew at its end, as a log does, counts as shown; what it held before goes,
    too, or a log that grows all day would be kept once for each round.

    Args:
        history: the backup.
        earlier: what the same watch's last round made; only the watch can know that.
        later: what this round made.

    Returns:
        Whether it was removed. It stays if anything else changed or was dropped, if either replaced
        the live tree as a whole, or if they are of different hosts or lives of a host.
    """
    if later.number != earlier.number + 1 or history.shown() != later.number:
        return False
    if earlier.why != "sync" or later.why != "sync" or earlier.new_tree or later.new_tree:
        return False
    if (earlier.host, earlier.incarnation) != (later.host, later.incarnation):
        return False
    if not all(_shows(history, was, later.files.get(path)) for path, was in earlier.files.items()):
        return False
    grown = [e.sha256 for path, e in earlier.files.items() if later.files[path].sha256 != e.sha256]
    history.remove(earlier.number)
    if grown:
        history.drop(grown)
    return True


def _shows(history: History, was: StoredFile, now: StoredFile | None) -> bool:
    """Whether all of a file's bytes are in its next version, at its beginning."""
    if now is None or now.bytes < was.bytes:
        return False
    return now.sha256 == was.sha256 or _start(history, now, was.bytes) == was.sha256


def _start(history: History, entry: StoredFile, size: int) -> str:
    """The sha256 of the first `size` bytes."""
    digest = hashlib.sha256()
    with open_plain(history.object(entry.sha256)) as (descriptor, _):
        while size and (chunk := os.read(descriptor, min(size, CHUNK_BYTES))):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()
