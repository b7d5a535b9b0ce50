"""A raw line to a hop (a socket that carries SSH), and the host key that is shown at its end.

Direct lines are TCP; all others are the stdin and stdout of a command (`ssh -W`, or the user's own
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
from being_remote.transport import ssh_errors as failures
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
    """An open line; `command` is what carries it, None for TCP."""

    socket: socket.socket
    command: subprocess.Popen[bytes] | None = None
    said: IO[bytes] | None = None

    def complaint(self) -> str:
        """What the command wrote to stderr. Asked after a failure: waits a moment for its end."""
        if self.command is None or self.said is None:
            return ""
        with contextlib.suppress(subprocess.TimeoutExpired):  # what it said so far is all there is
            self.command.wait(timeout=1)
        self.said.seek(0)
        return self.said.read(16 << 10).decode("utf-8", "backslashreplace").strip()

    def close(self) -> None:
        self.socket.close()
        if self.command is not None and self.command.poll() is None:
            self.command.kill()
            self.command.wait()
        if self.said is not None:
            self.said.close()


def dial(ssh: OpenSsh, hop: Hop, position: int, *, timeout_s: float) -> HopSocket:
    """Open a line to the hop at `position`.

    Raises:
        OSError: no TCP connection within `timeout_s`.
    """
    way = ssh.way_to(position)
    if way is None:
        return HopSocket(_tcp(hop.hostname, hop.port, timeout_s))
    ours, theirs = socket.socketpair()
    said = tempfile.TemporaryFile()  # noqa: SIM115 - the Line closes it
    try:
        command = subprocess.Popen(way, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=said)
    finally:
        theirs.close()
    return HopSocket(ours, command, said)


def look(ssh: OpenSsh, host: SshHost, hop: Hop, position: int, key_types: tuple[str, ...] = ()) -> HostKey:
    """The key that a hop proves to own, reached over the (trusted) hops before it; nobody logs in.

    Args:
        ssh: the way there.
        host: whose time-out counts, and whose name errors carry.
        hop, position: the machine that is asked, and its place on the way.
        key_types: ask for one of these; default: what both sides prefer.

    Raises:
        Unreachable, LoginRefused: it, or a hop before it, cannot be reached.
    """
    timeout_s, line = host.connect_timeout_s, None
    try:
        line = dial(ssh, hop, position, timeout_s=timeout_s)
        return _handshake(line.socket, timeout_s, key_types)
    except failures.CONNECTING as e:
        said = line.complaint() if line else ""
        raise failures.while_connecting(
            e, host=host.name, address=hop.address, timeout_s=timeout_s, said=said
        ) from e
    finally:
        if line is not None:
            line.close()


def _handshake(sock: socket.socket, timeout_s: float, key_types: tuple[str, ...]) -> HostKey:
    transport = paramiko.Transport(sock)
    try:
        transport.banner_timeout = timeout_s
        if key_types:
            transport.get_security_options().key_types = key_types
        transport.start_client(timeout=timeout_s)
        key = transport.get_remote_server_key()
        return HostKey(key.get_name(), key.asbytes())
    finally:
        transport.close()


class _Prompt(socket.socket):
    """A TCP socket that acknowledges at once what it has read.

    Linux waits 40 ms first. sshd says several things after a login, and its Nagle algorithm keeps the
    answer to our first question back until they are acknowledged: tcp(7), TCP_QUICKACK, which does not last.
    """

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        data = super().recv(size, flags)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # the next call says what is wrong with the line
                self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data


def _tcp(hostname: str, port: int, timeout_s: float) -> socket.socket:
    """Connect to the first address that answers, sharing the time out among those not yet tried."""
    addresses = socket.getaddrinfo(hostname, port, type=socket.SOCK_STREAM)
    deadline = time.monotonic() + timeout_s
    last: OSError = OSError(f"{hostname} has no address")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        share_s = max(0.1, (deadline - time.monotonic()) / (len(addresses) - tried))
        try:
            connected = _Prompt(family, kind, protocol)
        except OSError as e:  # this machine does not speak that family
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
