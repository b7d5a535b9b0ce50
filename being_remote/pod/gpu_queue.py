"""The place of one attempt in its host's queue for GPUs, as its supervisor sees it."""

from __future__ import annotations

from typing import Optional

from being_remote.pod import gpu_lease, waiting_records
from being_remote.pod.gpu_lease import Lease
from being_remote.pod.gpus import GpuQuery
from being_remote.pod.job_records import Record
from being_remote.pod.tickets import Ticket, Tickets
from being_remote.pod.waiting_records import WaitingAttempt


class GpuQueue:
    """The attempt's place: the one that it has, or a new one behind all others.

    `reason` says what it waits for. While it is not recorded, a ticket keeps its number.
    """

    def __init__(
        self, workdir: str, boot: Record, job: str, attempt: int, ticket: Optional[Ticket] = None
    ) -> None:
        """`ticket`: the place that the claim drew for it, in the order of its command."""
        self._workdir, self._folder = workdir, waiting_records.boot_folder(workdir, boot)
        self._tickets = Tickets(ticket)
        self.reason = "waits for a GPU"
        place = waiting_records.find_waiting(waiting_records.list_waiting(self._folder), job, attempt)
        self._recorded = place is not None
        if place is None:
            number = ticket[0] if ticket is not None else self._draw()
            place = WaitingAttempt(number, job, attempt)
        self.place = place

    def try_once(self, count: int) -> Optional[Lease]:
        """The GPUs; None with `reason` set where it is not its turn, or they are too few.

        Raises:
            NeverAvailable: there are fewer GPUs than needed, or no nvidia-smi.
        """
        before = self._count_before()
        if before:
            self.reason = f"waits for a GPU; {before} before it"
            return None
        # Not under the mutex: the driver may take long, and no other job may choose now anyway.
        outlook = gpu_lease.look_for(count, *GpuQuery().answer())
        self.reason = outlook.reason
        if len(outlook.free) < count:
            return None
        return gpu_lease.lease(self.place.job, count, outlook.free)

    def record(self, content: Record) -> None:
        """Keep the place when this process has ended; `waiter` starts the attempt when it is its turn."""
        if not self._recorded or waiting_records.read_environment(self.place) is None:
            waiting_records.write_environment(self.place)
        if not self._recorded:
            waiting_records.add_waiting(self._folder, self.place, content)
            self._recorded = True
        waiting_records.remove_job(self._workdir, self.place, keep=self._folder)
        self._tickets.release()

    def leave(self) -> None:
        """Give the place up: the attempt has started, or never will."""
        self._tickets.release()
        waiting_records.remove_job(self._workdir, self.place, keep=None)

    def _draw(self) -> int:
        return self._tickets.draw(lambda: waiting_records.find_highest(self._folder))

    def _count_before(self) -> int:
        mine = self.place.number
        recorded = {place.number for place in waiting_records.list_waiting(self._folder)}
        return len({n for n in recorded if n < mine}.union(self._tickets.others_up_to(mine - 1)))
