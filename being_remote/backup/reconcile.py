"""Make the live tree and the history agree, before and after every change.

An interrupted refresh is completed; what a person put or changed in the live tree becomes a snapshot of its
own; what is missing or corrupt there is restored. A corrupt manifest is skipped and named; if the live tree
showed it, its files become a snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from being_remote.backup import live_tree
from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.durable_files import Stat, copy_apart, sync_files
from being_remote.errors import InconsistentData
from being_remote.session import no_progress
from being_remote.transfer.checked_files import NO_JUDGE, Judge, StoredFile, check_files, stored_file
from being_remote.transfer.quarantine import CORRUPT, QuarantinedFile, quarantine_of


@dataclass(frozen=True)
class Replacement:
    """The live tree was replaced as a whole by snapshot `generation`.

    `restore` is the one that was live; None: not known. `frames_before` is how many frames that held.
    """

    generation: int
    frames: int
    frames_before: int
    restore: int | None


@dataclass(frozen=True)
class ReconcileResult:
    """What was done.

    Attributes:
        manifest: what is live now; None: no backup exists yet.
        adopted: files put or changed by hand, now in the history.
        unsound: live files that the judge refuses and nothing could replace; of unchanged files only where
            all were read.
        put_back: files that were missing.
        quarantined: torn files, replaced by their good versions.
        corrupt: files with other bytes than their size and time promised, replaced (where all were read).
        replaced: an interrupted replacement of the whole tree, completed now.
        damaged: corrupt manifests, newer than the newest readable one.
    """

    manifest: Manifest | None
    adopted: tuple[str, ...] = ()
    unsound: tuple[QuarantinedFile, ...] = ()
    put_back: tuple[str, ...] = ()
    quarantined: tuple[QuarantinedFile, ...] = ()
    corrupt: tuple[QuarantinedFile, ...] = ()
    replaced: Replacement | None = None
    damaged: tuple[Path, ...] = ()


def settle(
    history: History,
    judge: Judge,
    *,
    deep: bool = False,
    committed: tuple[Manifest, Manifest | None] | None = None,
) -> ReconcileResult:
    """Make the live tree show the newest snapshot. The caller holds the lock.

    Args:
        deep: read every live file, instead of trusting its size and time.
        committed: the newest snapshot and the one that is live, where the caller has both.
    """
    shown, damaged = history.shown(), list[Path]()
    newest, before = committed or _newest_and_shown(history, shown, damaged)
    known = [m.files for m in (newest, before) if m is not None]
    found = live_tree.scan(history.root, newest.files if newest is not None else None)
    content, changed, unsound = _contents(history.root, found, known, judge if deep else NO_JUDGE, deep)

    kept = _adopt(history, changed, found, newest.files if newest else {}, judge)
    target, base = newest, newest.files if newest else {}
    lost = newest is not None and shown is not None and shown > newest.number and bool(found)
    if lost:
        # What the live tree shows is in no manifest, and must not be mixed with another snapshot.
        base = {path: entry for path, entry in base.items() if path in found}
    if kept.files or (newest is not None and len(base) < len(newest.files)):
        target = history.commit({**base, **kept.files}, why="adopted")
    if target is None:
        return ReconcileResult(None, damaged=tuple(damaged))
    content |= {path: entry.sha256 for path, entry in kept.files.items()}
    replayed = shown is None or before is not None or lost
    put_back = () if replayed else tuple(p for p in target.files if p not in found)

    replaced = None
    pending = (n for n in history.snapshot_numbers() if n <= target.number and (shown is None or n > shown))
    if shown != target.number and any(_is_new_tree(history, n, target) for n in pending):
        live_tree.replace(history, target)
        restore = shown if before is not None else None
        was = before.files if before is not None else found  # an interrupted replacement hid some of it
        frames = live_tree.count_frames(target.files), live_tree.count_frames(was)
        replaced = Replacement(target.number, *frames, restore)
    else:
        live_tree.refresh(history, target, content, found)
    history.clear(history.adopting, history.next, history.previous, history.scratch, history.probe)
    unsound += kept.unsound
    return ReconcileResult(
        target,
        tuple(kept.files),
        tuple(unsound),
        put_back,
        kept.quarantined,
        kept.corrupt,
        replaced,
        tuple(damaged),
    )


def _newest_and_shown(
    history: History, shown: int | None, damaged: list[Path]
) -> tuple[Manifest | None, Manifest | None]:
    """The newest snapshot, and the one that is live where that is another; None where it cannot be read."""
    newest = history.newest(damaged)
    # A person who moved a corrupt manifest away may have moved the one that is live.
    if newest is None or shown is None or shown == newest.number or shown not in history.snapshot_numbers():
        return newest, None
    try:
        return newest, history.read(shown)
    except InconsistentData as e:
        if Path(e.file) not in damaged:
            damaged.append(Path(e.file))
        return newest, None


def _is_new_tree(history: History, number: int, newest: Manifest) -> bool:
    """Whether a snapshot replaced the live tree; a corrupt one may have."""
    if number == newest.number:
        return newest.new_tree
    try:
        return history.read(number).new_tree
    except InconsistentData:
        return True


def _contents(
    root: Path, found: Mapping[str, Stat], known: list[Mapping[str, StoredFile]], judge: Judge, deep: bool
) -> tuple[dict[str, str], dict[str, Path], list[QuarantinedFile]]:
    """(path -> sha256 of known live files, unknown files, known files that the judge refuses)."""
    content: dict[str, str] = {}
    suspects: dict[str, Path] = {}
    for path, at in found.items():
        alike = {files[path].sha256 for files in known if path in files and files[path].looks_like(at)}
        if deep or not alike:
            suspects[path] = root / path
        elif len(alike) == 1:
            content[path] = alike.pop()
        # else it is one of two known versions; the refresh writes it again.
    changed, unsound = {}, []
    for seen in check_files(suspects, judge, no_progress):
        if any(seen.path in files and files[seen.path].sha256 == seen.sha256 for files in known):
            content[seen.path] = seen.sha256
            if seen.problem is not None:
                unsound.append(QuarantinedFile(seen.path, seen.problem, seen.file))
        else:
            changed[seen.path] = seen.file
    return content, changed, unsound


@dataclass(frozen=True)
class _AdoptedFiles:
    files: dict[str, StoredFile]
    unsound: tuple[QuarantinedFile, ...]
    quarantined: tuple[QuarantinedFile, ...]
    corrupt: tuple[QuarantinedFile, ...]


def _adopt(
    history: History,
    changed: Mapping[str, Path],
    found: Mapping[str, Stat],
    earlier: Mapping[str, StoredFile],
    judge: Judge,
) -> _AdoptedFiles:
    """Copy what was changed by hand into the history; a torn file only where no better one is known."""
    history.clear(history.adopting)
    copies = {}
    for path, live in changed.items():
        copies[path] = history.adopting / path
        copies[path].parent.mkdir(parents=True, exist_ok=True)
        copy_apart(live, copies[path])

    files: dict[str, StoredFile] = {}
    good: dict[Path, str] = {}
    unsound: list[QuarantinedFile] = []
    quarantined: list[QuarantinedFile] = []
    corrupt: list[QuarantinedFile] = []
    quarantine = quarantine_of(history)
    for seen in check_files(copies, judge, no_progress):
        mtime_ns = found[seen.path].st_mtime_ns
        if seen.path in earlier and earlier[seen.path].looks_like(found[seen.path]):
            # A changed file has a new time. With its own time it would keep the host's good file away.
            corrupt.append(quarantine.keep(seen, 0, reason=CORRUPT))
            continue
        if seen.problem is not None and seen.path in earlier:
            quarantined.append(quarantine.keep(seen, mtime_ns))
            continue
        if seen.problem is not None:
            unsound.append(QuarantinedFile(seen.path, seen.problem, history.root / seen.path))
        good[seen.file] = seen.sha256
        files[seen.path] = stored_file(seen, mtime_ns, host=None)
    if good:
        sync_files(history.root, good)
        history.keep(good.items())
    return _AdoptedFiles(files, tuple(unsound), tuple(quarantined), tuple(corrupt))
