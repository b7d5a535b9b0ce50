"""One connection to a host through Fabric, made again when it broke; every host key on the way is checked.

Fabric accepts any host key, loads the user's ssh_config by its own rules and lets channels wait an
hour. All of that is replaced here by explicit values.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import fabric
import paramiko
from paramiko.hostkeys import HostKeyEntry

from being_remote.errors import HostError, HostKeyUnknown, Unreachable
from being_remote.inventory import SshHost
from being_remote.transport import ssh_errors
from being_remote.transport.hop_socket import HopSocket, dial, read_host_key
from being_remote.transport.host_keys import HostKey, require_trusted
from being_remote.transport.login_keys import Login
from being_remote.transport.openssh import OpenSsh
from being_remote.transport.retry import retrying
from being_remote.transport.ssh_config import Hop

_KEEPALIVE_S = 15


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
                attempt = retrying(
                    self._host.name, again=lambda e: isinstance(e, Unreachable), total_s=total_s
                )
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
