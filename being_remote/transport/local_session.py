"""This machine with the surface of a host: the same answers, errors and limits, without a network."""

from __future__ import annotations

import atexit
import functools
import time
from collections.abc import Sequence

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
from being_remote.transport.host_session import HostSession
from being_remote.transport.local_process import end_process, process_streams, start_process
from being_remote.transport.output_framing import (
    CommandInput,
    TooMuchOutput,
    exchange,
    frame_command,
)
from being_remote.transport.process_stream import ProcessStream


class LocalSession(HostSession):
    """A `Session` whose commands are processes here, each in a process group of its own."""

    def __init__(self, host: LocalHost) -> None:
        super().__init__(host)
        self._python = host.python

    def close(self) -> None:
        """Nothing is kept open."""

    def _run(
        self, argv: tuple[str, ...], given: CommandInput, timeout_s: float, limit: int, *, repeatable: bool
    ) -> Result:
        """A command that takes too long is killed with its children; no link can fail, so none is retried."""
        command = frame_command(argv, has_input=not given.is_empty)
        self._count()
        started = time.monotonic()
        process = start_process(command.argv)
        stop = functools.partial(end_process, process)
        atexit.register(stop)  # for a thread that Ctrl-C leaves behind
        try:
            answer = exchange(process_streams(process), given, command.mark, limit=limit, timeout_s=timeout_s)
        except TimeoutError as e:
            raise AnswerTimeout(
                f"{argv[0]!r} did not end within {timeout_s:g} s and was stopped",
                host=self.host,
                hint="raise answer_timeout_s in the inventory if it needs longer",
            ) from e
        except TooMuchOutput as e:
            raise HostError(f"{argv[0]!r} answered more than {limit} bytes", host=self.host) from e
        finally:
            stop()
            atexit.unregister(stop)
        if answer.exit_code is None:
            raise ConnectionLost(
                f"the shell of {argv[0]!r} was killed; whether it finished is unknown", host=self.host
            )
        seconds = time.monotonic() - started
        return Result(self.host, argv, answer.exit_code, bytes(answer.out), bytes(answer.err), seconds)

    def stream(self, argv: Sequence[str], *, stdin: bytes = b"") -> ProcessStream:
        """See `Session.stream`; closing it kills the command with its children."""
        command = frame_command(argv, has_input=bool(stdin))
        self._count()
        return ProcessStream(command.argv, command, stdin=stdin, host=self.host, name=argv[0])

    def pull(
        self, request: Pull, on_progress: OnProgress = no_progress, on_hashed: OnHashed = not_noted
    ) -> TransferResult:
        """See `Session.pull`; the same rsync, without a shell between."""
        self._count()
        fetch = functools.partial(rsync.pull, request, host=self.host, remote=None, on_progress=on_progress)
        return stream_download.pull_with_rest(request, fetch, self, self._python, on_hashed)

    def push(self, request: Push, on_progress: OnProgress = no_progress) -> TransferResult:
        """See `Session.push`; the same rsync, without a shell between."""
        self._make_folder(request.into)
        return rsync.push(request, host=self.host, remote=None, on_progress=on_progress)
