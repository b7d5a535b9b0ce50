"""Which files come together, where they arrive, and what already lies there. Fetches nothing itself."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

from being_remote.disk import room_bytes
from being_remote.durable_files import Stat, blocks
from being_remote.session import PARTIAL_DIR, Pull
from being_remote.transfer.download_plan import RemoteFile
from being_remote.transfer.file_check import CheckedFile

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


class ArrivalFolder(Protocol):
    """Where the files of one host arrive before they are checked."""

    @property
    def host(self) -> str:
        """The host that they come from."""

    def file(self, offer: RemoteFile) -> Path:
        """Where a file arrives."""

    def lying(self, offer: RemoteFile) -> Stat | None:
        """What lies where it arrives; None for nothing, and for what is no plain file."""

    def keep_copy(self, seen: CheckedFile, mtime_ns: int) -> None:
        """Keep what a whole file holds that the host has rewritten; it is still needed where it lies."""


@dataclass(frozen=True)
class Room:
    """Which files there is room for, in their order, and which there is none for."""

    fit: tuple[RemoteFile, ...]
    left_out: tuple[RemoteFile, ...] = ()


def share_room(
    folder: Path,
    offers: Sequence[RemoteFile],
    need: Callable[[RemoteFile], int],
    later: Callable[[RemoteFile], int] = lambda _: 0,
    *,
    besides: int = 0,
) -> Room:
    """Share the room on the folder's disk, the most precious files first.

    Of the first wave all files of a rank fit or none does, whatever they need later: what is here is
    safe. Of the others as many fit as find all the room they need, the smallest first. A file that is
    larger than all the room is left out alone.

    Args:
        folder: any folder on that disk.
        offers: the files.
        need: how many bytes one of them takes there.
        later: and how many more, once all are there.
        besides: the bytes that something else will take.
    """
    left, kept = room_bytes(folder) - besides, 0
    sizes = [(offer, blocks(need(offer)), blocks(later(offer))) for offer in offers]
    if sum(now + then for _, now, then in sizes) <= left:
        return Room(tuple(offers))
    fit = set[str]()
    sizes.sort(key=lambda each: (each[0].origin.rank, each[1]))
    for _, group in groupby(sizes, key=lambda each: each[0].origin.rank):
        rank = [each for each in group if each[1] <= left]
        if rank and rank[0][0].origin.wave == 0:
            if sum(now for _, now, _ in rank) > left:
                continue
            kept += sum(then for _, _, then in rank)
            left -= sum(now for _, now, _ in rank)
            fit.update(offer.path for offer, _, _ in rank)
            continue
        for offer, now, then in rank:
            if now + then <= left - kept:
                fit.add(offer.path)
                left -= now + then
    return Room(
        tuple(offer for offer in offers if offer.path in fit),
        tuple(offer for offer in offers if offer.path not in fit),
    )


def is_listed(offer: RemoteFile, found: Stat) -> bool:
    """Whether a file in incoming is the version that was listed."""
    return (found.st_size, host_time(offer, found.st_mtime_ns)) == (offer.bytes, offer.mtime_ns)


def host_time(offer: RemoteFile, mtime_ns: int) -> int:
    """The host's time, where the way here or this file system kept whole seconds only."""
    rounded = mtime_ns in (offer.mtime_ns, offer.mtime_ns // SECOND_NS * SECOND_NS)
    return offer.mtime_ns if rounded else mtime_ns


def build_on(file: Path) -> None:
    """Let the next fetch bring the file anew, though it may look the same; what lies here is built on."""
    basis = file.parent / PARTIAL_DIR / file.name
    basis.parent.mkdir(exist_ok=True)
    os.replace(file, basis)
