"""`ssh`: a shell on a host, with the login and the host keys of every other command."""

from __future__ import annotations

import subprocess

from being_remote.errors import HostError, UsageError
from being_remote.inventory import Inventory, LocalHost
from being_remote.transport.connection import Connection
from being_remote.transport.host_keys import KnownHosts, trusted_keys
from being_remote.transport.openssh import OpenSsh
from being_remote.transport.ssh_config import resolve

_SSH_FAILED = 255


def open_shell(inventory: Inventory, name: str | None) -> int:
    """Open a shell on a host in this terminal, and return the shell's exit code.

    Args:
        name: the host; None: the only one.

    Raises:
        UsageError: the host is this machine.
        HostKeyUnknown: no key of the host, or of one on the way, is trusted yet.
        HostError: ssh could not log in, and has printed why.
    """
    host = inventory.the_host(name)
    if isinstance(host, LocalHost):
        raise UsageError(f"{host.name!r} is this machine", where=str(inventory.path))
    hops = resolve(host, inventory)
    keys = trusted_keys(hops, host, inventory.path, KnownHosts(inventory.state), remember=True)
    ssh = OpenSsh(hops, keys, connect_timeout_s=host.connect_timeout_s)
    try:
        if not all(keys):
            Connection(host, hops, keys, ssh).require_trusted_hops(len(hops))
        code = subprocess.run([*ssh.shell, "--", ssh.target], check=False).returncode
    finally:
        ssh.close()
    if code == _SSH_FAILED:
        raise HostError(
            "ssh ended with 255: no login, or the connection was lost",
            host=host.name,
            hint=f"being-remote doctor --host {host.name}",
        )
    return code if code >= 0 else 128 - code  # as a shell says that a signal ended it
