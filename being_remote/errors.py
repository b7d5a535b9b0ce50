"""Every error this package raises on purpose, as one tree; each class has its exit code.

    BeingRemoteError
    ├── UsageError             the command line asks for something that cannot be meant    2
    │   └── InventoryError     inventory.yaml is missing or wrong; nothing was contacted   2
    ├── InventoryUntrusted     inventory.yaml can run programs, and nobody allowed it      4
    ├── NotFoundError          the thing asked for is nowhere; says where was looked       3
    ├── HostError              a host was involved; carries .host                          4
    │   ├── Unreachable        no session: DNS, refused, no route, the banner timed out
    │   ├── LoginRefused       the host answered and refused every key
    │   ├── HostKeyUnknown     never seen this key; carries .fingerprint
    │   ├── HostKeyChanged     another key than the one trusted; carries both
    │   ├── ConnectionLost     a session died under a request: its outcome is unknown
    │   ├── AnswerTimeout      the session lives but the answer did not come in time
    │   ├── CommandFailed      a command ran to its end and said no; carries .result
    │   ├── ToolMissing        the host lacks a program that we need; carries .tool
    │   └── MalformedAnswer    something else than our program answered; nothing of it is used
    ├── DataError              files were refused or set aside; carries .file              6
    │   ├── UnsafeFile         more than plain data: it was not opened further
    │   ├── UnrequestedFile    a host named a file that was not asked for; carries .host
    │   ├── TornFile           cut short or damaged
    │   ├── InconsistentData   readable, but the parts contradict each other
    │   └── NoSpace            a disk is full, here or on the host named; what was safe stays
    └── Interrupted            Ctrl-C                                                    130

Exit code 1 is left to bugs, and 5 to jobs. Stdlib only and Python 3.8: this module travels to the
pods with the readers that raise its errors.

Catch `HostError` to go on with the next host; `BeingRemoteError` is turned into text once, in
`cli`. Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

from typing import Any


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
        # A path or a program's words may hold line breaks: no line but ours may begin with "next:".
        head = "\n  | ".join(head.splitlines())
        return f"{head}\n  next: {' '.join(self.hint.splitlines())}" if self.hint else head


class UsageError(BeingRemoteError):
    """The command line asks for something that cannot be meant."""

    exit_code = 2


class InventoryError(UsageError):
    """inventory.yaml is missing or wrong. Nothing was contacted."""


class InventoryUntrusted(BeingRemoteError):
    """The inventory that was found can run programs on this laptop, and nobody allowed it."""

    exit_code = 4


class NotFoundError(BeingRemoteError):
    """The thing asked for is nowhere; the text says where was looked."""

    exit_code = 3


class HostError(BeingRemoteError):
    """A host was involved; `host` is its name in the inventory."""

    exit_code = 4

    def __init__(self, what: str, *, host: str, hint: str = "") -> None:
        super().__init__(what, where=host, hint=hint)
        self.host = host


class Unreachable(HostError):
    """No session came about: name look-up, refused, no route, or no banner in time."""


class LoginRefused(HostError):
    """The host answered and refused every key we offered."""


class HostKeyUnknown(HostError):
    """The host showed a key that was never trusted."""

    def __init__(self, *, host: str, address: str, fingerprint: str) -> None:
        super().__init__(
            f"{address} shows a host key that is not trusted yet: {fingerprint}",
            host=host,
            hint="compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on the"
            f" pod's console, then `being-remote trust --host {host} --fingerprint {fingerprint}`",
        )
        self.address, self.fingerprint = address, fingerprint


class HostKeyChanged(HostError):
    """The host showed another key than the one trusted: a new pod, or somebody between."""

    def __init__(self, *, host: str, address: str, trusted: str, shown: str) -> None:
        super().__init__(
            f"{address} shows the host key {shown}, but {trusted} is trusted",
            host=host,
            hint="a pod made anew has a new key; if that is so, "
            f"`being-remote trust --host {host} --fingerprint {shown}`. Else do not connect",
        )
        self.address, self.trusted, self.shown = address, trusted, shown


class ConnectionLost(HostError):
    """The session died under a request. Whether the request was carried out is unknown."""


class AnswerTimeout(HostError):
    """The session lives but the answer did not come in time; the outcome is unknown."""


class CommandFailed(HostError):
    """A command ran to its end and reported failure. `result` is a `session.Result`."""

    def __init__(self, what: str, *, host: str, result: Any, hint: str = "") -> None:
        super().__init__(what, host=host, hint=hint)
        self.result = result


class ToolMissing(HostError):
    """The host lacks a program that the request needs."""

    def __init__(self, *, host: str, tool: str, hint: str) -> None:
        super().__init__(f"{tool} is not there", host=host, hint=hint)
        self.tool = tool


class MalformedAnswer(HostError):
    """An answer that our program cannot have printed. Nothing of it is used."""


class DataError(BeingRemoteError):
    """A file was refused or set aside; `file` names it."""

    exit_code = 6

    def __init__(self, what: str, *, file: str, hint: str = "") -> None:
        super().__init__(what, where=file, hint=hint)
        self.file = file


class UnsafeFile(DataError):
    """The file holds more than plain data. It was not opened further."""


class UnrequestedFile(DataError):
    """A host named a file that was not asked for. Nothing of that answer is used.

    `file` is that name, quoted; `host` the host's name in the inventory.
    """

    def __init__(self, file: str, *, host: str) -> None:
        super().__init__(
            f"named {file}, which was not asked for; nothing of that answer is used",
            file=file,
            hint=f"do not trust {host}: something there answers in the place of our program",
        )
        self.host = self.where = host


class TornFile(DataError):
    """The file is cut short or damaged."""


class InconsistentData(DataError):
    """The files are readable but contradict each other."""


class NoSpace(DataError):
    """A disk is full, here or on the host that the text names. What was safe before is untouched."""


class Interrupted(BeingRemoteError):
    """Ctrl-C."""

    exit_code = 130
