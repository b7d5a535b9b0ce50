"""Where a pod is now, as a program of the user's prints it: a provider's own command knows each move."""

from __future__ import annotations

import subprocess

from being_remote.errors import Unreachable
from being_remote.foreign_text import quote
from being_remote.inventory import SshHost, read_pasted_address

_ANSWER_S = 60.0
_MAX_BYTES = 4096


def find_address(host: SshHost) -> SshHost:
    """Return the host with the address, the port and the user that its `address_command` prints.

    It may print them as `ADDRESS PORT`, `ADDRESS:PORT` or `ssh USER@ADDRESS -p PORT`. What it leaves out
    is as the inventory says.

    Raises:
        Unreachable: it fails, prints something else, or takes more than a minute.
    """
    command = list(host.address_command)
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_S, check=False
        )
    except OSError as e:
        raise _failed(host, f"cannot be run: {e.strerror}") from e
    except subprocess.TimeoutExpired as e:
        raise _failed(host, f"did not end within {_ANSWER_S:g} s") from e
    if done.returncode != 0:
        raise _failed(host, f"ended with {done.returncode}: {quote(done.stderr)}")
    said = done.stdout[:_MAX_BYTES].decode("utf-8", "backslashreplace").strip()
    pasted = read_pasted_address(said) or read_pasted_address(" -p ".join(said.split()))
    user, address, port = pasted or (None, None, None)
    if address is None or not (port is None or 0 < port <= 65_535):
        raise _failed(host, f"must print ADDRESS PORT, but printed {quote(said)}")
    return host.model_copy(update={"address": address, "port": port or host.port, "user": user or host.user})


def _failed(host: SshHost, why: str) -> Unreachable:
    return Unreachable(
        f"address_command {host.address_command[0]!r} {why}",
        host=host.name,
        hint="run it by hand; it prints the pod's address and port, such as `203.0.113.10 19870`",
    )
