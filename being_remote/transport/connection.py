"""One connection to a host through Fabric, made again when it broke; every host key on the way is checked.

Fabric accepts any host key, loads the user's ssh_config by its own rules and lets channels wait an
hour. All of that is replaced here by explicit values. SSH is spoken on a TCP socket, or on the stdin and
stdout of a command (`ssh -W`, or the user's own ProxyCommand) behind a socket pair, so that time-outs work
on it as on any socket.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

import fabric
import paramiko
import tenacity
from paramiko.hostkeys import HostKeyEntry

from being_remote.errors import HostError, HostKeyUnknown, Unreachable
from being_remote.inventory import SshHost
from being_remote.transport import ssh_errors
from being_remote.transport.host_keys import HostKey, require_trusted
from being_remote.transport.login_keys import Login
from being_remote.transport.openssh import OpenSsh
from being_remote.transport.ssh_config import Hop

log = logging.getLogger("being_remote")

_ATTEMPTS = 3

# In paramiko's spelling. A host may have one of each, and its console may print any of them.
KEY_TYPES = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
_KEEPALIVE_S = 15


def retrying(
    host: str, *, again: Callable[[BaseException], bool], total_s: float, first_wait_s: float = 0.2
) -> tenacity.Retrying:
    """Call a function through the result, up to three times: `retrying(...)(function, argument)`.

    Args:
        again: says whether an error is worth another attempt; all others pass at once.
        total_s: no new attempt once so much time has passed.
        first_wait_s: the first wait; it doubles each time, with jitter.
    """

    def log_failure(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        what, wait_s = getattr(error, "what", error), state.upcoming_sleep
        log.info("%s: attempt %d failed: %s; retrying in %.1f s", host, state.attempt_number, what, wait_s)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(again),
        stop=tenacity.stop_after_attempt(_ATTEMPTS) | tenacity.stop_before_delay(total_s),
        wait=tenacity.wait_exponential(multiplier=first_wait_s, max=5.0)
        + tenacity.wait_random(0, first_wait_s),
        before_sleep=log_failure,
        reraise=True,
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
    except paramiko.ssh_exception.IncompatiblePeer as e:
        key, message = ssh.read_host_key(position, key_types)
        if key is None:
            raise ssh_errors.from_stderr(message, host=host.name, address=hop.address) from e
        return key
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


class Connection:
    """The one connection of a session. Thread-safe."""

    def __init__(
        self, host: SshHost, hops: Sequence[Hop], keys: Sequence[Sequence[HostKey]], ssh: OpenSsh
    ) -> None:
        self._host, self._hops, self._keys, self._ssh = host, hops, keys, ssh
        self._lock = threading.Lock()
        self._fabric: fabric.Connection | None = None
        self._socket: HopSocket | None = None
        self._closed = False

    def transport(self) -> paramiko.Transport:
        """A live transport: the present one, or a new one if it broke. Raises as `open_session`."""
        with self._lock:
            if self._closed:
                raise ValueError("the session is closed")
            transport = self._fabric.transport if self._fabric is not None else None
            if transport is None or not transport.is_active():
                self._disconnect()
                # A host that stayed silent for all the time allowed is not retried.
                total_s = self._host.connect_timeout_s / 2
                attempt = retrying(self._host.name, again=lambda e: type(e) is Unreachable, total_s=total_s)
                transport = attempt(self._connect)
            return transport

    def _connect(self) -> paramiko.Transport:
        timeout_s, last = self._host.connect_timeout_s, len(self._hops) - 1
        target = self._hops[last]
        for position, keys in enumerate(self._keys[:-1]):
            if not keys:
                self.require_trusted_hops(position + 1)
        try:
            self._socket = dial(self._ssh, target, last, timeout_s=timeout_s)
            self._fabric = connection = fabric.Connection(
                target.hostname,
                user=target.user,
                port=target.port,
                forward_agent=False,
                config=fabric.Config(ssh_config=paramiko.SSHConfig(), lazy=True),
                connect_kwargs={
                    "sock": self._socket.socket,
                    "timeout": timeout_s,
                    "banner_timeout": timeout_s,
                    "auth_timeout": timeout_s,
                    "channel_timeout": timeout_s,
                    "auth_strategy": Login(target, self._host.name),
                },
            )
            self._pin_keys(connection, target, self._keys[-1])
            connection.open()
        except HostError:
            self._disconnect()
            raise
        except ssh_errors.CONNECTING as e:
            message = self._socket.read_stderr() if self._socket else ""
            self._disconnect()
            if ssh_errors.is_about_host_keys(message):
                self.require_trusted_hops(last)
            raise ssh_errors.while_connecting(
                e, host=self._host.name, address=target.address, timeout_s=timeout_s, message=message
            ) from e
        transport = connection.client.get_transport()
        transport.set_keepalive(_KEEPALIVE_S)
        assert isinstance(transport, paramiko.Transport)
        return transport

    def _pin_keys(self, connection: fabric.Connection, target: Hop, keys: Sequence[HostKey]) -> None:
        """Replace Fabric's policy, which accepts every key, by ours; the pinned type is negotiated."""
        connection.client.set_missing_host_key_policy(_RefuseUnknownKeys(self._host.name, target.address))
        # The name under which paramiko looks, whatever known_hosts calls the machine.
        name = target.hostname if target.port == 22 else f"[{target.hostname}]:{target.port}"
        for key in keys:
            entry = HostKeyEntry.from_line(f"{name} {key.line}")
            if entry is not None and entry.key is not None:  # None: a type that paramiko does not know
                connection.client.get_host_keys().add(name, entry.key.get_name(), entry.key)

    def require_trusted_hops(self, count: int) -> None:
        """Ask the first `count` hops for their keys; raise at the first that is not trusted."""
        for position, (hop, keys) in enumerate(list(zip(self._hops, self._keys, strict=True))[:count]):
            shown = read_host_key(self._ssh, self._host, hop, position)
            require_trusted(keys, shown, host=self._host.name, address=hop.address)

    def close(self) -> None:
        """Close the connection; it is not made again."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def _disconnect(self) -> None:
        if self._fabric is not None:
            self._fabric.client.close()
            self._fabric = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class _RefuseUnknownKeys(paramiko.MissingHostKeyPolicy):
    def __init__(self, host: str, address: str) -> None:
        self._host, self._address = host, address

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        shown = HostKey.of(key)
        raise HostKeyUnknown(host=self._host, address=self._address, fingerprint=shown.fingerprint)
