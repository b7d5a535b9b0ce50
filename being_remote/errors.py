"""Every error this package raises on purpose, as one tree with exit codes: docs/errors.md lists them.

Catch `HostError` to continue with the next host. `cli` turns a `BeingRemoteError` into text; anything
else that escapes is a bug and keeps its traceback. Stdlib only and Python 3.8: this module travels to
the pods with the readers that raise its errors.
"""

from __future__ import annotations

import shlex
from typing import Any, Sequence


class BeingRemoteError(Exception):
    """What happened, where, and what to do next; the parts stay attributes.

    Example:
        >>> print(NotFoundError("no bbox.pt", where="actor roman", hint="recover --from-images SRC"))
        actor roman: no bbox.pt
          next: recover --from-images SRC
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.hint = what, where, hint

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        # A path may hold line breaks, and only our own line may begin with "next:".
        head = "\n  | ".join(head.splitlines())
        return f"{head}\n  next: {' '.join(self.hint.splitlines())}" if self.hint else head


class UsageError(BeingRemoteError):
    """Invalid arguments."""

    exit_code = 2


class InventoryError(UsageError):
    """inventory.yaml is missing or wrong. Nothing was contacted."""


class InventoryUntrusted(BeingRemoteError):
    """The inventory that was found can run programs on this laptop and is not trusted."""

    exit_code = 4


class Busy(BeingRemoteError):
    """Another command holds a lock of this laptop; nothing was changed."""

    exit_code = 4


class NotFoundError(BeingRemoteError):
    """The thing asked for was not found; the text lists the places searched."""

    exit_code = 3


class HostError(BeingRemoteError):
    """A host was involved; `host` is its name in the inventory."""

    exit_code = 4

    def __init__(self, what: str, *, host: str, hint: str = "") -> None:
        super().__init__(what, where=host, hint=hint)
        self.host = host


def as_host_error(error: BeingRemoteError, host: str) -> HostError:
    """A fault of a host's entry in the inventory, as one that keeps no other host from answering."""
    return error if isinstance(error, HostError) else HostError(error.what, host=host, hint=error.hint)


class Unreachable(HostError):
    """No connection: name look-up failed, refused, no route, or no banner in time."""


class LoginRefused(HostError):
    """The host answered and refused every key we offered, or its login runs no commands."""


class HostKeyUnknown(HostError):
    """The host showed a key that is not trusted yet."""

    def __init__(self, *, host: str, address: str, fingerprint: str) -> None:
        super().__init__(
            f"{address} shows a host key that is not trusted yet: {fingerprint}",
            host=host,
            hint="compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on the"
            f" pod's console, then `being-remote trust --host {host} --fingerprint {fingerprint}`",
        )
        self.address, self.fingerprint = address, fingerprint


class HostKeyChanged(HostError):
    """The host showed another key than the trusted one: a new pod, or an attack."""

    def __init__(self, *, host: str, address: str, trusted: str, shown: str) -> None:
        super().__init__(
            f"{address} shows the host key {shown}, but {trusted} is trusted",
            host=host,
            hint="a new pod has a new key; if it is new, "
            f"`being-remote trust --host {host} --fingerprint {shown}`; else do not connect",
        )
        self.address, self.trusted, self.shown = address, trusted, shown


class ConnectionLost(HostError):
    """The connection broke during a request. Whether the request was carried out is unknown."""


class AnswerTimeout(HostError):
    """The host is connected but did not answer in time; the outcome is unknown."""


class CommandFailed(HostError):
    """A command failed on the host. `result` is a `session.Result`."""

    def __init__(self, what: str, *, host: str, result: Any, hint: str = "") -> None:
        super().__init__(what, host=host, hint=hint)
        self.result = result


class ToolMissing(HostError):
    """The host lacks a program that the request needs."""

    def __init__(self, *, host: str, tool: str, hint: str) -> None:
        super().__init__(f"{tool} is missing", host=host, hint=hint)
        self.tool = tool


class DuplicateJob(HostError):
    """Another ledger's job with the same settings may be at work on the host; nothing was started.

    `other` is its id.
    """

    def __init__(self, *, host: str, other: str) -> None:
        super().__init__(
            f"{other} of another ledger has the same settings and may be at work; nothing was started",
            host=host,
            hint=f"logs {other} --take-over --follow makes it yours; --again starts this one beside it",
        )
        self.other = other


class HostNotReady(HostError):
    """The host lacks what the job needs: nothing was sent. `problems` are doctor's sentences."""

    def __init__(self, problems: Sequence[str], *, host: str) -> None:
        super().__init__(
            f"the job cannot run there, so nothing was sent: {'; '.join(problems)}",
            host=host,
            hint=f"correct that (doctor --host {host}), or use another host",
        )
        self.problems = tuple(problems)


class MalformedAnswer(HostError):
    """An answer that our program cannot have printed. Nothing of it is used."""


class DataError(BeingRemoteError):
    """A file was refused or quarantined; `file` names it."""

    exit_code = 6

    def __init__(self, what: str, *, file: str, hint: str = "") -> None:
        super().__init__(what, where=file, hint=hint)
        self.file = file


class UnsafeFile(DataError):
    """The file holds more than plain data; it was not opened further."""


class UnrequestedFile(DataError):
    """A host named a file that was not requested. Nothing of that answer is used.

    `file` is that name, quoted; `host` the host's name in the inventory.
    """

    def __init__(self, file: str, *, host: str) -> None:
        super().__init__(
            f"named {file}, which was not requested; nothing of that answer is used",
            file=file,
            hint=f"do not trust {host}: something else than our program answers",
        )
        self.host = self.where = host


class TornFile(DataError):
    """The file is cut short or damaged."""


class InconsistentData(DataError):
    """The files are readable but contradict each other."""


class NoSpace(DataError):
    """A disk is full, local or on the host that the text names. Older files are untouched."""


class HostDiskFull(NoSpace, HostError):
    """The disk of a host, or a quota on it, is full; `file` is "HOST:PATH". Other hosts are not concerned."""

    def __init__(self, what: str, *, host: str, path: str) -> None:
        look = f"df -h {shlex.quote(path)}" if path else "df -h"
        BeingRemoteError.__init__(
            self,
            what,
            hint=f"free some space on that disk ({look} on {host}; a quota may be smaller),"
            " then run the command again",
        )
        self.host, self.file = host, f"{host}:{path}"


class Interrupted(BeingRemoteError):
    """Ctrl-C."""

    exit_code = 130
