"""What both kinds of session share: their name, the count of round trips, and folders on the host's disk."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import TypeVar

from being_remote.errors import CommandFailed
from being_remote.foreign_text import quote
from being_remote.inventory import LocalHost, SshHost
from being_remote.session import Result
from being_remote.transport.output_framing import CommandInput

S = TypeVar("S", bound="HostSession")


class HostSession(ABC):
    """The base of both kinds of `Session`."""

    def __init__(self, host: SshHost | LocalHost) -> None:
        self._inventory_host = host
        self._lock = threading.Lock()
        self._round_trips = 0

    @property
    def host(self) -> str:
        return self._inventory_host.name

    @property
    def round_trips(self) -> int:
        return self._round_trips

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    @property
    def greeting_bytes(self) -> int:
        return 0

    def has_sftp(self) -> bool | None:
        """See `Session.has_sftp`."""
        return None

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout_s: float | None = None,
        repeatable: bool = False,
        max_output_bytes: int = 64 << 20,
        reply: Callable[[bytes], bytes] | None = None,
    ) -> Result:
        """See `Session.run`."""
        timeout_s = self._inventory_host.answer_timeout_s if timeout_s is None else timeout_s
        given = CommandInput(stdin, reply)
        return self._run(tuple(argv), given, timeout_s, max_output_bytes, repeatable=repeatable)

    @abstractmethod
    def close(self) -> None:
        """See `Session.close`."""

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @abstractmethod
    def _run(
        self, argv: tuple[str, ...], given: CommandInput, timeout_s: float, limit: int, *, repeatable: bool
    ) -> Result:
        """Run one command; `limit` is the most bytes of its answer."""

    def _count(self) -> None:
        """Count one round trip."""
        with self._lock:
            self._round_trips += 1

    def _make_folder(self, folder: PurePosixPath) -> None:
        """Make a folder on the host with all above it, unless it is there.

        Raises:
            CommandFailed: it cannot be made; the text says why.
            HostError: no answer.
        """
        result = self.run(["mkdir", "-p", "--", str(folder)], repeatable=True)
        if result.exit_code != 0:
            what = f"{str(folder)!r} cannot be made: {quote(result.stderr)}"
            raise CommandFailed(what, host=self.host, result=result)
