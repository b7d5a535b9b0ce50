"""Where a sync's files arrive below `.history/incoming`, and what becomes of them when it is killed.

While files are on their way, `fetching` says what each of them is. A sync that ends by itself removes it.
Where it is still there, the files that arrived whole become a snapshot before the host is asked for anything,
as if only the link had been cut: the host may have newer versions by now, or be gone.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from being_remote.backup.history import History
from being_remote.backup.manifest import Manifest
from being_remote.backup.reconcile import settle
from being_remote.durable_files import (
    Stat,
    can_share_blocks,
    require_room,
    stat_plain,
    sync_descriptor,
    sync_files,
    write_whole,
)
from being_remote.local_path import LIVE, is_plain, path_problem
from being_remote.session import PARTIAL_DIR, no_progress
from being_remote.transfer.arrival_folder import SECOND_NS, Fetch, is_listed, sorted_fetch
from being_remote.transfer.checked_files import NO_JUDGE, Judge, StoredFile, check_files, stored_file
from being_remote.transfer.disk_room import Room, share_room
from being_remote.transfer.download_plan import RemoteFile, RemoteFolder
from being_remote.transfer.quarantine import quarantine_of

# How a killed rsync, and a killed stream of ours, call a file that they were writing.
_WRITING = re.compile(r"\.(.+)\.[A-Za-z0-9]{6}", re.DOTALL)
_STREAMING = re.compile(r"\.being-remote-[0-9a-f]{16}")
# Larger files come by rsync, one after the other, however they are asked for.
LARGE_BYTES = 1 << 20
# What a file takes in a manifest, and in the note of what is on its way.
_MANIFEST_LINE_BYTES = 400
# No line is longer: a path has at most 4096 bytes, and JSON takes six letters for an odd one.
_LINE_BYTES = 1 << 16


class _FetchGroup(NamedTuple):
    """What comes together: from `source` on the host to incoming/`into`, but what stands in `unless_in`.

    The lowest `wave` comes first; the names below `source` begin with `prefix`.
    """

    wave: int
    source: PurePosixPath
    into: str
    unless_in: Path
    prefix: bytes


class IncomingFolder:
    """`.history/incoming`, where the files of a sync arrive: the `ArrivalFolder` of a backup.

    A changed file comes by its folder, so that rsync can build on the live one. All others come
    together: each request costs several round trips. So do those that rsync would take for unchanged,
    because size and second are the same.
    """

    def __init__(self, history: History, host: str, here: Mapping[str, StoredFile]) -> None:
        self.host, self.quarantine = host, quarantine_of(history)
        self._history, self._here = history, here
        self._groups: dict[tuple[RemoteFolder, bool], _FetchGroup] = {}
        self._incoming = os.fspath(history.incoming)
        self._empty = not os.listdir(history.incoming)

    def below(self, offer: RemoteFile) -> str:
        """Where a file arrives, below incoming."""
        group = self._group(offer)
        return f"{group.into}/{os.fsdecode(group.prefix + offer.name)}"

    def file(self, offer: RemoteFile) -> Path:
        return self._history.incoming / self.below(offer)

    def find_arrived(self, offer: RemoteFile) -> Stat | None:
        if self._empty:
            return None
        return stat_plain(f"{self._incoming}/{self.below(offer)}")  # a Path costs more than the look

    def take(self, offer: RemoteFile, file: Path) -> None:
        """Move a local file to where the offered one arrives."""
        place = self.file(offer)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, place)
        self._empty = False

    def note_fetching(self, wanted: Sequence[RemoteFile]) -> None:
        """Write down what is about to be fetched, for `keep_arrived`."""
        note_expected(
            self._history,
            self.host,
            (ExpectedFile(o.path, self.below(o), o.bytes, o.mtime_ns) for o in wanted),
        )

    def drop_halves(self, wanted: Iterable[RemoteFile]) -> None:
        """Remove half files that no wanted file needs, or that are larger than it."""
        if self._empty:
            return
        sizes = {self.below(offer): offer.bytes for offer in wanted}
        for folder, _, names in os.walk(self._incoming):
            below = os.path.relpath(folder, self._incoming)
            for name in names:
                path = os.path.normpath(f"{below}/{name}")
                if path not in sizes and (whole := _whole_of(path)) is not None:
                    at = f"{folder}/{name}"
                    if os.lstat(at).st_size > sizes.get(whole, -1):
                        os.unlink(at)

    def share_room(self, wanted: Sequence[RemoteFile]) -> Room:
        """Which of these files there is room to fetch, and to make live."""
        lines = _MANIFEST_LINE_BYTES * (len(self._here) + len(wanted))

        def to_fetch(offer: RemoteFile) -> int:
            return 0 if is_listed(self.find_arrived(offer), offer.bytes, offer.mtime_ns) else offer.bytes

        room = share_room(self._history.root, wanted, to_fetch, lambda o: o.bytes, besides=lines)
        if room.left_out and can_share_blocks(self._history.scratch, self._history.probe):
            return share_room(self._history.root, wanted, to_fetch, lambda _: 0, besides=lines)
        return room

    def make_fetches(self, wanted: Sequence[RemoteFile]) -> Iterator[Fetch]:
        missing: list[int] = []
        stale: dict[str, Path] = {}
        named: dict[_FetchGroup, list[tuple[bytes, RemoteFile]]] = defaultdict(list)
        for offer in wanted:
            group = self._group(offer)
            # Small files of later waves come in the first request, behind the others: it costs nothing.
            wave = offer.origin.wave if offer.bytes > LARGE_BYTES else 0
            request = group._replace(wave=wave, prefix=b"")
            named[request].append((group.prefix + offer.name, offer))
            found = self.find_arrived(offer)
            if not is_listed(found, offer.bytes, offer.mtime_ns):
                missing.append(offer.bytes)
                if found is not None:
                    stale[offer.path] = self.file(offer)
        if stale:
            # What an interrupted sync left of another version must not pass for this one; nor be lost.
            seen = check_files(stale, NO_JUDGE, no_progress)
            sync_files(self._history.root, [s.file for s in seen])
            self._history.keep((s.file, s.sha256) for s in seen)
        require_room(self._history.root, missing)
        self._empty = False
        for group, files in sorted(named.items(), key=lambda each: each[0].wave):
            yield sorted_fetch(group.source, files, self._history.incoming / group.into, group.unless_in)

    def _group(self, offer: RemoteFile) -> _FetchGroup:
        entry, second = self._here.get(offer.path), offer.mtime_ns // SECOND_NS
        together = entry is None or (entry.bytes, entry.mtime_ns // SECOND_NS) == (offer.bytes, second)
        key = (offer.origin, together)
        if key not in self._groups:
            self._groups[key] = self._make_group(offer.origin, together)
        return self._groups[key]

    def _make_group(self, origin: RemoteFolder, together: bool) -> _FetchGroup:
        if not together:
            into = f"changed/{origin.local}" if origin.local else "changed"
            return _FetchGroup(0, origin.source, into, self._history.root / origin.local, b"")
        below = origin.source.relative_to(origin.top)
        key = hashlib.sha256(os.fsencode(origin.top)).hexdigest()[:8]
        prefix = os.fsencode(below) + b"/" if below.parts else b""
        return _FetchGroup(0, origin.top, f"{key}/files", self._history.nothing, prefix)


def _whole_of(path: str) -> str | None:
    """Of which file below incoming this is a half: None where it is a whole one, "" where that is unknown.

    Example:
        >>> _whole_of("a/.rsync-partial/f"), _whole_of("a/.f.Xy12zQ"), _whole_of("a/f")
        ('a/f', 'a/f', None)
    """
    folder, _, name = path.rpartition("/")
    above, _, last = folder.rpartition("/")
    if last == PARTIAL_DIR:
        return os.path.normpath(f"{above}/{name}") if above else name
    if _STREAMING.fullmatch(name):
        return ""
    half = _WRITING.fullmatch(name)
    return os.path.normpath(f"{folder}/{half[1]}") if half is not None and folder else half and half[1]


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
        sync_descriptor(note.fileno())


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
            if file is not None and is_listed(stat_plain(file), a.bytes, a.mtime_ns):
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
