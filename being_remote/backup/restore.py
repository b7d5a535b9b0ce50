"""Make an earlier snapshot live again, as a new snapshot: nothing is lost, and it can be undone.

A file that the judge refuses does not replace a live one that it finds whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from being_remote.backup import live_tree
from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.backup.reconcile import ReconcileResult, settle
from being_remote.backup.snapshots import SnapshotChange, compare_snapshots
from being_remote.backup.verification import find_corrupt
from being_remote.durable_files import require_room, share_blocks
from being_remote.errors import InconsistentData
from being_remote.session import OnProgress, no_progress
from being_remote.transfer.checked_files import Judge, StoredFile, check_files
from being_remote.transfer.quarantine import QuarantinedFile
from being_remote.wording import list_some

# What is live and what is wanted, by path: whether both are of one run.
IsSameRun = Callable[[Mapping[str, StoredFile], Mapping[str, StoredFile]], bool]


@dataclass(frozen=True)
class RestoreResult:
    """What was restored.

    Attributes:
        manifest: what is live now; the snapshot that was live already where it has the same files.
        settled: how what was live before was saved.
        refused: invalid files of the earlier snapshot, where a valid one was live. That one stays if it is
            of the same run; else the path is left out. The earlier file stays in the history.
    """

    manifest: Manifest
    change: SnapshotChange
    settled: ReconcileResult
    refused: tuple[QuarantinedFile, ...] = ()


def read_verified(history: History, number: int, on_progress: OnProgress) -> Manifest:
    """A snapshot whose contents are all present and correct: each is read again.

    Raises:
        InconsistentData: some are not, or its manifest is corrupt; names the files.
        FileNotFoundError: the snapshot does not exist.
    """
    wanted = history.read(number)
    contents = {entry.sha256 for entry in wanted.files.values()}
    wrong = find_corrupt(history, sorted(contents), on_progress)
    bad = [(path, wrong[e.sha256]) for path, e in wanted.files.items() if e.sha256 in wrong]
    if bad:
        named = list_some([f"{path!r} ({fault})" for path, fault in bad])
        raise InconsistentData(
            f"snapshot {number} cannot be restored: its contents are not whole: {named}; nothing was changed",
            file=str(history.root),
            hint="`sync --verify` repairs what it can from the live files and the host; `sync --list` shows"
            " the other snapshots",
        )
    return wanted


def choose_files(
    history: History,
    live: Mapping[str, StoredFile],
    wanted: Mapping[str, StoredFile],
    judge: Judge,
    is_same_run: IsSameRun,
) -> tuple[Mapping[str, StoredFile], tuple[QuarantinedFile, ...]]:
    """(What is to be live, files of `wanted` that the judge refuses while it finds the live ones whole)."""
    changed = [
        path
        for path, entry in wanted.items()
        if path in live and live[path].sha256 != entry.sha256 and judge.most_bytes(path) is not None
    ]
    contents = {path: history.object(wanted[path].sha256) for path in changed}
    bad = {seen.path: seen for seen in check_files(contents, judge, no_progress) if seen.problem is not None}
    live_contents = {path: history.object(live[path].sha256) for path in bad}
    whole = {seen.path for seen in check_files(live_contents, judge, no_progress) if seen.problem is None}
    refused = tuple(
        QuarantinedFile(path, seen.problem or "", seen.file) for path, seen in bad.items() if path in whole
    )
    if not refused:
        return wanted, ()
    files = {path: entry for path, entry in wanted.items() if path not in whole}
    if is_same_run(live, wanted):
        files |= {path: live[path] for path in whole}
    return files, refused


def restore(
    history: History, wanted: Manifest, judge: Judge, is_same_run: IsSameRun = lambda _live, _wanted: False
) -> RestoreResult:
    """Make a snapshot live again. The caller holds the lock, and has it from `read_verified`.

    What lies in the live tree and in no snapshot is saved first. Killed anywhere, the live tree is all of one
    or of the other as soon as the next `settle` ends.

    Raises:
        NoSpace: the disk lacks room for the live files a second time; nothing was changed.
        InconsistentData: a link lies in the live tree, or what was live cannot be saved.
    """
    settled = settle(history, judge)
    assert settled.manifest is not None  # there is `wanted`, so there is a newest one
    live = settled.manifest.files
    files, refused = choose_files(history, live, wanted.files, judge, is_same_run)
    if live == files:
        return RestoreResult(settled.manifest, SnapshotChange(0, 0, 0), settled, refused)
    some = next(iter(files.values()), None)
    if some is not None and not share_blocks(history.object(some.sha256), history.scratch):
        # The new tree lies beside the old one for a moment.
        require_room(history.root, (entry.bytes for entry in files.values()))
    made = history.commit(
        files,
        why="restored",
        host=wanted.host,
        incarnation=wanted.incarnation,
        new_tree=True,
        of=wanted.number,
    )
    live_tree.replace(history, made)
    return RestoreResult(made, compare_snapshots(live, made.files), settled, refused)
