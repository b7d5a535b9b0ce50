"""How a bounded request reaches a host: a started command, whichever of the two stacks carries it."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import paramiko

from being_remote.errors import AnswerTimeout, ConnectionLost
from being_remote.foreign_text import quote
from being_remote.transport import ssh_errors
from being_remote.transport.connection import Connection
from being_remote.transport.local_process import end_process, process_streams, start_process
from being_remote.transport.openssh import OpenSsh
from being_remote.transport.output_framing import MarkedCommand, Streams, quote_words

_FAILED = 255  # ssh's own code, also of a broken link


class NotSent(ConnectionLost):
    """The link broke before the request left: sending it again is always safe."""


@dataclass(frozen=True)
class StartedCommand:
    """A command on its way.

    Attributes:
        stop: ends it here; on the host it ends when it next writes.
        has_ended: whether it is known to have ended by itself, rather than the link; asked after both streams
            ended, and waits a moment.
    """

    streams: Streams
    stop: Callable[[], None]
    has_ended: Callable[[], bool]


class RequestWay(Protocol):
    """One of the two stacks."""

    def start(self, command: MarkedCommand, name: str) -> StartedCommand:
        """Start a command; `name` is for messages. Raises HostError; NotSent if it did not start."""

    def has_sftp(self) -> bool:
        """Whether the host offers the sftp subsystem. Raises HostError where that is unknown."""


class FabricRequests:
    """Requests as channels of one Fabric connection.

    Args:
        count: called when a request leaves.
        timeout_s: of each step. The server is waited for without a limit of its own, so one that stays silent
            is dropped.
    """

    def __init__(
        self, connection: Connection, host: str, timeout_s: float, count: Callable[[], None]
    ) -> None:
        self._connection, self._host, self._timeout_s, self._count = connection, host, timeout_s, count

    def start(self, command: MarkedCommand, name: str) -> StartedCommand:
        # Not Connection.run: it reports a lost link as exit code -1, reads with quadratic cost, and
        # writes stdin byte by byte with a pause after each.
        line = quote_words(command.argv)
        channel = self._send(self._connection.transport(), lambda channel: channel.exec_command(line), name)

        def stop() -> None:
            # Closing sends a message, which blocks while the peer is frozen: not in this thread.
            threading.Thread(target=_close, args=(channel,), daemon=True).start()

        def has_ended() -> bool:
            # Both streams ended, so sshd's own exit code follows at once, unless the link broke.
            return channel.status_event.wait(1.0) and channel.recv_exit_status() >= 0

        return StartedCommand(_channel_streams(channel), stop, has_ended)

    def has_sftp(self) -> bool:
        transport = self._connection.transport()
        try:
            channel = self._send(transport, lambda channel: channel.invoke_subsystem("sftp"), "sftp")
        except NotSent:
            raise
        except ConnectionLost as e:
            # Paramiko reports a refusal as a closed channel, and an end of the link as EOFError or OSError.
            if isinstance(e.__cause__, paramiko.SSHException) and transport.is_active():
                return False
            raise
        _close(channel)
        return True

    def _send(
        self, transport: paramiko.Transport, request: Callable[[paramiko.Channel], None], name: str
    ) -> paramiko.Channel:
        """Make a request on a channel of its own. Raises ConnectionLost; NotSent if it did not leave."""
        sent = False
        try:
            with _dropped_after(transport, self._timeout_s):
                channel = transport.open_session(timeout=self._timeout_s)
                self._count()
                sent = True
                request(channel)
        except paramiko.ChannelException as e:
            raise NotSent(f"refused another session for {name!r}: {quote(str(e))}", host=self._host) from e
        except ssh_errors.CONNECTING as e:
            kind = ConnectionLost if sent else NotSent
            raise kind(
                f"the link broke or fell silent while {name!r} was sent: {quote(str(e) or type(e).__name__)}",
                host=self._host,
                hint="whether it was carried out is unknown" if sent else "nothing was sent; run it again",
            ) from e
        return channel


class OpenSshRequests:
    """Requests over the connection that streams share, as the system's ssh carries them.

    Args:
        share: opens that connection, or raises HostError.
    """

    def __init__(self, ssh: OpenSsh, host: str, timeout_s: float, share: Callable[[], None]) -> None:
        self._ssh, self._host, self._timeout_s, self._share = ssh, host, timeout_s, share

    def start(self, command: MarkedCommand, name: str) -> StartedCommand:
        self._share()
        process = start_process([*self._ssh.shell, "-T", "--", self._ssh.target, quote_words(command.argv)])

        def has_ended() -> bool:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(timeout=1.0) != _FAILED
            return False

        return StartedCommand(process_streams(process), lambda: end_process(process), has_ended)

    def has_sftp(self) -> bool:
        self._share()
        # Over a shared connection ssh keeps quiet about a refusal, so the same is asked over one of its own.
        for way in ([], ["-oControlPath=none"]):
            words = [*self._ssh.shell, *way, "-s", "-T", "--", self._ssh.target, "sftp"]
            try:
                asked = subprocess.run(
                    words,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=2 * self._timeout_s,
                    check=False,
                )
            except subprocess.TimeoutExpired as e:
                raise AnswerTimeout("no answer to a request for sftp", host=self._host) from e
            if asked.returncode != _FAILED:
                return True
            if b"subsystem request failed" in asked.stderr:
                return False
        what = f"the link broke while sftp was requested: {quote(asked.stderr)}"
        raise ConnectionLost(what, host=self._host)


def _channel_streams(channel: paramiko.Channel) -> Streams:
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


def _close(channel: paramiko.Channel) -> None:
    with contextlib.suppress(paramiko.SSHException, OSError, EOFError):  # the link broke
        channel.close()


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
