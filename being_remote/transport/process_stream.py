"""A command whose output is read as it comes: a local process, ssh or the command itself.

The opening mark cuts off what a login shell prints first. Without a closing mark, the output needs an end
of its own; ssh's 255 is never taken for one.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from being_remote.errors import AnswerTimeout, CommandFailed, ConnectionLost, HostError, ToolMissing
from being_remote.foreign_text import quote
from being_remote.pod_client.refusal import find_error
from being_remote.session import Result
from being_remote.transport.output_framing import MarkedCommand
from being_remote.transport.rsync_process import StderrHead

_CHUNK = 64 << 10
_MAX_GREETING = 1 << 20
_END_S = 5.0


class ProcessStream:
    """A `session.Stream` over a local process: `words` run `command`."""

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
        self._mark: bytes | None = command.mark  # None once it was read
        self._greeting = b""
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            self._process = subprocess.Popen(
                list(words),
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=Path.home(),  # where a session over SSH starts, too
                start_new_session=True,  # Ctrl-C is ours to answer
            )
        assert self._process.stdout and self._process.stderr
        self._out = self._process.stdout
        self._stderr = StderrHead(self._process.stderr)
        atexit.register(self.close)  # for a thread that Ctrl-C leaves behind

    def read(self, timeout_s: float) -> bytes:
        """See `Stream.read`."""
        deadline = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, deadline - time.monotonic())
            if not select.select([self._out], [], [], left_s)[0]:
                raise AnswerTimeout(f"{self._name!r} printed nothing for {timeout_s:g} s", host=self._host)
            data = os.read(self._out.fileno(), _CHUNK)
            if not data:
                self._require_good_end()
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
        if self._mark is None:
            return data
        self._greeting += data
        _, found, rest = self._greeting.partition(self._mark)
        if found:
            self._mark, self._greeting = None, b""
            return rest
        if len(self._greeting) > _MAX_GREETING:
            raise HostError("its login shell prints without end", host=self._host)
        return b""

    def _require_good_end(self) -> None:
        """Return if the command ended well; raise what its end means otherwise."""
        try:
            code = self._process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:  # it closed its output and still runs
            code = -1
        if code == 0 and self._mark is None:
            return
        message = self._stderr.read()
        text = f": {quote(message)}" if message.strip() else ""
        if code <= 0 or (code == 255 and self._over_ssh):
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
