"""The keys that are offered to a host, in OpenSSH's order, and no others.

Paramiko would offer every key of the agent first and run into the server's limit; Fabric ignores
IdentitiesOnly. A key file that the agent holds is used through the agent, so a passphrase is never needed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import paramiko

from being_remote.errors import LoginRefused, Unreachable
from being_remote.foreign_text import quote
from being_remote.transport.host_keys import parse_key
from being_remote.transport.ssh_config import Hop

_MAX_OFFERS = 5  # sshd hangs up at its MaxAuthTries, 6 by default


class Login:
    """Offers the hop's keys until one is taken. Paramiko calls it as it would an AuthStrategy."""

    def __init__(self, hop: Hop, host: str) -> None:
        self._hop, self._host = hop, host
        self._notes: list[str] = []

    def authenticate(self, transport: paramiko.Transport) -> list[str]:
        """Log in.

        Raises:
            LoginRefused: every key was refused; the text lists them.
            Unreachable: the link broke or fell silent.
        """
        with contextlib.ExitStack() as stack:
            for offered, (name, key) in enumerate(self._keys(stack)):
                if offered == _MAX_OFFERS:
                    self._notes.append("more keys were not offered: servers hang up after six")
                    break
                try:
                    return list(transport.auth_publickey(self._hop.user, key))
                except paramiko.BadAuthenticationType as e:
                    self._notes.append(f"the server takes only {quote(', '.join(e.allowed_types))}")
                    break
                except paramiko.AuthenticationException as e:
                    if "timeout" in str(e).lower():
                        raise Unreachable(
                            f"{self._hop.address} fell silent during the login", host=self._host
                        ) from e
                    self._notes.append(f"{name}: refused")
                    if not transport.is_active():
                        self._notes.append("the server hung up")
                        break
        tried = "; ".join(self._notes) or "no key to offer"
        raise LoginRefused(
            f"login refused for {self._hop.user}@{self._hop.address} ({tried})",
            host=self._host,
            hint="add the public key to the host's ~/.ssh/authorized_keys, or set `identity_file` "
            "(and `user`) in the inventory",
        )

    def _keys(self, stack: contextlib.ExitStack) -> Iterator[tuple[str, paramiko.PKey]]:
        agent_keys: dict[bytes, paramiko.PKey] = {}
        if self._hop.agent is None and os.environ.get("SSH_AUTH_SOCK"):
            agent = paramiko.Agent()
            stack.callback(agent.close)
            agent_keys = {key.asbytes(): key for key in agent.get_keys()}
        for path in self._hop.identity_files:
            agent_key = agent_keys.pop(_public_blob(path), None)
            key = agent_key or self._load(path)
            if key is not None:
                yield str(path), key
        if not self._hop.identities_only:
            yield from ((f"the agent's {key.get_name()} key", key) for key in agent_keys.values())

    def _load(self, path: Path) -> paramiko.PKey | None:
        try:
            return paramiko.PKey.from_path(path)
        except (paramiko.PasswordRequiredException, TypeError):  # TypeError is what from_path lets through
            self._notes.append(f"{path}: has a passphrase, and no agent holds it (ssh-add {path})")
        except OSError as e:
            self._notes.append(f"{path}: {e.strerror}")
        except (paramiko.SSHException, ValueError, paramiko.pkey.UnknownKeyType) as e:
            self._notes.append(f"{path}: cannot be used ({quote(str(e))})")
        return None


def _public_blob(path: Path) -> bytes:
    """The public half beside a private key, or in the file itself; b"" if there is none."""
    for file in (path.with_name(path.name + ".pub"), path):
        with contextlib.suppress(OSError, ValueError):
            return parse_key(file.read_text()).blob
    return b""  # then the file itself is loaded
