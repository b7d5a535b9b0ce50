"""Where the files of one download arrive before they are checked."""

from __future__ import annotations

import itertools
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Protocol

from being_remote.durable_files import Stat
from being_remote.session import PARTIAL_DIR, Pull
from being_remote.transfer.download_plan import RemoteFile
from being_remote.transfer.quarantine import Quarantine

SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Fetch:
    """One request, and the files of its names in the same order.

    The names are sorted within each wave; `ends` is where each wave ends.
    """

    request: Pull
    offers: Sequence[RemoteFile]
    ends: tuple[int, ...]

    def offer(self, name: bytes) -> RemoteFile:
        """The file of a name of the request."""
        start, names = 0, self.request.names
        for end in self.ends:
            at = bisect_left(names, name, start, end)
            if at < end and names[at] == name:
                return self.offers[at]
            start = end
        raise KeyError(name)


def sorted_fetch(
    source: PurePosixPath, files: Iterable[tuple[bytes, RemoteFile]], into: Path, unless_in: Path
) -> Fetch:
    """The request for files of these names below `source`, by wave and name, which rsync is faster with."""
    ordered = sorted(files, key=lambda each: (each[1].origin.wave, each[0]))
    names, offers = zip(*ordered, strict=True)
    ends = itertools.accumulate(len(list(wave)) for _, wave in groupby(offers, lambda o: o.origin.wave))
    sizes = tuple(offer.bytes for offer in offers)
    return Fetch(Pull(source, names, sizes, into, unless_in), offers, tuple(ends))


class ArrivalFolder(Protocol):
    """A folder for files of one host: of a backup, or of a job's results."""

    @property
    def host(self) -> str:
        """The host that they come from."""

    @property
    def quarantine(self) -> Quarantine:
        """Where those are kept that are refused."""

    def file(self, offer: RemoteFile) -> Path:
        """Where a file arrives."""

    def find_arrived(self, offer: RemoteFile) -> Stat | None:
        """What lies where it arrives; None for nothing, and for what is not a plain file."""

    def make_fetches(self, wanted: Sequence[RemoteFile]) -> Iterator[Fetch]:
        """The requests for these files, once there is room for them."""

    def note_fetching(self, wanted: Sequence[RemoteFile]) -> None:
        """Write down what is about to be fetched, so that a killed download is not lost."""


def is_listed(found: Stat | None, size: int, mtime_ns: int) -> bool:
    """Whether a file that arrived is the version that was listed with this size and time."""
    return found is not None and (found.st_size, host_time(mtime_ns, found.st_mtime_ns)) == (size, mtime_ns)


def host_time(listed_ns: int, mtime_ns: int) -> int:
    """The host's time of a file, where the way here or this file system kept whole seconds only."""
    return listed_ns if mtime_ns in (listed_ns, listed_ns // SECOND_NS * SECOND_NS) else mtime_ns


def build_on(file: Path) -> None:
    """Let the next fetch get the file again, though it may look the same, building on what lies here."""
    basis = file.parent / PARTIAL_DIR / file.name
    basis.parent.mkdir(exist_ok=True)
    os.replace(file, basis)
