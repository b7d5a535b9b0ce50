"""The search of a host for bbox.pt: the limits, and the answer of `pod/box_search.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from being_remote.pod_client.encoded_names import NameBytes, PathBytes, decode
from being_remote.pod_client.runner import ask
from being_remote.session import Session
from being_remote.strict_model import StrictModel

LIMITS = {
    "depth": 24,
    "entries": 2_000_000,
    "candidates": 200,
    "folders": 64,
    "file_bytes": 64 << 10,
    "config_bytes": 16 << 10,
    "carried_bytes": 6 << 20,
}
MAX_CONFIGS = 8
Evidence = Literal["crop_images", "source_images", "landmarks", "meshes", "videos"]


Count = Annotated[int, Field(ge=0, le=1 << 62)]
Content = Annotated[bytes, BeforeValidator(decode), Field(max_length=LIMITS["file_bytes"])]
Reason = Annotated[str, Field(pattern=r"^[A-Z0-9_]{1,32}$")]
Moment = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]


class BoxFile(StrictModel):
    """Something named bbox.pt. `content` is there when it is a small regular file."""

    path: PathBytes
    what: Literal["file", "directory", "symlink", "other"]
    bytes: Count
    mtime_ns: Moment
    target: NameBytes | None
    content: Content | None
    problem: Reason | None


class FoundFrames(StrictModel):
    """A run's checkpoints: how many, their first and last id, the first one's content."""

    count: Count
    first: NameBytes
    last: NameBytes
    oldest_ns: Moment | None
    newest_ns: Moment | None
    content: Content | None
    problem: Reason | None


class FoundConfig(StrictModel):
    """A settings file beside a run."""

    path: PathBytes
    content: Content | None
    problem: Reason | None


class FoundFolder(StrictModel):
    """An actor's or a run's folder and what it holds."""

    path: PathBytes
    counts: dict[Evidence, Count]
    frames: FoundFrames | None
    configs: list[FoundConfig] = Field(max_length=MAX_CONFIGS)


class BoxSearchAnswer(StrictModel):
    """The whole answer of one host."""

    candidates: list[BoxFile] = Field(max_length=LIMITS["candidates"])
    folders: list[FoundFolder] = Field(max_length=LIMITS["folders"])
    missing_roots: list[PathBytes] = Field(max_length=64)
    unreadable: Count
    truncated: list[Annotated[str, Field(max_length=200)]] = Field(max_length=16)
    unfinished: list[PathBytes] = Field(max_length=128)
    entries: Count
    seconds: float = Field(ge=0, le=1e6, allow_inf_nan=False)
    python: str = Field(pattern=r"^[0-9.]{1,20}$")


def search_host(
    session: Session, request: Mapping[str, Any], *, python: str, timeout_s: float
) -> BoxSearchAnswer:
    """Search a host. Raises HostError without an answer, or for a malformed one."""
    payload = json.dumps(request).encode("ascii")
    return ask(
        session, "box_search", {}, BoxSearchAnswer, python=python, timeout_s=timeout_s, payload=payload
    )
