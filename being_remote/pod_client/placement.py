"""The client of `pod/placement.py`: what is at the places of files, and staged files put into them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from being_remote.pace import READ_BYTES_PER_S
from being_remote.pod_client.encoded_names import encode
from being_remote.pod_client.runner import ask, malformed_answer
from being_remote.session import Session
from being_remote.strict_model import StrictModel

STAGE = ".being-remote-push"
MAX_FILES = 500_000

State = Literal["same", "absent", "different", "link", "folder", "special", "behind"]
_Count = Annotated[int, Field(ge=0, le=1 << 62)]


@dataclass(frozen=True)
class UploadFile:
    """One file to put at `name` (bytes, below the folder) on the host."""

    name: bytes
    size: int
    sha256: str
    executable: bool


class PlacementStatus(StrictModel):
    """What is at the places; see `pod/placement.py`."""

    files: Annotated[list[State], Field(max_length=MAX_FILES)]
    staged_bytes: _Count
    left_over_bytes: _Count
    free_bytes: _Count
    beside: Annotated[list[_Count], Field(max_length=MAX_FILES)]


def ask_place(
    session: Session,
    python: str,
    do: Literal["look", "place"],
    into: PurePosixPath,
    wanted: Sequence[UploadFile],
    beside: Sequence[str],
) -> PlacementStatus:
    """Look at the places of `wanted` below `into`, or put the staged files there; both are idempotent.

    Raises:
        CommandFailed: the host's disk refused; the message quotes it.
        HostError: no answer, or a malformed one.
    """
    request = {
        "do": do,
        "into": encode(into),
        "stage": encode(into / STAGE),
        "beside": [encode(name) for name in beside],
    }
    rows = [[encode(w.name), w.size, w.sha256, w.executable] for w in wanted]
    status = ask(
        session,
        "placement",
        request,
        PlacementStatus,
        python=python,
        timeout_s=60 + 2 * sum(w.size for w in wanted) / READ_BYTES_PER_S,
        payload=json.dumps(rows).encode("ascii"),
    )
    if (len(status.files), len(status.beside)) != (len(wanted), len(beside)):
        raise malformed_answer(session.host, "placement", "another number of files than asked for")
    return status
