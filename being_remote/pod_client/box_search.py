"""What find-bbox asks of a host, and what it believes of the answer.

The request tells `pod/box_search.py` the tracker's names and the bounds; the answer is parsed as what
a stranger wrote: strictly, every size bounded, nothing missing and nothing more.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from being_remote.inventory import Actor
from being_remote.pod_client.runner import looking_text
from being_remote.tracker import layout

MAX_ANSWER_BYTES = 16 << 20

PICTURES = (".png", ".jpg", ".jpeg")
_FRAME_SUFFIX = ".frame"
# Where each kind of evidence lies below a run's, an actor's or a backup's folder.
_PLACES: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "crop_images": [(name, PICTURES) for name in (layout.CROPS, layout.IMAGES, "run/" + layout.CROPS)],
    "source_images": [(layout.SOURCE, PICTURES)],
    "landmarks": [
        (folder + name, (".npy",)) for folder in ("", "actor/") for name in (layout.KPT, layout.KPT_DENSE)
    ],
    "meshes": [(layout.MESH, (".ply",)), ("run/" + layout.MESH, (".ply",))],
    "videos": [("", (".mp4", ".mov", ".avi", ".mkv"))],
}
# What the tracker may have written elsewhere, where the input's own path holds the word "source".
_DERIVED = (
    (layout.IMAGES, "crop_images", PICTURES),
    (layout.KPT, "landmarks", (".npy",)),
    (layout.KPT_DENSE, "landmarks", (".npy",)),
)
_CONFIGS = ("config.yml", "actor/config.yml", "run/config.yml", f"../../{layout.ACTOR_CONFIGS}/{{name}}.yml")
# Trees of programs, which no tracker writes into. `.history` is our own store behind a backup: what
# counts of it lies in the backup itself.
SKIP_NAMES = (".git", ".history", "__pycache__", "node_modules", "site-packages")
SKIP_PATHS = ("/proc", "/sys", "/dev", "/run")
# Large and unlikely: looked at when all else was.
_LAST_NAMES = (".cache", ".Trash", ".Trash-0", "Trash")
_LIMITS = {
    "depth": 24,
    "entries": 2_000_000,
    "candidates": 200,
    "folders": 64,
    "file_bytes": 64 << 10,
    "config_bytes": 16 << 10,
    "carried_bytes": 6 << 20,
}


def request_for(
    actor: Actor,
    *,
    known: Iterable[PurePath],
    roots: Iterable[PurePath],
    of_jobs: Iterable[str] = (),
    search_time_s: float,
) -> dict[str, Any]:
    """The probe's request.

    Args:
        actor: whose box.
        known: the folders that the inventory names; they are looked at first.
        roots: everything below them is searched, likely places first.
        of_jobs: folders of our own jobs; looked at last.
        search_time_s: after so many seconds the search ends, and says what it has not seen.
    """
    places = {kind: list(found) for kind, found in _PLACES.items()}
    for name, kind, suffixes in _DERIVED:
        beside = os.path.relpath(layout.derived_folder(actor.input, name), actor.input)
        if beside != name:
            places[kind].append((beside, suffixes))
    return {
        "box_name": layout.BBOX,
        "run_folder": layout.CHECKPOINT,
        "frame_suffix": _FRAME_SUFFIX,
        "known": list(dict.fromkeys(map(str, known))),
        "names": sorted({actor.name, actor.input.name, actor.output.name}),
        "places": places,
        "configs": _CONFIGS,
        "roots": list(dict.fromkeys(map(str, roots))),
        "skip_names": SKIP_NAMES,
        "skip_paths": SKIP_PATHS,
        "first_names": [layout.INPUT, layout.OUTPUT],
        "last_names": _LAST_NAMES,
        "last_paths": list(of_jobs),
        "limits": {**_LIMITS, "seconds": search_time_s},
    }


def script_for(request: dict[str, Any]) -> bytes:
    """The whole program for `python3 -`: the probe and one call of it."""
    return looking_text("box_search") + f"\n\nanswer({json.dumps(request)!r})\n".encode()


def _decoded(value: Any) -> bytes:
    """Base64 text to bytes; anything else is refused."""
    if not isinstance(value, str):
        raise ValueError("must be base64 text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as e:
        raise ValueError("must be base64 text") from e


def _decoded_path(value: Any) -> bytes:
    data = _decoded(value)
    if not data.startswith(b"/") or b"\0" in data or b".." in data.split(b"/"):
        raise ValueError("must be an absolute path")
    return data


Count = Annotated[int, Field(ge=0, le=1 << 62)]
Content = Annotated[bytes, BeforeValidator(_decoded), Field(max_length=_LIMITS["file_bytes"])]
Name = Annotated[bytes, BeforeValidator(_decoded), Field(max_length=4096)]
PathBytes = Annotated[bytes, BeforeValidator(_decoded_path), Field(max_length=4096)]
Reason = Annotated[str, Field(pattern=r"^[A-Z0-9_]{1,32}$")]
Moment = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]


class _AnswerModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BoxFile(_AnswerModel):
    """Something named bbox.pt. `content` is there when it is a small regular file."""

    path: PathBytes
    what: Literal["file", "directory", "symlink", "other"]
    bytes: Count
    mtime_ns: Moment
    target: Name | None
    content: Content | None
    problem: Reason | None


class FoundFrames(_AnswerModel):
    """A run's checkpoints: how many, their first and last id, the first one's content."""

    count: Count
    first: Name
    last: Name
    oldest_ns: Moment | None
    newest_ns: Moment | None
    content: Content | None
    problem: Reason | None


class FoundConfig(_AnswerModel):
    """A settings file beside a run."""

    path: PathBytes
    content: Content | None
    problem: Reason | None


class FoundFolder(_AnswerModel):
    """An actor's or a run's folder and what it holds."""

    path: PathBytes
    counts: dict[Literal["crop_images", "source_images", "landmarks", "meshes", "videos"], Count]
    frames: FoundFrames | None
    configs: list[FoundConfig] = Field(max_length=len(_CONFIGS))


class BoxSearchAnswer(_AnswerModel):
    """All that one host said."""

    candidates: list[BoxFile] = Field(max_length=_LIMITS["candidates"])
    folders: list[FoundFolder] = Field(max_length=_LIMITS["folders"])
    missing_roots: list[PathBytes] = Field(max_length=64)
    unreadable: Count
    truncated: list[Annotated[str, Field(max_length=200)]] = Field(max_length=16)
    unfinished: list[PathBytes] = Field(max_length=128)
    entries: Count
    seconds: float = Field(ge=0, le=1e6, allow_inf_nan=False)
    python: str = Field(pattern=r"^[0-9.]{1,20}$")


def parse_answer(stdout: bytes) -> BoxSearchAnswer:
    """Read the probe's answer.

    Raises:
        ValueError: it is not one; the text says where it departs, and quotes nothing of it.
    """
    try:
        return BoxSearchAnswer.model_validate_json(stdout)
    except ValidationError as e:
        first = e.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(p) for p in first["loc"])[:80]
        raise ValueError(f"{place!r}: {first['msg'][:120]}" if place else first["msg"][:120]) from None
