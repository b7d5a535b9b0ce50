"""Whether contents in the history still are what their names say. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from being_remote.backup.history import History
from being_remote.session import OnProgress
from being_remote.transfer.checked_files import Fault, find_faults


def faults(history: History, names: Sequence[str], on_progress: OnProgress) -> Mapping[str, Fault]:
    """Read the contents of these names (sha256) again, and say which are not what they should be."""
    return find_faults(names, lambda name: (history.object(name), name), "reading the history", on_progress)
