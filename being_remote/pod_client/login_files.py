"""Which file of a host's logins prints something, as `pod/login_files.py` found it."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from being_remote.foreign_text import one_line
from being_remote.pod.login_files import SHELL_FILES
from being_remote.pod_client.runner import ask
from being_remote.session import Session
from being_remote.strict_model import StrictModel

_Path = Annotated[str, Field(max_length=1_000), AfterValidator(one_line)]
# Other shells read this line differently, and sshd's files are no place to return from.
_GUARDED = {PurePosixPath(path).name for shell in ("bash", "zsh") for path in SHELL_FILES[shell]}
_WITH_GUARD = ", with `case $- in *i*) ;; *) return;; esac` as its first line"
_Bytes = Annotated[int, Field(ge=1, le=1 << 20)]


class _LoginFiles(StrictModel):
    files: list[Annotated[tuple[_Path, _Bytes], Field(strict=False)]] = Field(max_length=20)


def find_printing_files(session: Session, python: str) -> tuple[str, ...]:
    """Return a sentence for each file that prints when a command logs in. Raises HostError."""
    found = ask(session, "login_files", {}, _LoginFiles, python=python)
    return tuple(
        f"{path!r} prints {size} bytes at each login: let it print only in a terminal"
        + (_WITH_GUARD if PurePosixPath(path).name in _GUARDED else "")
        for path, size in found.files
    )
