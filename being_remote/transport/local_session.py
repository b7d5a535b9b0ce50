"""This machine with the surface of a host: the same answers, errors and limits, without a network."""

from __future__ import annotations

import atexit
import functools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from being_remote.errors import AnswerTimeout, ConnectionLost, HostError
from being_remote.inventory import LocalHost
from being_remote.session import (
    OnHashed,
    OnProgress,
    Pull,
    Push,
    Result,
    TransferResult,
    no_progress,
    not_noted,
)
from being_remote.transport import rsync, stream_download
from being_remote.transport.output_framing import (
    Reply,
    Streams,
    TooMuchOutput,
    exchange,
    frame_command,
    unframe_output,
)
from being_remote.transport.process_stream import ProcessStream
from being_remote.transport.remote_folder import make_folder


class LocalSession:
    """A `Session` whose commands are processes here, each in a process group of its own."""

    def __init__(self, host: LocalHost) -> None:
        self._host = host
        self._round_trips = 0
        self._lock = threading.Lock()

    @property
    def host(self) -> str:
        return self._host.name

    @property
    def round_trips(self) -> int:
        return self._round_trips

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
        """See `Session.run`. A command that takes too long is killed with its children."""
        timeout_s = self._host.answer_timeout_s if timeout_s is None else timeout_s
        command = frame_command(argv, closing=True)
        self._count()
        started = time.monotonic()
        process = subprocess.Popen(
            command.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=Path.home(),  # where a session over SSH starts, too
            start_new_session=True,
        )
        stop = functools.partial(_end, process)
        atexit.register(stop)  # for a thread that Ctrl-C leaves behind
        try:
            answer = exchange(
                _streams(process),
                stdin,
                limit=max_output_bytes,
                timeout_s=timeout_s,
                reply=Reply(command.mark, reply) if reply is not None else None,
            )
            process.wait(timeout=max(0.0, started + timeout_s - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired) as e:
            raise AnswerTimeout(
                f"{argv[0]!r} did not end within {timeout_s:g} s and was stopped",
                host=self.host,
                hint="raise answer_timeout_s in the inventory if it needs longer",
            ) from e
        except TooMuchOutput as e:
            raise HostError(f"{argv[0]!r} answered more than {max_output_bytes} bytes", host=self.host) from e
        finally:
            stop()
            atexit.unregister(stop)
        ended = unframe_output(bytes(answer.out), command.mark)
        if ended is None:
            raise ConnectionLost(
                f"the shell of {argv[0]!r} was killed; how far it came is unknown", host=self.host
            )
        code, out = ended
        return Result(self.host, tuple(argv), code, out, bytes(answer.err), time.monotonic() - started)

    def stream(self, argv: Sequence[str], *, stdin: bytes = b"") -> ProcessStream:
        """See `Session.stream`; closing it kills the command with its children."""
        command = frame_command(argv, closing=False)
        self._count()
        return ProcessStream(command.argv, command, stdin=stdin, host=self.host, name=argv[0], over_ssh=False)

    def pull(
        self, request: Pull, on_progress: OnProgress = no_progress, on_hashed: OnHashed = not_noted
    ) -> TransferResult:
        """See `Session.pull`; the same rsync, without a shell between."""
        self._count()
        fetch = functools.partial(rsync.pull, request, host=self.host, remote=None, on_progress=on_progress)
        return stream_download.pull_with_rest(request, fetch, self, self._host.python, on_hashed)

    def push(self, request: Push, on_progress: OnProgress = no_progress) -> TransferResult:
        """See `Session.push`; the same rsync, without a shell between."""
        make_folder(self, request.into)
        return rsync.push(request, host=self.host, remote=None, on_progress=on_progress)

    def close(self) -> None:
        """See `Session.close`; nothing is held."""

    def __enter__(self) -> LocalSession:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _count(self) -> None:
        with self._lock:
            self._round_trips += 1


def _streams(process: subprocess.Popen[bytes]) -> Streams:
    assert process.stdin and process.stdout and process.stderr
    out, err, to = process.stdout, process.stderr, process.stdin

    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(to.fileno(), view) :]

    return Streams(
        lambda: os.read(out.fileno(), 65536),
        lambda: os.read(err.fileno(), 65536),
        write,
        to.close,
        out.close,
        err.close,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the command; that ends the reading threads."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
