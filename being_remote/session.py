"""What may be asked of a host once it is open. A leaf: it imports nothing of ours.

`transport/` implements `Session` over SSH and over subprocess; `backup/` and `jobs/` are handed
one and know no more of how a host is reached. A command is a list of words, never a string:
quoting for the far shell happens once, inside the transport.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol


@dataclass(frozen=True)
class Result:
    """What a command said. `exit_code` is the command's own, carried in-band, never a guess."""

    host: str
    argv: tuple[str, ...]
    exit_code: int
    stdout: bytes
    stderr: bytes
    seconds: float


@dataclass(frozen=True)
class TransferProgress:
    """How far something is; `total` is None while it is not known. Units: bytes or items."""

    what: str
    done: int
    total: int | None = None
    unit: str = "bytes"


# Below the folder that a pull writes to, a file that was cut lies in a folder of this name beside its
# place; the next pull builds on it.
PARTIAL_DIR = ".rsync-partial"

OnProgress = Callable[[TransferProgress], None]


def no_progress(_: TransferProgress) -> None:
    """The `OnProgress` of someone who does not look."""


@dataclass(frozen=True)
class Pull:
    """One folder's files to fetch.

    `source` is a folder on the host and `names` are paths below it (bytes, as the host spells
    them); they arrive under `into` with the same names and modification times. A file that
    stands under `unless_in` with the same size and modification time is not fetched. `sizes` are
    their bytes when they were listed.
    """

    source: PurePosixPath
    names: tuple[bytes, ...]
    sizes: tuple[int, ...]
    into: Path
    unless_in: Path

    @property
    def total_bytes(self) -> int:
        """Bytes to fetch at most."""
        return sum(self.sizes)


@dataclass(frozen=True)
class PullResult:
    """What a pull moved: `method` is "rsync" or "stream", or "rsync, stream" where it took both."""

    transferred_files: int
    transferred_bytes: int
    method: str


class Hashed(NamedTuple):
    """A file on the host while it was read there: nobody wrote it, and its bytes have this hash (raw)."""

    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: builtins.bytes


# One of `Pull.names` that has come (anew), and what the host said of it: None if nothing to rely on.
OnHashed = Callable[[bytes, Hashed | None], None]


def not_noted(_name: bytes, _hashed: Hashed | None) -> None:
    """The `OnHashed` of someone who has the hashes made afterwards."""


@dataclass(frozen=True)
class Push:
    """Files of this machine to put on a host.

    `source` is a folder here and `names` are paths below it (bytes, `/` between parts); what is a
    link here is sent as the file it stands for. They arrive under `into` with the same names,
    modification times and executable bits. `total_bytes` is their size, for progress.

    `into` is a place of our own over there: a file may lie half in it under its name until the push
    has returned, and what returned has not been compared by hash.
    """

    source: Path
    names: tuple[bytes, ...]
    into: PurePosixPath
    total_bytes: int


@dataclass(frozen=True)
class Pushed:
    """What a push moved: `method` is "rsync" or "stream"."""

    transferred_files: int
    transferred_bytes: int
    method: str


class Stream(Protocol):
    """A command's output, read while it comes. Close it, or use it as a context manager."""

    def read(self, timeout_s: float) -> bytes:
        """The next bytes, as soon as there are any; b"" once the command itself has ended well.

        That all of it came is for the reader to see, by an end of its own: the exit code of a shared
        connection overtakes the output before it, which is lost if the link then breaks.

        Raises:
            AnswerTimeout: nothing came for `timeout_s`; reading may go on.
            ConnectionLost: the link broke, or what ended the command is unknown.
            CommandFailed: the command ended with an exit code of its own other than 0.
        """

    def close(self) -> None:
        """Stop the command (over there it ends when it next writes). Safe to call twice."""

    def __enter__(self) -> Stream: ...

    def __exit__(self, *exc: object) -> None: ...


class Session(Protocol):
    """An open way to one host. Thread-safe; close it, or use it as a context manager."""

    @property
    def host(self) -> str:
        """The host's name in the inventory."""

    @property
    def round_trips(self) -> int:
        """How many commands were sent so far (connecting aside)."""

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout_s: float | None = None,
        repeatable: bool = False,
        max_output_bytes: int = 64 << 20,
    ) -> Result:
        """Run one bounded command and return its whole answer, whatever its exit code.

        `repeatable` says that running it twice does no harm: only then is it tried again when
        the link fails. Raises HostError: ConnectionLost or AnswerTimeout mean "outcome unknown".
        """

    def stream(self, argv: Sequence[str], *, stdin: bytes = b"") -> Stream:
        """Start a command that is followed while it runs, over a connection that is kept.

        Raises:
            HostError: no connection came about, or a host key on the way is not trusted.
        """

    def pull(
        self, request: Pull, on_progress: OnProgress = no_progress, on_hashed: OnHashed = not_noted
    ) -> PullResult:
        """Fetch files; what arrived stays when the link fails, and a second call goes on there.

        `on_hashed` is told of each file that came by stream; what it was told of the same name before,
        in an attempt whose link broke, holds no more.
        """

    def push(self, request: Push, on_progress: OnProgress = no_progress) -> Pushed:
        """Put files there; what arrived stays when the link fails, and a second call goes on there,
        in the middle of a file, too. What is there with the same size and time is not sent again;
        nothing is deleted."""

    def close(self) -> None:
        """Let go of the host. Safe to call twice."""

    def __enter__(self) -> Session: ...

    def __exit__(self, *exc: object) -> None: ...


# Opens a session with the host of that name. Raises UsageError for an unknown name, HostError without one.
OpenSession = Callable[[str], Session]
