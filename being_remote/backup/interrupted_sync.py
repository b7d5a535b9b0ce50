"""Keep what a killed sync had downloaded, before the host is asked for anything.

While files are on their way, `fetching` says what each of them is. A sync that ends by itself removes
it. Where it is still there, the files that arrived whole become a snapshot, as if only the link
had been cut: the host may have newer versions by now, or be gone.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.backup.reconcile import settle
from being_remote.durable_files import stat_plain, sync_files, write_whole
from being_remote.local_path import LIVE, is_plain, path_problem
from being_remote.session import no_progress
from being_remote.transfer.checked_files import Judge, check_files
from being_remote.transfer.stored_file import stored_file

# No line is longer: a path has at most 4096 bytes, and JSON takes six letters for an odd one.
_LINE_BYTES = 1 << 16


class ExpectedFile(NamedTuple):
    """A file on its way: its path in the backup, where it arrives below incoming, and its version."""

    path: str
    file: str
    bytes: int
    mtime_ns: int


def note_expected(history: History, host: str, awaited: Iterable[ExpectedFile]) -> None:
    """Note what is about to be fetched: a line for the host, and one for each file."""
    # Text at once: there may be a hundred thousand of them, and a list for each costs twice the time.
    lines = (f"[{json.dumps(a.path)}, {json.dumps(a.file)}, {a.bytes}, {a.mtime_ns}]" for a in awaited)
    whole = (line.encode() + b"\n" for line in itertools.chain([json.dumps(host)], lines))
    write_whole(history.fetching, whole, scratch=history.scratch)


def note_contents(history: History, contents: Iterable[tuple[str, str]]) -> None:
    """Note what (path, sha256) leaves incoming now; until the commit nothing else tells whose it is."""
    with open(history.fetching, "r+b") as note:
        # A line that was half written, by a killed sync or on a full disk, would spoil the next one.
        size = note.seek(0, os.SEEK_END)
        note.seek(max(0, size - _LINE_BYTES))
        tail = note.read()
        note.seek(size - len(tail) + tail.rfind(b"\n") + 1)
        note.truncate()
        note.writelines(json.dumps(each).encode() + b"\n" for each in contents)
        note.flush()
        os.fsync(note.fileno())


def remove_note(history: History) -> None:
    """What was fetched is safe, or stays in incoming for a reason of its own."""
    history.fetching.unlink(missing_ok=True)


def keep_arrived(
    history: History,
    judge: Judge,
    live: Manifest | None,
    is_new_run: Callable[[Mapping[str, Path]], str | None],
) -> Manifest | None:
    """Commit what a killed sync left, and return what is live then. The caller holds the lock.

    Files of another run stay in incoming, where the next fetch finds them; alone they would mix two runs.
    """
    if not history.fetching.exists() or (note := _note(history.fetching)) is None:
        return live
    host, noted = note
    moved = _moved(history, [each for each in noted if len(each) == 2])
    arrived, lying = dict[str, ExpectedFile](), dict[str, Path]()
    for a in (ExpectedFile(*each) for each in noted if len(each) == 4):
        if not _may_lie_here(a):
            continue
        for file in (history.incoming / a.file, moved.get(a.path)):
            if file is not None and _lies(file, a):
                arrived[a.path], lying[a.path] = a, file
    seen = check_files(lying, judge, no_progress)
    good = [s for s in seen if s.problem is None]
    if not good or (live is not None and is_new_run({s.path: s.file for s in good}) is not None):
        return live
    note_contents(history, ((s.path, s.sha256) for s in good))
    sync_files(history.root, [s.file for s in good])
    history.keep((s.file, s.sha256) for s in good)
    here = live.files if live is not None else {}
    entries = {s.path: stored_file(s, arrived[s.path].mtime_ns, host=host) for s in good}
    history.commit({**here, **entries}, why="sync", host=host)
    remove_note(history)
    return settle(history, judge).manifest


def _note(file: Path) -> tuple[str, list[Any]] | None:
    """The host, and the lines about its files; None if they cannot be read. The files stay in incoming."""
    try:
        with open(file, "rb") as lines:
            host = json.loads(next(lines))
            # The last line may be half written; then nothing of what it is about has been done.
            return str(host), [list(json.loads(line)) for line in lines if line.endswith(b"\n")]
    except (StopIteration, ValueError, TypeError):
        return None


def _may_lie_here(awaited: ExpectedFile) -> bool:
    """Whether the wall lets it in; a note may be of an earlier version of this program."""
    return path_problem(LIVE, os.fsencode(awaited.path)) is None and is_plain(os.fsencode(awaited.file))


def _moved(history: History, noted: list[tuple[str, str]]) -> dict[str, Path]:
    """Where contents lie that had left incoming before the sync was killed, and are in no snapshot."""
    newest = [made.files for made in itertools.islice(history.readable(), 2)] if noted else []
    return {
        path: history.object(sha256)
        for path, sha256 in noted
        if not any(path in files and files[path].sha256 == sha256 for files in newest)
    }


def _lies(file: Path, awaited: ExpectedFile) -> bool:
    """Whether this very version arrived; whole seconds will do where the way here kept no more."""
    found = stat_plain(file)
    second = awaited.mtime_ns // 1_000_000_000 * 1_000_000_000
    times = (awaited.mtime_ns, second)
    return found is not None and found.st_size == awaited.bytes and found.st_mtime_ns in times
