"""What may be asked of a host once it is open. A leaf.

`transport/` implements `Session` over SSH and over subprocess; all other rooms are handed one. A command
is a list of words, never a string: the transport quotes it once for the remote shell.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol


@dataclass(frozen=True)
class Result:
    """The answer of a command; `exit_code` is the command's own, carried in-band."""

    host: str
    argv: tuple[str, ...]
    exit_code: int
    stdout: bytes
    stderr: bytes
    seconds: float


@dataclass(frozen=True)
class TransferProgress:
    """The progress of a task; `total` is None while it is unknown. Units: bytes or items."""

    what: str
    done: int
    total: int | None = None
    unit: str = "bytes"


# Holds the files that a pull left cut, beside their place; the next pull resumes them.
PARTIAL_DIR = ".rsync-partial"

OnProgress = Callable[[TransferProgress], None]


def no_progress(_: TransferProgress) -> None:
    """The `OnProgress` that ignores progress."""


@dataclass(frozen=True)
class Feedback:
    """What a long command tells meanwhile: how far it is, and sentences for people."""

    on_progress: OnProgress = no_progress
    say: Callable[[str], object] = lambda _: None


NO_FEEDBACK = Feedback()


@dataclass(frozen=True)
class Pull:
    """Files of one folder to fetch.

    `names` are paths below `source`, a folder on the host (bytes, as the host spells them); `sizes` are
    their bytes when they were listed. They arrive under `into` with the same names and modification
    times. A file that `unless_in` holds with the same size and modification time is not fetched.
    """

    source: PurePosixPath
    names: tuple[bytes, ...]
    sizes: tuple[int, ...]
    into: Path
    unless_in: Path

    @property
    def total_bytes(self) -> int:
        return sum(self.sizes)


@dataclass(frozen=True)
class TransferResult:
    """What a pull or a push moved; `method` is "rsync", "stream", or "rsync, stream" for both."""

    transferred_files: int
    transferred_bytes: int
    method: str

    def plus(self, other: TransferResult) -> TransferResult:
        """Two parts of one transfer, as one result."""
        methods = {part.method for part in (self, other) if part.transferred_files} or {self.method}
        return TransferResult(
            self.transferred_files + other.transferred_files,
            self.transferred_bytes + other.transferred_bytes,
            ", ".join(sorted(methods)),
        )


class Hashed(NamedTuple):
    """A file on the host that did not change while it was read there, and its hash (raw)."""

    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: builtins.bytes


# Receives one of `Pull.names` that arrived (again), and its hash; None if the file changed meanwhile.
OnHashed = Callable[[bytes, Hashed | None], None]


def not_noted(_name: bytes, _hashed: Hashed | None) -> None:
    """The `OnHashed` that ignores hashes."""


@dataclass(frozen=True)
class Push:
    """Local files to upload.

    `names` are paths below the local folder `source` (bytes, `/` between parts); a link is sent as the
    file that it points to. They arrive under `into` with the same names, modification times and executable
    bits. `total_bytes` is their size, for progress.

    `into` is a staging folder: it may hold half files until the push has returned, and the files are not
    compared by hash yet.
    """

    source: Path
    names: tuple[bytes, ...]
    into: PurePosixPath
    total_bytes: int


class Stream(Protocol):
    """A command's output, read as it comes. Close it, or use it as a context manager."""

    def read(self, timeout_s: float) -> bytes:
        """The next bytes, as soon as there are any; b"" once the command has ended with 0.

        Raises:
            AnswerTimeout: nothing came for `timeout_s`; reading may continue.
            ConnectionLost: the link broke, or how the command ended is unknown.
            CommandFailed: the command ended with another exit code.
        """

    def close(self) -> None:
        """Stop the command; on the host it ends when it next writes. Safe to call twice."""

    def __enter__(self) -> Stream: ...

    def __exit__(self, *exc: object) -> None: ...


class Session(Protocol):
    """An open connection to one host. Thread-safe; close it, or use it as a context manager."""

    @property
    def host(self) -> str:
        """The host's name in the inventory."""

    @property
    def round_trips(self) -> int:
        """How many commands were sent so far."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of the way to this host."""

    @property
    def greeting_bytes(self) -> int:
        """How much the login printed before the last command."""

    def has_sftp(self) -> bool | None:
        """Whether the host offers the sftp subsystem, which other tools need; None for this machine.

        Raises:
            HostError: that is unknown.
        """

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
        """Run one bounded command and return its whole answer, whatever its exit code.

        Only a `repeatable` command, which does no harm when it runs twice, is retried when the link
        fails. `reply` is given the command's first line (again in each retry), and returns what is sent
        after `stdin`; what it raises ends the command. Raises HostError; after ConnectionLost and
        AnswerTimeout the outcome is unknown.
        """

    def stream(self, argv: Sequence[str], *, stdin: bytes = b"") -> Stream:
        """Start a command and read its output while it runs. Raises HostError."""

    def pull(
        self, request: Pull, on_progress: OnProgress = no_progress, on_hashed: OnHashed = not_noted
    ) -> TransferResult:
        """Fetch files; when the link fails, a second call resumes.

        `on_hashed` receives each file that came by stream; after a retry the last call for a name counts.
        """

    def push(self, request: Push, on_progress: OnProgress = no_progress) -> TransferResult:
        """Upload files; when the link fails, a second call resumes, also in the middle of a file.

        A file that is there with the same size and time is not sent again; nothing is deleted.
        """

    def close(self) -> None:
        """Close the connection. Safe to call twice."""

    def __enter__(self) -> Session: ...

    def __exit__(self, *exc: object) -> None: ...


# Opens a session with the host of that name. Raises UsageError for an unknown name, HostError without one.
OpenSession = Callable[[str], Session]
