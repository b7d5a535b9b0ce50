"""How a host is reached: opens the `Session` that every other room is given.

Two stacks, one division: Fabric for bounded requests and their answers, OpenSSH for every stream
(rsync, many files in one, a followed log), and for requests where Paramiko cannot do what ssh can.
Both are fed from one resolution of the host (`ssh_config`) and one set of trusted keys (`host_keys`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # rsync's remote shell, which is in this room, starts without them
    from being_remote.inventory import Inventory, LocalHost, SshHost
    from being_remote.session import OpenSession, Session


def open_session(host: SshHost | LocalHost, inventory: Inventory, *, remember: bool = True) -> Session:
    """Connect to `host` and return the open session; close it, or use it in a `with`.

    Args:
        inventory: where the trusted keys live, and which ssh configuration is read.
        remember: copy what the user's own known_hosts says of the host into ours; False in a dry run.

    Raises:
        Unreachable: no answer within about `connect_timeout_s`.
        LoginRefused: the host answered and took none of our keys.
        HostKeyUnknown, HostKeyChanged: also for a jump host; the text names its address.
        ToolMissing: this laptop has no ssh.
    """
    if host.kind == "local":
        from being_remote.transport.local_session import LocalSession

        return LocalSession(host)
    from being_remote.transport.ssh_session import SshSession

    return SshSession.open(host, inventory, remember=remember)


def session_opener(inventory: Inventory, *, remember: bool = True) -> OpenSession:
    """`open_session` for the hosts of `inventory`, by their names."""
    return lambda name: open_session(inventory.host(name), inventory, remember=remember)
