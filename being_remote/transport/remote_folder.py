"""What both kinds of session do on a host's disk."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from being_remote.errors import CommandFailed, NoSpace
from being_remote.foreign_text import quote
from being_remote.session import Session

# What a pod says of its own disk; never of ours.
_FULL = re.compile(rb"No space left on device|Disk quota exceeded")


def make_folder(session: Session, folder: PurePosixPath) -> None:
    """Make a folder on the host with all above it, unless it is there.

    Raises:
        CommandFailed: it cannot be made; the text says why.
        HostError: no answer.
    """
    result = session.run(["mkdir", "-p", "--", str(folder)], repeatable=True)
    if result.exit_code != 0:
        what = f"{str(folder)!r} cannot be made: {quote(result.stderr)}"
        raise CommandFailed(what, host=session.host, result=result)


def require_remote_space(message: bytes, place: str) -> None:
    """Raise NoSpace where a program that wrote to `place` ("host:folder") printed that the disk is full."""
    if _FULL.search(message):
        raise NoSpace(
            f"the remote disk is full, it says: {quote(message)}",
            file=place,
            hint="free some space on that disk, then run the command again: it resumes",
        )
