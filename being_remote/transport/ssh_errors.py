"""Errors of paramiko, sockets and ssh turned into ours."""

from __future__ import annotations

import logging
import re
import socket

import paramiko

from being_remote.errors import HostError, HostKeyChanged, LoginRefused, Unreachable
from being_remote.foreign_text import quote
from being_remote.transport.host_keys import HostKey

# Paramiko logs a traceback for each link that breaks; our errors report the same.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

# Everything that a connection attempt may raise; a test walks through paramiko's own exceptions.
CONNECTING = (paramiko.SSHException, OSError, EOFError)

_HOST_KEY = re.compile("HOST IDENTIFICATION HAS CHANGED|Host key verification failed|host key is known")
_SILENCE = re.compile("timed out|timeout", re.IGNORECASE)


class NothingInCommon(Unreachable):
    """Paramiko and the server share no algorithm; OpenSSH has more of them."""


def while_connecting(
    error: BaseException, *, host: str, address: str, timeout_s: float, message: str
) -> HostError:
    """The error of a failed connection; `message` is the proxy command's stderr."""
    if isinstance(error, paramiko.BadHostKeyException):
        return HostKeyChanged(
            host=host,
            address=address,
            trusted=HostKey.of(error.expected_key).fingerprint,
            shown=HostKey.of(error.key).fingerprint,
        )
    if message:
        return from_stderr(message, host=host, address=address)
    if isinstance(error, paramiko.AuthenticationException):
        return LoginRefused(f"login refused by {address}: {quote(str(error))}", host=host, hint=_KEYS)
    if isinstance(error, socket.gaierror):
        return Unreachable(f"cannot resolve {address}: {error.strerror}", host=host, hint="check `address`")
    if isinstance(error, ConnectionRefusedError):
        return Unreachable(
            f"{address} refuses the connection",
            host=host,
            hint="check that the pod runs, and its current port",
        )
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return NothingInCommon(f"{address}: {quote(str(error))}", host=host, hint="try ssh -v by hand")
    if _timed_out(error):
        return Unreachable(
            f"{address} did not answer within {timeout_s:g} s",
            host=host,
            hint="check that the pod runs; connect_timeout_s in the inventory sets how long to wait",
        )
    hung_up = isinstance(error, (ConnectionError, EOFError)) or isinstance(error.__context__, EOFError)
    return Unreachable(
        f"{address} hung up at once"
        if hung_up
        else f"{address}: {quote(str(error) or type(error).__name__)}",
        host=host,
        hint="check that an SSH server listens on that port",
    )


def from_stderr(message: str, *, host: str, address: str) -> HostError:
    """The error for what the system's ssh wrote to stderr."""
    last = quote(message.strip().rpartition("\n")[2])
    if "Permission denied" in message or "Too many authentication failures" in message:
        return LoginRefused(f"on the way to {address}: {last}", host=host, hint=_KEYS)
    return Unreachable(f"on the way to {address}: {last}", host=host, hint="try ssh -v by hand")


def is_about_host_keys(message: str) -> bool:
    """Whether ssh stopped because of a host key."""
    return _HOST_KEY.search(message) is not None


_KEYS = "add the public key to the host's ~/.ssh/authorized_keys, or set `identity_file` in the inventory"


def _timed_out(error: BaseException) -> bool:
    # paramiko's start_client returns when the time is up, and the next call finds no session;
    # its banner time-out is an SSHException with the socket's one as its cause, or in its text.
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, TimeoutError) or _SILENCE.search(str(chain)):
            return True
        chain = chain.__cause__ or chain.__context__
    return "No existing session" in str(error)
