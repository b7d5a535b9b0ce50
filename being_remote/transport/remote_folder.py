"""Folders over there."""

from __future__ import annotations

from pathlib import PurePosixPath

from being_remote.errors import CommandFailed
from being_remote.foreign_text import quote
from being_remote.session import Session


def make_folder(session: Session, folder: PurePosixPath) -> None:
    """Make a folder on the host with all above it; one that is there is left as it is.

    Raises:
        CommandFailed: it cannot be made; the text says why.
        HostError: no answer.
    """
    result = session.run(["mkdir", "-p", "--", str(folder)], repeatable=True)
    if result.exit_code != 0:
        what = f"{str(folder)!r} cannot be made: {quote(result.stderr)}"
        raise CommandFailed(what, host=session.host, result=result)
