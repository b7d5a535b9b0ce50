"""A command whose output is read as it comes: a local process, ssh or the command itself.

The opening mark cuts off what a login shell prints first; the closing one ends the output and carries the
exit code, so that neither ssh's own code nor a process that keeps the output open counts.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import subprocess
import threading
import time
from collections.abc import Sequence

from being_remote.errors import AnswerTimeout, CommandFailed, ConnectionLost, HostError, ToolMissing
from being_remote.foreign_text import quote
from being_remote.pod_client.refusal import find_error
from being_remote.session import Result
from being_remote.transport.local_process import end_process, start_process, write_all
from being_remote.transport.output_framing import GO, EndlessGreeting, MarkedCommand, MarkReader
from being_remote.transport.rsync_process import StderrHead

_CHUNK = 64 << 10


class ProcessStream:
    """A `session.Stream` over a local process: `words` run `command`.

    Args:
        stdin: sent once the command listens; None: `open_input` gives the caller its stdin.
    """

    def __init__(
        self, words: Sequence[str], command: MarkedCommand, *, stdin: bytes | None, host: str, name: str
    ) -> None:
        self._host, self._name, self._stdin = host, name, stdin
        self._reader, self._is_over = MarkReader(command.mark), False
        self._process = start_process(words, stdin=subprocess.DEVNULL if stdin == b"" else subprocess.PIPE)
        assert self._process.stdout and self._process.stderr
        self._out = self._process.stdout
        self._stderr = StderrHead(self._process.stderr, command.mark)
        atexit.register(self.close)  # for a thread that Ctrl-C leaves behind

    def read(self, timeout_s: float) -> bytes:
        """See `Stream.read`."""
        deadline = time.monotonic() + timeout_s
        while not self._is_over:
            if data := self._read_some(deadline, timeout_s):
                return data
        self._require_good_end()
        return b""

    def open_input(self, timeout_s: float) -> int:
        """Wait until the command listens and start it; returns the descriptor of its stdin.

        Raises:
            AnswerTimeout: it does not listen for so long.
            HostError: it ended before; `read` says why it ended after.
        """
        deadline = time.monotonic() + timeout_s
        while not self._reader.is_open:
            self._read_some(deadline, timeout_s)
            if self._is_over:
                self._require_good_end()
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            write_all(self._process.stdin.fileno(), GO)
        return self._process.stdin.fileno()

    def close_input(self) -> None:
        """End the input that `open_input` opened."""
        assert self._process.stdin
        self._process.stdin.close()

    def close(self) -> None:
        """See `Stream.close`."""
        atexit.unregister(self.close)
        end_process(self._process)
        self._out.close()
        if self._process.stdin and not (self._stdin and self._reader.is_open):  # its feeder closes it
            self._process.stdin.close()

    def __enter__(self) -> ProcessStream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _read_some(self, deadline: float, timeout_s: float) -> bytes:
        """Wait for output; returns what of it is the command's own, and notes its end."""
        left_s = max(0.0, deadline - time.monotonic())
        if not select.select([self._out], [], [], left_s)[0]:
            raise AnswerTimeout(f"{self._name!r} printed nothing for {timeout_s:g} s", host=self._host)
        data, was_open = os.read(self._out.fileno(), _CHUNK), self._reader.is_open
        try:
            own = self._reader.feed(data)
        except EndlessGreeting as e:
            raise HostError("its login shell prints without end", host=self._host) from e
        self._is_over = not data or self._reader.exit_code is not None
        if self._reader.is_open and not was_open and self._stdin:
            threading.Thread(target=self._feed, args=(GO + self._stdin,), daemon=True).start()
        return own

    def _feed(self, data: bytes) -> None:
        assert self._process.stdin
        with contextlib.suppress(OSError), self._process.stdin as stdin:  # it need not read all
            write_all(stdin.fileno(), data)

    def _require_good_end(self) -> None:
        """Return if the command ended well; raise what its end means otherwise."""
        code = self._reader.exit_code
        if code == 0:
            return
        message = self._stderr.read()
        text = f": {quote(message)}" if message.strip() else ""
        if code is None:
            raise ConnectionLost(
                f"the link broke while {self._name!r} was followed{text}",
                host=self._host,
                hint="run the command again; it resumes where it stopped",
            )
        if code in (126, 127):
            raise ToolMissing(
                host=self._host, tool=self._name, hint="check that it is installed on the host, and its path"
            )
        result = Result(self._host, (self._name,), code, b"", message, 0.0)
        refused = find_error(result, repr(self._name), self._name)
        raise refused or CommandFailed(
            f"{self._name!r} ended with {code}{text}", host=self._host, result=result
        )
