"""An earlier generation becomes live again, as a new generation: nothing is lost, and it can be undone."""

from __future__ import annotations

from dataclasses import dataclass

from being_remote.backup import current
from being_remote.backup.checking import Judge
from being_remote.backup.files import see_room, share_blocks
from being_remote.backup.generations import Change, change
from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.backup.objects import faults
from being_remote.backup.settle import Settled, settle
from being_remote.errors import InconsistentData
from being_remote.session import OnProgress

NAMED = 5


@dataclass(frozen=True)
class Restored:
    """What was restored.

    Attributes:
        manifest: what is live now; the generation that was live already where it is the very same.
        change: from what was live to what is.
        settled: what was done before, so that nothing that was live is lost.
    """

    manifest: Manifest
    change: Change
    settled: Settled


def readable(history: History, generation: int, on_progress: OnProgress) -> Manifest:
    """A generation whose contents are all there and right: each is read again.

    Raises:
        InconsistentData: some are not, or its manifest is damaged; names the files.
        FileNotFoundError: there is no such generation.
    """
    wanted = history.read(generation)
    contents = {entry.sha256 for entry in wanted.files.values()}
    wrong = faults(history, sorted(contents), on_progress)
    bad = [(path, wrong[e.sha256]) for path, e in wanted.files.items() if e.sha256 in wrong]
    if bad:
        named = ", ".join(f"{path!r} ({fault})" for path, fault in bad[:NAMED])
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise InconsistentData(
            f"generation {generation} cannot be restored: its contents are not whole: {named}{more}; "
            "nothing was changed",
            file=str(history.root),
            hint="`sync --verify` repairs what it can from the live files and the host; `sync --list` shows"
            " the other generations",
        )
    return wanted


def restore(history: History, wanted: Manifest, judge: Judge) -> Restored:
    """Make a generation live again, whole. The caller holds the lock, and has seen that it is `readable`.

    What lies in the live tree and in no generation yet is taken into the history first. Killed anywhere,
    the live tree is all of one or of the other as soon as the next `settle` ends.

    Raises:
        NoSpace: there is no room for the live files a second time; nothing was changed.
        InconsistentData: a link lies in the live tree, or what was live cannot be saved.
    """
    settled = settle(history, judge)
    assert settled.manifest is not None  # there is `wanted`, so there is a newest one
    was = settled.manifest.files
    if was == wanted.files:
        return Restored(settled.manifest, Change(0, 0, 0), settled)
    _see_room(history, wanted)
    made = history.commit(
        wanted.files,
        why="restored",
        host=wanted.host,
        incarnation=wanted.incarnation,
        new_tree=True,
        of=wanted.generation,
    )
    current.replace(history, made)
    return Restored(made, change(was, made.files), settled)


def _see_room(history: History, wanted: Manifest) -> None:
    """The new tree stands beside the old one for a moment, unless the two share their blocks."""
    some = next(iter(wanted.files.values()), None)
    if some is not None and not share_blocks(history.object(some.sha256), history.scratch):
        see_room(history.root, (entry.bytes for entry in wanted.files.values()))
