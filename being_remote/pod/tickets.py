"""Tickets: the order of all that wait for GPUs on this machine, across workdirs and versions.

A ticket is a numbered file that its owner holds locked. Supervisors of version 0.1.0 hold one each while
they wait; a waiter holds those of its first and its last record, so that whoever draws one later comes after
them. They order only: if a cleaner removes them, leases and gates still keep two jobs off one GPU.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import Callable, Dict, Iterator, List, Optional, Set, Tuple

from being_remote.pod import locks

_NAME = re.compile(r"[0-9]{12}")


# A number, and the descriptor that holds its file locked.
Ticket = Tuple[int, int]


def draw(above: Callable[[], int]) -> Ticket:
    """Take the next number, above all tickets and what `above` says; asked under the mutex."""
    with locks.held(locks.queue_mutex()):
        number = max([above(), *_living()]) + 1
        fd = locks.take(_path(number))
        assert fd is not None  # tickets are made and removed under the mutex only
        return number, fd


class Tickets:
    """The tickets that this process holds."""

    def __init__(self, drawn: Optional[Ticket] = None) -> None:
        """`drawn`: one that was drawn for this process."""
        self._held: Dict[int, int] = dict([drawn]) if drawn is not None else {}

    def draw(self, above: Callable[[], int]) -> int:
        """Take the next number, above all tickets and what `above` says."""
        number, fd = draw(above)
        self._held[number] = fd
        return number

    def hold(self, numbers: Set[int]) -> None:
        """Hold these tickets and no others, but for those that somebody else has."""
        if numbers == set(self._held) and all(locks.is_still(_path(n), f) for n, f in self._held.items()):
            return
        with locks.held(locks.queue_mutex()):
            for number, fd in list(self._held.items()):
                if number not in numbers or not locks.is_still(_path(number), fd):
                    self._release(number)
            for number in numbers - set(self._held):
                taken = locks.take(_path(number))
                if taken is not None:
                    self._held[number] = taken

    def others_up_to(self, number: int) -> List[int]:
        """The living tickets of others, up to this number."""
        with locks.held(locks.queue_mutex()):
            return [other for other in _living() if other <= number and other not in self._held]

    def release(self) -> None:
        """Hold none any more, whatever the disk says: a ticket that stays held keeps everybody waiting."""
        if self._held:
            with contextlib.suppress(OSError), locks.held(locks.queue_mutex()):
                for number in list(self._held):
                    self._release(number)
        for number in list(self._held):
            self._release(number)

    def _release(self, number: int) -> None:
        fd = self._held.pop(number)
        with contextlib.suppress(OSError):
            if locks.is_still(_path(number), fd):
                os.unlink(_path(number))
        os.close(fd)


def _living() -> Iterator[int]:
    """The numbers of the tickets in use; removes dead ones. Under the mutex."""
    for name in os.listdir(locks.tickets_folder()):
        if not _NAME.fullmatch(name):
            continue
        if locks.probe(_path(int(name)))[0] == "held":
            yield int(name)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_path(int(name)))


def _path(number: int) -> str:
    return os.path.join(locks.tickets_folder(), f"{number:012d}")
