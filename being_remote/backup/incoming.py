"""Where a sync's files arrive below `.history/incoming`, and which come together in one request."""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from being_remote.backup.history import History
from being_remote.backup.interrupted_sync import ExpectedFile, note_expected
from being_remote.durable_files import (
    Stat,
    can_share_blocks,
    require_room,
    stat_plain,
    sync_files,
)
from being_remote.session import PARTIAL_DIR, no_progress
from being_remote.transfer.arrival_folder import SECOND_NS, Fetch, is_listed, sorted_fetch
from being_remote.transfer.checked_files import NO_JUDGE, check_files
from being_remote.transfer.disk_room import Room, share_room
from being_remote.transfer.download_plan import RemoteFile, RemoteFolder
from being_remote.transfer.quarantine import quarantine_of
from being_remote.transfer.stored_file import StoredFile

# How a killed rsync, and a killed stream of ours, call a file that they were writing.
_WRITING = re.compile(r"\.(.+)\.[A-Za-z0-9]{6}", re.DOTALL)
_STREAMING = re.compile(r"\.being-remote-[0-9a-f]{16}")
# Larger files come by rsync, one after the other, however they are asked for.
LARGE_BYTES = 1 << 20
# What a file takes in a manifest, and in the note of what is on its way.
_LINE_BYTES = 400


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
        """Where a file arrives."""
        return self._history.incoming / self.below(offer)

    def find_arrived(self, offer: RemoteFile) -> Stat | None:
        """What lies where it arrives; None for nothing, and for what is not a plain file."""
        if self._empty:
            return None
        return stat_plain(f"{self._incoming}/{self.below(offer)}")  # a Path costs more than the look

    def note_fetching(self, wanted: Sequence[RemoteFile]) -> None:
        """Write down what is about to be fetched, for `interrupted_sync`."""
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
        lines = _LINE_BYTES * (len(self._here) + len(wanted))

        def to_fetch(offer: RemoteFile) -> int:
            return 0 if self._has_come(offer) else offer.bytes

        room = share_room(self._history.root, wanted, to_fetch, lambda o: o.bytes, besides=lines)
        if room.left_out and can_share_blocks(self._history.scratch, self._history.rewritten):
            return share_room(self._history.root, wanted, to_fetch, lambda _: 0, besides=lines)
        return room

    def _has_come(self, offer: RemoteFile) -> bool:
        found = self.find_arrived(offer)
        return found is not None and is_listed(offer, found)

    def make_fetches(self, wanted: Sequence[RemoteFile]) -> Iterator[Fetch]:
        """The requests for these files, once there is room for them."""
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
            if found is None or not is_listed(offer, found):
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
