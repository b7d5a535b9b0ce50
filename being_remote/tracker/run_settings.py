"""The few settings of a run that a camera or a crop depends on, from the actor's YAML file.

The file is from a pod: it is bounded, and of all its keys only these are built, each a plain value
or a short list. What the file leaves out has the tracker's own default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from being_remote import bounded_yaml
from being_remote.errors import InconsistentData
from being_remote.tracker.frame_file import read_bytes

MAX_BYTES = 64 << 10
MAX_LIST = 4


@dataclass(frozen=True)
class RunSettings:
    """Settings as the tracker reads them.

    Source:
        metrical-tracker c2a51724, configs/config.py: the defaults, where the checkout's own are not known.
    """

    actor: str  # the input folder, as written: relative to the checkout; "" where the file names none
    # how many source images were skipped at the start and at the end
    begin_frames: int
    end_frames: int
    fps: float  # at which the video was cut into source images
    crop_image: bool  # whether frames were cropped to the face, or only resized
    image_size_wh: tuple[int, int]  # of the network image
    bbox_scale: float  # how much larger than the face the crop is


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid")

    actor: str = Field("", max_length=4096, pattern=r"\A[^\x00]*\z")
    begin_frames: int = Field(0, ge=0, le=10_000_000)
    end_frames: int = Field(0, ge=0, le=10_000_000)
    fps: float = Field(25.0, gt=0, le=1000)
    crop_image: StrictBool = True
    image_size: tuple[int, int] = (512, 512)  # height, width
    bbox_scale: float = Field(2.5, ge=0.01, le=1000)


def read_run_settings(path: Path, defaults: Mapping[str, Any] = MappingProxyType({})) -> RunSettings:
    """Read the actor's settings file; `defaults` are those of its checkout, where they are known.

    Raises:
        NotFoundError, UnsafeFile: missing; not a regular file, or too large to be settings.
        InconsistentData: not YAML, or one of the settings has an invalid value.
    """
    return parse_run_settings(read_bytes(path, MAX_BYTES), str(path), defaults)


def parse_run_settings(
    data: bytes, name: str, defaults: Mapping[str, Any] = MappingProxyType({})
) -> RunSettings:
    """As `read_run_settings`, of bytes; `name` is for messages.

    Example:
        >>> parse_run_settings(b"bbox_scale: 3.5\\nimage_size: [768, 640]", "roman.yml").image_size_wh
        (640, 768)
    """
    try:
        stored = _Stored.model_validate({**_usable(defaults), **_plain_values(data)})
    except ValidationError as e:
        wrong = ", ".join(".".join(map(str, item["loc"])) for item in e.errors())
        raise InconsistentData(f"is not a settings file of the tracker: {wrong}", file=name) from e
    except ValueError as e:
        raise InconsistentData(f"cannot be read as settings: {e}", file=name) from e
    height, width = stored.image_size
    return RunSettings(**stored.model_dump(exclude={"image_size"}), image_size_wh=(width, height))


def _usable(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Our settings among a checkout's defaults; none where they are invalid."""
    ours = {key: value for key, value in defaults.items() if key in _Stored.model_fields}
    try:
        _Stored.model_validate(ours)
    except ValidationError:
        return {}
    return ours


def _plain_values(data: bytes) -> dict[str, Any]:
    """Our settings among the file's.

    Nodes are composed and never constructed as a whole: a few kilobytes of nested merge keys would be
    built into more than there is memory.
    """
    document = bounded_yaml.compose(data)
    if document is None:
        return {}
    if not isinstance(document, yaml.MappingNode):
        raise ValueError("it is not a mapping of settings")
    found: dict[str, Any] = {}
    for key, value in document.value:
        if not isinstance(key, yaml.ScalarNode) or key.value not in _Stored.model_fields:
            continue  # the tracker has dozens of further settings, and forks have more
        parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
        if len(parts) > MAX_LIST or not all(isinstance(p, yaml.ScalarNode) for p in parts):
            raise ValueError(f"{key.value} is neither a plain value nor a short list")
        built = [bounded_yaml.value_of(part) for part in parts]
        found[key.value] = built if isinstance(value, yaml.SequenceNode) else built[0]
    return found
