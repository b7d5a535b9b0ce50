"""An earlier snapshot becomes live again, as a new snapshot: nothing is lost, and it can be undone.

A file that the judge refuses does not take the place of a live one that it finds sound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from being_remote.backup import live_tree as current
from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.backup.objects import faults
from being_remote.backup.reconcile import Reconciled, settle
from being_remote.backup.snapshots import SnapshotChange, change
from being_remote.durable_files import require_room, share_blocks
from being_remote.errors import InconsistentData
from being_remote.session import OnProgress, no_progress
from being_remote.transfer.checked_files import Judge, check_files
from being_remote.transfer.quarantine import QuarantinedFile
from being_remote.transfer.stored_file import StoredFile

NAMED = 5

# What is live and what is to be, by path: whether both are of one run.
IsSameRun = Callable[[Mapping[str, StoredFile], Mapping[str, StoredFile]], bool]


@dataclass(frozen=True)
class RestoreResult:
    """What was restored.

    Attributes:
        manifest: what is live now; the snapshot that was live already where it is the very same.
        change: from what was live to what is.
        settled: what was done before, so that nothing that was live is lost.
        refused: files of the earlier snapshot that are not sound, where a sound one was live. That one
            stays if it is of the same run; else there is none. The earlier one stays in the history.
    """

    manifest: Manifest
    change: SnapshotChange
    settled: Reconciled
    refused: tuple[QuarantinedFile, ...] = ()


def readable(history: History, number: int, on_progress: OnProgress) -> Manifest:
    """A snapshot whose contents are all there and right: each is read again.

    Raises:
        InconsistentData: some are not, or its manifest is damaged; names the files.
        FileNotFoundError: there is no such snapshot.
    """
    wanted = history.read(number)
    contents = {entry.sha256 for entry in wanted.files.values()}
    wrong = faults(history, sorted(contents), on_progress)
    bad = [(path, wrong[e.sha256]) for path, e in wanted.files.items() if e.sha256 in wrong]
    if bad:
        named = ", ".join(f"{path!r} ({fault})" for path, fault in bad[:NAMED])
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise InconsistentData(
            f"snapshot {number} cannot be restored: its contents are not whole: {named}{more}; "
            "nothing was changed",
            file=str(history.root),
            hint="`sync --verify` repairs what it can from the live files and the host; `sync --list` shows"
            " the other snapshots",
        )
    return wanted


def refused(
    history: History, live: Mapping[str, StoredFile], wanted: Mapping[str, StoredFile], judge: Judge
) -> tuple[QuarantinedFile, ...]:
    """Files of `wanted` that the judge refuses, and whose live versions it finds sound."""
    changed = [
        path
        for path, entry in wanted.items()
        if path in live and live[path].sha256 != entry.sha256 and judge.most_bytes(path) is not None
    ]
    contents = {path: history.object(wanted[path].sha256) for path in changed}
    bad = {seen.path: seen for seen in check_files(contents, judge, no_progress) if seen.problem is not None}
    sound = check_files({path: history.object(live[path].sha256) for path in bad}, judge, no_progress)
    return tuple(
        QuarantinedFile(seen.path, bad[seen.path].problem or "", bad[seen.path].file)
        for seen in sound
        if seen.problem is None
    )


def without(
    wanted: Mapping[str, StoredFile],
    bad: tuple[QuarantinedFile, ...],
    live: Mapping[str, StoredFile],
    *,
    same_run: bool,
) -> dict[str, StoredFile]:
    """What is to be live where these files are refused."""
    paths = {aside.path for aside in bad}
    files = {path: entry for path, entry in wanted.items() if path not in paths}
    return {**files, **{path: live[path] for path in paths}} if same_run else files


def restore(
    history: History, wanted: Manifest, judge: Judge, is_same_run: IsSameRun = lambda _live, _wanted: False
) -> RestoreResult:
    """Make a snapshot live again, whole. The caller holds the lock, and has seen that it is `readable`.

    What lies in the live tree and in no snapshot yet is taken into the history first. Killed anywhere,
    the live tree is all of one or of the other as soon as the next `settle` ends.

    Raises:
        NoSpace: there is no room for the live files a second time; nothing was changed.
        InconsistentData: a link lies in the live tree, or what was live cannot be saved.
    """
    settled = settle(history, judge)
    assert settled.manifest is not None  # there is `wanted`, so there is a newest one
    was = settled.manifest.files
    bad = refused(history, was, wanted.files, judge)
    files = wanted.files
    if bad:
        files = without(wanted.files, bad, was, same_run=is_same_run(was, wanted.files))
    if was == files:
        return RestoreResult(settled.manifest, SnapshotChange(0, 0, 0), settled, bad)
    _see_room(history, files)
    made = history.commit(
        files,
        why="restored",
        host=wanted.host,
        incarnation=wanted.incarnation,
        new_tree=True,
        of=wanted.number,
    )
    current.replace(history, made)
    return RestoreResult(made, change(was, made.files), settled, bad)


def _see_room(history: History, files: Mapping[str, StoredFile]) -> None:
    """The new tree stands beside the old one for a moment, unless the two share their blocks."""
    some = next(iter(files.values()), None)
    if some is not None and not share_blocks(history.object(some.sha256), history.scratch):
        require_room(history.root, (entry.bytes for entry in files.values()))
