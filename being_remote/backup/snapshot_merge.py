"""The rounds of a watch make one snapshot as long as they only add: else an hour would leave 700 of them."""

from __future__ import annotations

from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.transfer.checked_files import hash_of
from being_remote.transfer.stored_file import StoredFile


def merge_snapshots(history: History, earlier: Manifest, later: Manifest) -> bool:
    """Remove snapshot `earlier` if `later`, the next one, has all its contents. The caller holds the lock.

    A file that only grew at its end, as a log does, counts as having them; its earlier content is removed,
    or a log that grows all day would be kept once for each round. Killed before `later` is live, one snapshot
    more than needed stays.

    Args:
        history: the backup.
        earlier: what the last round of the same watch made.
        later: what this round made; it is live.

    Returns:
        Whether it was removed. It stays if another file changed or was dropped, if either replaced the live
        tree as a whole, or if they are of different hosts or starts of a host.
    """
    if later.number != earlier.number + 1 or history.shown() != later.number:
        return False
    if earlier.why != "sync" or later.why != "sync" or earlier.new_tree or later.new_tree:
        return False
    if (earlier.host, earlier.incarnation) != (later.host, later.incarnation):
        return False
    if not all(_contains(history, later.files.get(path), was) for path, was in earlier.files.items()):
        return False
    grown = [e.sha256 for path, e in earlier.files.items() if later.files[path].sha256 != e.sha256]
    history.remove(earlier.number)
    if grown:
        history.drop(grown)
    return True


def _contains(history: History, now: StoredFile | None, was: StoredFile) -> bool:
    """Whether a file begins with all bytes of its earlier version."""
    if now is None or now.bytes < was.bytes:
        return False
    return now.sha256 == was.sha256 or hash_of(history.object(now.sha256), was.bytes) == was.sha256
