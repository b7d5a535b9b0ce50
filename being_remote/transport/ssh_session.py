"""A host over SSH: bounded requests through Fabric, streams through OpenSSH.

Promises: every wait has an end; an answer is whole, with the command's own exit code, or it is an
error that says what is unknown; only a repeatable command is retried; host keys are checked on every hop.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Iterator, Sequence

import paramiko
import tenacity

from being_remote.errors import (
    AnswerTimeout,
    ConnectionLost,
    HostError,
    LoginRefused,
    ToolMissing,
    Unreachable,
)
from being_remote.foreign_text import quote
from being_remote.inventory import Inventory, SshHost
from being_remote.session import (
    OnHashed,
    OnProgress,
    Pull,
    Push,
    Result,
    TransferProgress,
    TransferResult,
    no_progress,
    not_noted,
)
from being_remote.transport import rsync, ssh_errors, stream_download
from being_remote.transport.connection import Connection, retrying
from being_remote.transport.host_keys import HostKey, KnownHosts, trusted_keys
from being_remote.transport.host_session import HostSession
from being_remote.transport.openssh import OpenSsh
from being_remote.transport.output_framing import (
    Answer,
    CommandInput,
    MarkedCommand,
    Streams,
    TooMuchOutput,
    exchange,
    frame_command,
    quote_words,
)
from being_remote.transport.process_stream import ProcessStream
from being_remote.transport.ssh_config import Hop, resolve

_CHANNELS = 8  # sshd's MaxSessions is 10 by default; two are left to the user
_STREAM_RETRIES_S = 3600.0  # a transfer that broke after hours is left to the user


class _NotSent(ConnectionLost):
    """The link broke before the request left: sending it again is always safe."""


class SshSession(HostSession):
    """A `Session` over SSH, made by `SshSession.open`.

    One connection, which is made again if it broke between two requests; at most eight commands on it
    at a time, further ones wait.
    """

    def __init__(self, host: SshHost, hops: Sequence[Hop], keys: Sequence[tuple[HostKey, ...]]) -> None:
        super().__init__(host)
        self._host, self._hops = host, hops
        self._ssh = OpenSsh(hops, keys, connect_timeout_s=host.connect_timeout_s)
        self._connection = Connection(host, hops, keys, self._ssh)
        self._channels = threading.BoundedSemaphore(_CHANNELS)

    @classmethod
    def open(cls, host: SshHost, inventory: Inventory, *, remember: bool = True) -> SshSession:
        """Resolve, check keys, connect and log in; see `transport.open_session`."""
        hops = resolve(host, inventory)
        known = KnownHosts(inventory.state)
        session = cls(host, hops, trusted_keys(hops, host, inventory.path, known, remember=remember))
        try:
            session._connection.transport()
        except BaseException:
            session.close()
            raise
        return session

    def stream(self, argv: Sequence[str], *, stdin: bytes = b"") -> ProcessStream:
        """See `Session.stream`. All streams of a session travel over one shared connection."""
        self._share()
        return self._start_stream(argv, stdin=stdin)

    def pull(
        self, request: Pull, on_progress: OnProgress = no_progress, on_hashed: OnHashed = not_noted
    ) -> TransferResult:
        """See `Session.pull`. Fetching twice does no harm, so a lost link is retried."""
        rsync.require_rsync()
        stream_download.sweep(request.into)
        small, large = stream_download.split_by_size(request)
        if not small.names:
            return self._retrying()(self._pull_large, large, on_progress, on_hashed)
        progress, refused = _progress_after(on_progress, 0, request.total_bytes), None
        moved = TransferResult(0, 0, "stream")
        try:
            moved = self._retrying()(self._pull_small, small, progress, on_hashed)
        except (ConnectionLost, Unreachable, AnswerTimeout):
            raise
        except HostError as e:  # a file could not be read there, or placed here; the others arrived
            refused = e
        if large.names:
            progress = _progress_after(on_progress, small.total_bytes, request.total_bytes)
            moved = moved.plus(self._retrying()(self._pull_large, large, progress, on_hashed))
        if refused is not None:
            raise refused
        return moved

    def push(self, request: Push, on_progress: OnProgress = no_progress) -> TransferResult:
        """See `Session.push`. Sending twice does no harm, so a lost link is retried."""
        return self._retrying()(self._push, request, on_progress)

    def has_sftp(self) -> bool:
        """Whether the host offers the sftp subsystem, which other tools need."""
        transport = self._connection.transport()
        try:
            with _dropped_after(transport, self._host.connect_timeout_s):
                channel = transport.open_session(timeout=self._host.connect_timeout_s)
                channel.invoke_subsystem("sftp")
                channel.close()
        except paramiko.SSHException as e:
            if not transport.is_active():
                raise ConnectionLost("the link broke while sftp was requested", host=self.host) from e
            return False
        return True

    def close(self) -> None:
        self._connection.close()
        self._ssh.close()

    def _run(
        self, argv: tuple[str, ...], given: CommandInput, timeout_s: float, limit: int, *, repeatable: bool
    ) -> Result:
        attempt = retrying(
            self.host,
            again=lambda e: isinstance(e, ConnectionLost) and (repeatable or isinstance(e, _NotSent)),
            total_s=timeout_s,
        )
        return attempt(self._run_once, argv, given, timeout_s, limit)

    def _run_once(self, argv: tuple[str, ...], given: CommandInput, timeout_s: float, limit: int) -> Result:
        # Not Connection.run: it reports a lost link as exit code -1, reads with quadratic cost, and
        # writes stdin byte by byte with a pause after each.
        started = time.monotonic()
        command = frame_command(argv, has_input=not given.is_empty)
        if not self._channels.acquire(timeout=timeout_s):
            raise AnswerTimeout(
                f"{argv[0]!r} found all {_CHANNELS} channels busy for {timeout_s:g} s", host=self.host
            )
        try:
            channel = self._start(command, argv[0])
            try:
                left_s = max(0.0, started + timeout_s - time.monotonic())
                answer = exchange(_streams(channel), given, command.mark, limit=limit, timeout_s=left_s)
                if answer.exit_code is None:
                    raise self._unfinished(channel, argv[0], answer)
            except TimeoutError as e:
                raise AnswerTimeout(
                    f"no answer to {argv[0]!r} within {timeout_s:g} s; whether it was carried out is unknown",
                    host=self.host,
                    hint="check the host; answer_timeout_s in the inventory sets how long to wait",
                ) from e
            except TooMuchOutput as e:
                raise HostError(
                    f"{argv[0]!r} answered more than {limit} bytes; the rest was not read", host=self.host
                ) from e
            finally:
                # Closing sends a message, which blocks while the peer is frozen: not in this thread.
                threading.Thread(target=_close, args=(channel,), daemon=True).start()
        finally:
            self._channels.release()
        seconds = time.monotonic() - started
        return Result(self.host, argv, answer.exit_code, bytes(answer.out), bytes(answer.err), seconds)

    def _start(self, command: MarkedCommand, name: str) -> paramiko.Channel:
        """Open a channel and send the command.

        Both wait for the server without a limit of their own, so a server that stays silent is dropped.
        """
        transport = self._connection.transport()
        sent = False
        try:
            with _dropped_after(transport, self._host.connect_timeout_s):
                channel = transport.open_session(timeout=self._host.connect_timeout_s)
                self._count()
                sent = True
                channel.exec_command(quote_words(command.argv))
            return channel
        except paramiko.ChannelException as e:
            raise _NotSent(f"refused another session for {name!r}: {quote(str(e))}", host=self.host) from e
        except ssh_errors.CONNECTING as e:
            kind = ConnectionLost if sent else _NotSent
            raise kind(
                f"the link broke or fell silent while {name!r} was sent: {quote(str(e) or type(e).__name__)}",
                host=self.host,
                hint="whether it was carried out is unknown" if sent else "nothing was sent; run it again",
            ) from e

    def _unfinished(self, channel: paramiko.Channel, name: str, answer: Answer) -> HostError:
        """The error of a command without its closing mark."""
        # Both streams ended, so sshd's own exit code follows at once, unless the link broke.
        channel.status_event.wait(1.0)
        has_ended = channel.recv_exit_status() >= 0
        if has_ended and not answer.was_fed and answer.given_up:
            return LoginRefused(
                f"the login works, but something reads what {name!r} is sent before it starts, so nothing was"
                f" sent: {quote(answer.greeting + answer.err)}",
                host=self.host,
                hint=f"find what reads in the login files of {self._hops[-1].user} on the host (~/.bashrc),"
                " or use another way to the host: some gateways give a shell and run no command",
            )
        if has_ended and not answer.listens:
            return LoginRefused(
                f"the login works, but its shell runs no commands: {quote(answer.greeting + answer.err)}",
                host=self.host,
                hint=f"change the login shell of {self._hops[-1].user} on the host",
            )
        return ConnectionLost(
            f"the link broke while {name!r} ran; whether it was carried out is unknown",
            host=self.host,
            hint="check the host, or run it again if that does no harm",
        )

    def _pull_small(self, request: Pull, on_progress: OnProgress, on_hashed: OnHashed) -> TransferResult:
        return stream_download.pull(request, self, self._host.python, on_progress, on_hashed)

    def _pull_large(self, request: Pull, on_progress: OnProgress, on_hashed: OnHashed) -> TransferResult:
        self._share()
        remote = rsync.Remote(self._ssh.shell, self._ssh.target)
        fetch = functools.partial(rsync.pull, request, host=self.host, remote=remote, on_progress=on_progress)
        try:
            return stream_download.pull_with_rest(request, fetch, self, self._host.python, on_hashed)
        except ToolMissing as e:
            if e.host != self.host:
                raise
        return self._pull_small(request, on_progress, on_hashed)

    def _push(self, request: Push, on_progress: OnProgress) -> TransferResult:
        rsync.require_rsync()
        self._make_folder(request.into)
        self._share()
        remote = rsync.Remote(self._ssh.shell, self._ssh.target)
        try:
            return rsync.push(request, host=self.host, remote=remote, on_progress=on_progress)
        except ToolMissing as e:
            if e.host != self.host:
                raise
        from being_remote.transport import stream_upload

        return stream_upload.push(request, self, self._host.python, self._start_stream, on_progress)

    def _start_stream(self, argv: Sequence[str], *, stdin: bytes | None = None) -> ProcessStream:
        """Start a command over the shared connection; without `stdin` the caller feeds it."""
        command = frame_command(argv, has_input=stdin != b"")
        words = [*self._ssh.shell, "-T", "--", self._ssh.target, quote_words(command.argv)]
        return ProcessStream(words, command, stdin=stdin, host=self.host, name=argv[0])

    def _retrying(self) -> tenacity.Retrying:
        return retrying(
            self.host,
            again=lambda e: isinstance(e, (ConnectionLost, Unreachable)),
            total_s=_STREAM_RETRIES_S,
            first_wait_s=0.5,
        )

    def _share(self) -> None:
        """Open the connection that streams share, and count the stream that will use it."""
        message = self._ssh.share()
        if message:
            if ssh_errors.is_about_host_keys(message):
                self._connection.require_trusted_hops(len(self._hops))
            raise ssh_errors.from_stderr(message, host=self.host, address=self._hops[-1].address)
        self._count()


def _progress_after(on_progress: OnProgress, before: int, total: int) -> OnProgress:
    """Progress of a part, after so many bytes of other parts, as progress of the whole."""
    if on_progress is no_progress:
        return no_progress
    return lambda p: on_progress(TransferProgress(p.what, before + p.done, total, p.unit))


def _close(channel: paramiko.Channel) -> None:
    with contextlib.suppress(paramiko.SSHException, OSError, EOFError):  # the link broke
        channel.close()


def _streams(channel: paramiko.Channel) -> Streams:
    def write(data: bytes) -> None:
        # In slices: sendall copies all that is left for every packet.
        for start in range(0, len(data), 1 << 15):
            try:
                channel.sendall(data[start : start + (1 << 15)])
            except paramiko.SSHException as e:
                raise OSError(str(e)) from e

    return Streams(
        lambda: channel.recv(1 << 16), lambda: channel.recv_stderr(1 << 16), write, channel.shutdown_write
    )


@contextlib.contextmanager
def _dropped_after(transport: paramiko.Transport, seconds: float) -> Iterator[None]:
    """Close the link if the block takes longer, which ends every wait on it."""
    timer = threading.Timer(seconds, transport.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
