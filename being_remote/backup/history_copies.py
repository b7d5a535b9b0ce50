"""After a restore the host still has what was live before: those versions are copied from the history.

They are put where downloads arrive, and compared with the host's bytes like all that the host sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from being_remote.backup.history import History
from being_remote.backup.incoming import IncomingFolder
from being_remote.durable_files import copy_apart, set_time
from being_remote.transfer.download_plan import RemoteFile


def copy_from_history(history: History, folder: IncomingFolder, wanted: Sequence[RemoteFile]) -> None:
    """Put each wanted file where it arrives that some snapshot has with the same size and time.

    There is room for them.
    """
    left = {offer.path: offer for offer in wanted if folder.find_arrived(offer) is None}
    for snapshot in history.readable():
        if not left:
            return
        for path in left.keys() & snapshot.files.keys():
            entry, offer = snapshot.files[path], left[path]
            if (entry.bytes, entry.mtime_ns) == (offer.bytes, offer.mtime_ns):
                with suppress(FileNotFoundError):  # missing in the history, so the host sends it
                    copy_apart(history.object(entry.sha256), history.scratch)
                    set_time(history.scratch, offer.mtime_ns)
                    folder.take(offer, history.scratch)
                    del left[path]
