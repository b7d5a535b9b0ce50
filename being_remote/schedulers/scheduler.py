"""What a scheduler offers, and what it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from being_remote.inventory import LocalHost, SshHost
from being_remote.pod_client.job_answers import CancelAnswer, StatusAnswer, SubmitAnswer
from being_remote.session import Session


@dataclass(frozen=True)
class StartRequest:
    """One attempt that is to have a supervisor.

    Attributes:
        volume: the only one on which the job may be put; None where it is known to be on the host.
        pushed: the folder of uploaded files from which the attempt continues.
        files: the job's files, by their names below its folder; none where it is known to be on the host.
        unless_same: do not put it on the host where another ledger's job of the same intent may be at work.
    """

    job: str
    spec_sha256: str
    attempt: int
    volume: str | None
    pushed: str | None
    files: Mapping[str, bytes]
    unless_same: bool = False


# Given the name of the host's volume (None: it has none), says what is started there. What it raises ends
# the submit before anything of a job was sent. It is asked again when the link fails.
Choose = Callable[[str | None], Sequence[StartRequest]]


@dataclass(frozen=True)
class CancelRequest:
    """One attempt that is to end.

    Attributes:
        volume: where it was sent, if it may still be on its way.
        ledger: only a job of this ledger is cancelled; None: any.
        wait_s: how long to wait for its end.
    """

    job: str
    attempt: int
    volume: str | None
    ledger: str | None
    wait_s: float


class Scheduler(Protocol):
    """A host's way to run supervisors. Each method may be repeated; without an answer it raises HostError."""

    def start(
        self, session: Session, host: SshHost | LocalHost, programs: bytes, choose: Choose
    ) -> SubmitAnswer | None:
        """Put jobs on the host, unless they are there, and ensure that their attempts have supervisors.

        Args:
            programs: the archive of our programs, which is sent to a host that does not have it.
            choose: the jobs, once the host's volume is known.

        Returns:
            What became of each job, in their order; None where none was chosen.
        """

    def look(self, session: Session, host: SshHost | LocalHost, only: Sequence[str] | None) -> StatusAnswer:
        """What the host shows of its jobs (of `only` some) and GPUs; starts and changes nothing."""

    def find_same_intents(
        self, session: Session, host: SshHost | LocalHost, specs: Sequence[bytes]
    ) -> Sequence[str | None]:
        """Of each spec, the id of another ledger's job of the same intent that may be at work."""

    def cancel(self, session: Session, host: SshHost | LocalHost, request: CancelRequest) -> CancelAnswer:
        """Mark the attempt as cancelled, and end it where it runs."""
