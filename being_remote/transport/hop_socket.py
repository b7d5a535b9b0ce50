"""A socket to a hop, on which SSH is spoken, and the host key that the hop shows.

A direct socket is TCP; all others are the stdin and stdout of a command (`ssh -W`, or the user's own
ProxyCommand) behind a socket pair, so that time-outs work on them as on any socket.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import IO

import paramiko

from being_remote.inventory import SshHost
from being_remote.transport import ssh_errors
from being_remote.transport.host_keys import HostKey
from being_remote.transport.openssh import OpenSsh
from being_remote.transport.ssh_config import Hop

# In paramiko's spelling. A host may have one of each, and its console may print any of them.
KEY_TYPES = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)


@dataclass
class HopSocket:
    """An open socket; `command` carries it, None for TCP."""

    socket: socket.socket
    command: subprocess.Popen[bytes] | None = None
    stderr: IO[bytes] | None = None

    def read_stderr(self) -> str:
        """What the command wrote to stderr; after a failure, so waits a moment for its end."""
        if self.command is None or self.stderr is None:
            return ""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.command.wait(timeout=1)
        self.stderr.seek(0)
        return self.stderr.read(16 << 10).decode("utf-8", "backslashreplace").strip()

    def close(self) -> None:
        self.socket.close()
        if self.command is not None and self.command.poll() is None:
            self.command.kill()
            self.command.wait()
        if self.stderr is not None:
            self.stderr.close()


def dial(ssh: OpenSsh, hop: Hop, position: int, *, timeout_s: float) -> HopSocket:
    """Open a socket to the hop at `position`. Raises OSError without a connection within `timeout_s`."""
    proxy = ssh.proxy_command(position)
    if proxy is None:
        return HopSocket(_tcp(hop.hostname, hop.port, timeout_s))
    ours, theirs = socket.socketpair()
    stderr = tempfile.TemporaryFile()  # noqa: SIM115 - the HopSocket closes it
    try:
        command = subprocess.Popen(proxy, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=stderr)
    finally:
        theirs.close()
    return HopSocket(ours, command, stderr)


def read_host_key(
    ssh: OpenSsh, host: SshHost, hop: Hop, position: int, key_types: tuple[str, ...] = ()
) -> HostKey:
    """The key that a hop proves to own, reached over the (trusted) hops before it, without a login.

    Args:
        host: its time-out counts, and errors carry its name.
        key_types: ask for one of these; default: what both sides prefer.

    Raises:
        Unreachable, LoginRefused: it, or a hop before it, cannot be reached.
    """
    timeout_s, opened = host.connect_timeout_s, None
    try:
        opened = dial(ssh, hop, position, timeout_s=timeout_s)
        return _handshake(opened.socket, timeout_s, key_types)
    except ssh_errors.CONNECTING as e:
        message = opened.read_stderr() if opened else ""
        raise ssh_errors.while_connecting(
            e, host=host.name, address=hop.address, timeout_s=timeout_s, message=message
        ) from e
    finally:
        if opened is not None:
            opened.close()


def _handshake(sock: socket.socket, timeout_s: float, key_types: tuple[str, ...]) -> HostKey:
    transport = paramiko.Transport(sock)
    try:
        transport.banner_timeout = timeout_s
        if key_types:
            transport.get_security_options().key_types = key_types
        transport.start_client(timeout=timeout_s)
        key = transport.get_remote_server_key()
        return HostKey.of(key)
    finally:
        transport.close()


class _PromptSocket(socket.socket):
    """A TCP socket that acknowledges at once what it has read.

    Linux waits 40 ms first. sshd says several things after a login, and its Nagle algorithm keeps the
    answer to our first question back until they are acknowledged: tcp(7), TCP_QUICKACK, which does not last.
    """

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        data = super().recv(size, flags)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # the next call reports what is wrong
                self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data


def _tcp(hostname: str, port: int, timeout_s: float) -> socket.socket:
    """Connect to the first address that answers; the time left is shared among those not yet tried."""
    addresses = socket.getaddrinfo(hostname, port, type=socket.SOCK_STREAM)
    deadline = time.monotonic() + timeout_s
    last: OSError = OSError(f"{hostname} has no address")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        share_s = max(0.1, (deadline - time.monotonic()) / (len(addresses) - tried))
        try:
            connected = _PromptSocket(family, kind, protocol)
        except OSError as e:  # this machine lacks that address family
            last = e
            continue
        try:
            connected.settimeout(share_s)
            connected.connect(address)
            connected.settimeout(None)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connected
        except OSError as e:
            connected.close()
            last = e
    raise last
