"""Ask a host to remove a job's folder and to leave a tombstone: the client of `pod/forget.py`."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from being_remote.pod_client.runner import ask
from being_remote.session import Session
from being_remote.strict_model import StrictModel


class ForgetAnswer(StrictModel):
    """What a forget came to, and how many bytes the job's files took."""

    forget: Literal["forgotten", "absent", "busy", "newer", "elsewhere"]
    bytes: Annotated[int, Field(ge=0, le=1 << 60)]


def forget_on_host(
    session: Session,
    python: str,
    workdir: PurePosixPath,
    job: str,
    *,
    attempt: int,
    volume: str | None,
    dry_run: bool,
) -> ForgetAnswer:
    """Remove the job's folder; repeating it does no harm.

    Args:
        attempt: the newest one that is known; a later one is left alone.
        volume: the disk on which the job lies.

    Raises:
        HostError: no answer; whether it was removed is unknown.
    """
    request = {
        "workdir": str(workdir),
        "job": job,
        "attempt": attempt,
        "volume": volume,
        "dry_run": dry_run,
    }
    return ask(session, "forget", request, ForgetAnswer, python=python)
