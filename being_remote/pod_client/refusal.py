"""What a host's system refused a program of ours, as the program said it, and the error for it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from being_remote.errors import CommandFailed, HostDiskFull, HostError, ToolMissing
from being_remote.foreign_text import printable, quote
from being_remote.pod import os_problem
from being_remote.session import Result
from being_remote.strict_model import StrictModel

_OLD_PYTHON = re.compile(rb"Python ([0-9]{1,2}\.[0-9]{1,3})\s*\Z")
_NO_MODULE = re.compile(rb"(?:ModuleNotFound|Import)Error: (.+)")
_NO_ISOLATION = re.compile(rb"Unknown option: -I")  # Python 2
_PYTHON_HINT = (
    "install Python 3.8 or newer on the host (apt-get install python3), or set `python` in the inventory"
)
_HINTS = {
    "EIO": "the host's disk fails: sync what matters, and go on with another pod",
    "ESTALE": "mount the network disk again, then run the command again",
    "ENOLCK": "let that folder be on a disk of the machine itself (of root: /var/lib/being-remote; of others:"
    " ~/.being-remote-locks; else /tmp)",
    "EROFS": "mount the disk for writing again, or use another `workdir`",
    "EACCES": "check the owner and the rights of that folder on the host, or use another `workdir`",
    "EPERM": "check the owner and the rights of that folder on the host, or use another `workdir`",
    "EMFILE": "raise `ulimit -n` on the host, then run the command again",
    "ENFILE": "end programs on the host that hold many files open, then run the command again",
    "ENOMEM": "end programs on the host that need much memory, then run the command again",
    "EAGAIN": "raise `ulimit -u` on the host, or end programs there, then run the command again",
}


class SystemRefusal(StrictModel):
    """What a host's system refused: an errno's name, and the path, "" without one."""

    errno: Annotated[str, Field(pattern=r"^E[A-Z0-9]{1,20}$")]
    path: Annotated[str, Field(max_length=400), AfterValidator(printable)]

    def in_words(self, host: str = "") -> str:
        return os_problem.in_words(self.errno, self.path, host)

    def full_disk(self, host: str, outcome: str) -> HostDiskFull | None:
        """The error for a full disk, with what became of the request; None for any other refusal."""
        if self.errno not in os_problem.FULL:
            return None
        return HostDiskFull(f"{self.in_words(host)}; {outcome}", host=host, path=self.path)


def find_error(result: Result, task: str, python: str) -> HostError | None:
    """The error for a program that could not run, or that the system refused something; None for any other.

    Args:
        task: what it did: "listing files".
        python: the host's Python.
    """
    host = result.host
    if result.exit_code in (126, 127):
        return ToolMissing(host=host, tool=repr(python), hint=_PYTHON_HINT)
    old = _OLD_PYTHON.search(result.stderr) if result.exit_code == 1 else None
    version = old.group(1).decode() if old else "2"
    if old or (result.exit_code == 2 and _NO_ISOLATION.search(result.stderr)):
        tool = f"Python 3.8 or newer ({python!r} is {version})"
        return ToolMissing(host=host, tool=tool, hint=_PYTHON_HINT)
    last = result.stderr.rstrip().rpartition(b"\n")[2]
    missing = _NO_MODULE.match(last)
    if result.exit_code == 1 and missing:
        tool = f"a module of {python!r} ({quote(missing.group(1))})"
        return ToolMissing(host=host, tool=tool, hint="set `python` in the inventory to a complete Python")
    if result.exit_code != os_problem.EXIT_CODE:
        return None
    try:
        refusal = SystemRefusal.model_validate_json(last)
    except ValidationError:
        return None
    hint = _HINTS.get(refusal.errno, f"run doctor --host {host}")
    failed = CommandFailed(f"{task} failed: {refusal.in_words()}", host=host, result=result, hint=hint)
    return refusal.full_disk(host, f"{task} stopped") or failed
