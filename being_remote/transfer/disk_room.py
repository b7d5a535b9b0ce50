"""Which of the files on offer fit on this laptop's disk, and how to say which do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from being_remote.disk import room_bytes
from being_remote.durable_files import round_to_blocks
from being_remote.transfer.download_plan import MAX_REFUSED, RemoteFile
from being_remote.transfer.quarantine import QuarantinedFile
from being_remote.wording import size_words


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

    Of precious files all of a rank fit or none does, whatever they need later: what is here is
    safe. Of the others as many fit as find all the room they need, the smallest first. A file that is
    larger than all the room is left out alone.

    Args:
        need: how many bytes a file takes there.
        later: and how many more, once all are there.
        besides: the bytes that something else will take.
    """
    left, kept = room_bytes(folder) - besides, 0
    sizes = [(offer, round_to_blocks(need(offer)), round_to_blocks(later(offer))) for offer in offers]
    if sum(now + then for _, now, then in sizes) <= left:
        return Room(tuple(offers))
    fit = set[str]()
    sizes.sort(key=lambda each: (each[0].origin.rank, each[1]))
    for _, group in groupby(sizes, key=lambda each: each[0].origin.rank):
        rank = [each for each in group if each[1] <= left]
        if rank and rank[0][0].origin.is_precious:
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


def left_out_files(folder: Path, left_out: Sequence[RemoteFile]) -> tuple[QuarantinedFile, ...]:
    """Files that do not fit on the folder's disk, each with the reason; the first few by name."""
    if not left_out:
        return ()
    free = size_words(max(room_bytes(folder), 0))
    named = [
        QuarantinedFile(o.path, f"not downloaded: {size_words(o.bytes)} do not fit here ({free} are free)")
        for o in left_out[:MAX_REFUSED]
    ]
    more: dict[str, int] = {}
    for offer in left_out[MAX_REFUSED:]:
        more[offer.origin.local] = more.get(offer.origin.local, 0) + 1
    named += [
        QuarantinedFile(below or ".", f"{count} more files do not fit here") for below, count in more.items()
    ]
    return tuple(named)
