"""What `sync` asks of a host, and what it believes of the answer.

The request names folders and patterns; the answer of `pod/listing.py` is parsed as what a stranger
wrote: strictly, every size bounded, nothing missing and nothing more.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from being_remote.errors import HostError
from being_remote.jobs.programs import ask_alone, odd_form
from being_remote.session import Session

MAX_ANSWER_BYTES = 64 << 20
# Hashing over there reads every byte; slower disks than this are rare.
HASHED_BYTES_PER_S = 20e6

_Count = Annotated[int, Field(ge=0, le=1 << 50)]
_Time = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Folder:
    """One folder to list; `pattern` is a glob over the paths below it, `top` a folder above or itself."""

    top: PurePosixPath
    path: PurePosixPath
    pattern: str
    recursive: bool


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Incarnation(_Strict):
    """What tells one start of a container from the next; None where it could not be told."""

    boot_id: Annotated[str, Field(max_length=64)] | None
    pid_namespace: _Count | None


class Listed(_Strict):
    """One folder's plain files as (name, bytes, mtime_ns, sha256), and what was passed over."""

    exists: bool
    error: Annotated[str, Field(max_length=10_000)] | None
    files: list[tuple[Base64Bytes, _Count, _Time, _Sha256 | None]]
    skipped: Annotated[list[tuple[Base64Bytes, Literal["link", "special"]]], Field(max_length=100)]


class Listing(_Strict):
    """The answer, one `Listed` for each folder asked for."""

    incarnation: Incarnation
    folders: list[Listed]


def list_files(
    session: Session, python: str, folders: Sequence[Folder], *, hash_bytes: int | None = None
) -> Listing:
    """List `folders` in one round trip.

    Args:
        session: an open way to the host.
        python: the host's Python, 3.8 or newer.
        folders: what to list.
        hash_bytes: None: names, sizes and times. Else the files are hashed over there, too, which
            may take as long as so many bytes need.

    Raises:
        ToolMissing: that Python is not there.
        CommandFailed: it ended with an error.
        HostError: its answer is not one; nothing of it is believed.
    """
    request = {
        "hash": hash_bytes is not None,
        "folders": [
            {"path": _b64(str(f.path)), "pattern": _b64(f.pattern), "recursive": f.recursive} for f in folders
        ],
    }
    said = ask_alone(
        session,
        "listing",
        request,
        python=python,
        what="its files could not be listed",
        timeout_s=None if hash_bytes is None else 60 + hash_bytes / HASHED_BYTES_PER_S,
        limit=MAX_ANSWER_BYTES,
    )
    try:
        listing = Listing.model_validate_json(said)
    except ValidationError as e:
        raise odd_form(session.host, "its list of files", e) from e
    if len(listing.folders) != len(folders):
        raise HostError("its list of files has another number of folders than asked", host=session.host)
    return listing


def _b64(text: str) -> str:
    return base64.b64encode(os.fsencode(text)).decode("ascii")
