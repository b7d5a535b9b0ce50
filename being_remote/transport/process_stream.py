"""A command whose output is read while it comes: a process of ours, ssh or the command itself.

The opening mark cuts off what a talkative login shell prints before. There is no closing mark: who
follows something has an end of its own in what it reads, and ssh's 255 is never taken for one.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from being_remote.errors import AnswerTimeout, CommandFailed, ConnectionLost, HostError, ToolMissing
from being_remote.foreign_text import quote
from being_remote.session import Result
from being_remote.transport.output_framing import MAX_COMMAND_BYTES
from being_remote.transport.rsync_process import StderrHead

_CHUNK = 64 << 10
_MAX_GREETING = 1 << 20
_END_S = 5.0
# "$@" instead of pasted words, as in framing; exec, so that closing the stream reaches the command.
_SCRIPT = 'm=$1; shift; printf %s "$m"; exec "$@"'


@dataclass(frozen=True)
class MarkedCommand:
    """The words that run a command after an opening mark."""

    argv: tuple[str, ...]
    mark: bytes


def marked(argv: Sequence[str]) -> MarkedCommand:
    """`argv` behind a mark of its own.

    Raises:
        ValueError: a word holds a NUL byte, or all of them are too long for one command.

    Example:
        >>> marked(["tail", "-f", "a b"]).argv[3:][2:]
        ('tail', '-f', 'a b')
    """
    if not argv or any("\0" in word for word in argv):
        raise ValueError(f"not a command: {argv!r}")
    if sum(len(os.fsencode(word)) for word in argv) > MAX_COMMAND_BYTES:
        raise ValueError("too long for a command; send it on stdin")
    mark = secrets.token_hex(16)
    return MarkedCommand(("sh", "-c", _SCRIPT, "sh", mark, *argv), mark.encode())


class ProcessStream:
    """A `session.Stream` over a process of this machine: `words` run `command`."""

    def __init__(
        self,
        words: Sequence[str],
        command: MarkedCommand,
        *,
        stdin: bytes,
        host: str,
        name: str,
        over_ssh: bool,
    ) -> None:
        self._host, self._name, self._over_ssh = host, name, over_ssh
        self._waiting_for: bytes | None = command.mark
        self._before = b""
        with tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            self._process = subprocess.Popen(
                list(words),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=Path.home(),  # where a session over SSH starts, too
                start_new_session=True,  # Ctrl-C is ours to answer
            )
        assert self._process.stdout and self._process.stderr
        self._out = self._process.stdout
        self._complaints = StderrHead(self._process.stderr)
        atexit.register(self.close)  # for a thread that Ctrl-C leaves behind

    def read(self, timeout_s: float) -> bytes:
        """See `Stream.read`."""
        deadline = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, deadline - time.monotonic())
            if not select.select([self._out], [], [], left_s)[0]:
                raise AnswerTimeout(f"{self._name!r} said nothing for {timeout_s:g} s", host=self._host)
            data = os.read(self._out.fileno(), _CHUNK)
            if not data:
                self._ended()
                return b""
            if data := self._after_mark(data):
                return data

    def close(self) -> None:
        """See `Stream.close`."""
        atexit.unregister(self.close)
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._out.close()

    def __enter__(self) -> ProcessStream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _after_mark(self, data: bytes) -> bytes:
        if self._waiting_for is None:
            return data
        self._before += data
        _, found, rest = self._before.partition(self._waiting_for)
        if found:
            self._waiting_for, self._before = None, b""
            return rest
        if len(self._before) > _MAX_GREETING:
            raise HostError("its login shell talks without an end", host=self._host)
        return b""

    def _ended(self) -> None:
        """Return if the command ended well; raise what its end means otherwise."""
        try:
            code = self._process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:  # it closed its output and goes on
            code = -1
        if code == 0 and self._waiting_for is None:
            return
        said = self._complaints.said()
        text = f": {quote(said)}" if said.strip() else ""
        if code < 0 or code == 0 or (code == 255 and self._over_ssh):
            raise ConnectionLost(
                f"the link broke while {self._name!r} was followed" + text,
                host=self._host,
                hint="call it again; it goes on where it stopped",
            )
        if code in (126, 127):
            raise ToolMissing(
                host=self._host, tool=self._name, hint="is it installed there, and its path right?"
            )
        result = Result(self._host, (self._name,), code, b"", said, 0.0)
        raise CommandFailed(f"{self._name!r} ended with {code}{text}", host=self._host, result=result)
