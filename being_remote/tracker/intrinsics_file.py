"""The `intrinsics.json` of a tracking, read as what a stranger wrote, and its transform repeated.

Every number is bounded, and the transform is repeated here: from K, box and sizes in the file itself,
and from bbox.pt and the frames where they were downloaded, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from being_remote.camera.crop import Crop, crop_from_box, resize_only
from being_remote.camera.intrinsics import fov_deg, intrinsics_in_source, to_opencv_pixels
from being_remote.errors import InconsistentData
from being_remote.tracker.box_file import read_box
from being_remote.tracker.finish import FORMAT, INTRINSICS, VERSION
from being_remote.tracker.frame_file import read_bytes
from being_remote.tracker.layout import BBOX, CHECKPOINT, FRAME_SUFFIX, INPUT, OUTPUT
from being_remote.tracker.sequence import read_sequence

MAX_BYTES = 256 << 20
MAX_FRAMES = 1_000_000
FETCH = "pull it again; if it stays so, do not use what that host made"

_Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
_Row = tuple[_Number, _Number, _Number]
_Matrix = tuple[_Row, _Row, _Row]
_Pixels = Annotated[int, Field(ge=-(1 << 20), le=1 << 20)]
_Size = tuple[Annotated[int, Field(ge=1, le=1 << 16)], Annotated[int, Field(ge=1, le=1 << 16)]]
_Text = Annotated[str, Field(max_length=300)]


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CropNumbers(_Plain):
    """As in `camera.crop.Crop`; `scale` is x, y."""

    x_min: _Pixels
    x_max: _Pixels
    y_min: _Pixels
    y_max: _Pixels
    pad_x: _Pixels
    pad_y: _Pixels
    side: _Pixels
    scale: tuple[_Number, _Number]
    origin: tuple[_Pixels, _Pixels]
    image_size_wh: _Size


class FramePose(_Plain):
    """One frame: world-to-camera, OpenCV axes, metres; `file` is its picture in `source/`."""

    frame_id: Annotated[str, Field(pattern=r"\A[0-9]{5,9}\z")]
    file: Annotated[str, Field(pattern=r"\A[^/\x00]{1,255}\z")]
    R: _Matrix
    t: _Row


class Intrinsics(_Plain):
    """The whole file. K in corner pixels of the source images, `K_crop` as the tracker stored it."""

    format: Literal["being-remote intrinsics"]
    version: Literal[1]
    name: _Text
    grade: Literal["bbox", "whole frame"]
    conventions: dict[_Text, _Text]
    size_wh: _Size
    K: _Matrix
    K_opencv: _Matrix
    fov_deg: tuple[_Number, _Number]
    K_crop: _Matrix
    crop: CropNumbers
    box: tuple[_Pixels, _Pixels, _Pixels, _Pixels] | None
    box_sha256: Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")] | None
    fps: Annotated[int | float, Field(gt=0, le=100_000)]  # whole in the tracker, not in every fork
    begin_frames: Annotated[int, Field(ge=0, le=10_000_000)]
    frames: Annotated[list[FramePose], Field(min_length=1, max_length=MAX_FRAMES)]


def read_intrinsics(path: Path) -> Intrinsics:
    """Read the file and repeat its transform from its own numbers.

    Raises:
        NotFoundError, UnsafeFile: missing; not a regular file, or too large.
        InconsistentData: not in our form, or K does not follow from K_crop and the box.
    """
    try:
        found = Intrinsics.model_validate_json(read_bytes(path, MAX_BYTES))
    except ValidationError as e:
        first = e.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InconsistentData(
            f"is not {FORMAT} {VERSION}: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            file=str(path),
            hint=FETCH,
        ) from e
    try:
        wrong = _differences(found, np.array(found.K_crop), _crop(found))
    except ValueError as e:
        raise InconsistentData(str(e), file=str(path), hint=FETCH) from e
    if wrong:
        raise InconsistentData(
            f"{', '.join(wrong)} do not follow from its own box and K", file=str(path), hint=FETCH
        )
    return found


def check_intrinsics(folder: Path) -> tuple[str, ...]:
    """Compare `intrinsics.json` in `folder` with the box and the frames beside it.

    Returns:
        What could not be compared, because it was not downloaded.

    Raises:
        NotFoundError, DataError: the file, or one that it is compared with, is missing or differs.
    """
    path = folder / INTRINSICS
    found = read_intrinsics(path)
    boxes = sorted((folder / INPUT).glob(f"*/{BBOX}"))
    for file in boxes:
        if read_box(file) != found.box:
            raise InconsistentData(f"its box is not that of {file}", file=str(path), hint=FETCH)
    checkpoints = [
        p for p in sorted((folder / OUTPUT).glob(f"*/{CHECKPOINT}")) if any(p.glob(f"*{FRAME_SUFFIX}"))
    ]
    for frames in map(read_sequence, checkpoints):
        same = (
            np.array_equal(frames.K, found.K_crop)
            and np.array_equal(frames.frame_ids, [int(f.frame_id) for f in found.frames])
            and np.array_equal(frames.R, [f.R for f in found.frames])
            and np.array_equal(frames.t, [f.t for f in found.frames])
        )
        if not same:
            raise InconsistentData(
                f"its cameras are not those of {frames.folder}", file=str(path), hint=FETCH
            )
    missing = [] if boxes or found.box is None else [f"no {BBOX} was pulled to compare with"]
    return (*missing, *(() if checkpoints else ("the frames themselves were not pulled to compare with",)))


def _crop(found: Intrinsics) -> Crop:
    if found.box is None:
        return resize_only(found.size_wh, found.crop.image_size_wh)
    return crop_from_box(found.box, found.size_wh, found.crop.image_size_wh)


def _differences(found: Intrinsics, K_crop: np.ndarray[Any, np.dtype[np.float64]], crop: Crop) -> list[str]:
    """The names of what does not follow. The pod's numpy may round the last bit of an angle otherwise."""
    K = intrinsics_in_source(K_crop, crop)
    ours: dict[str, tuple[Any, Any]] = {
        "K": (found.K, K),
        "K_opencv": (found.K_opencv, to_opencv_pixels(K)),
        **{f"crop.{name}": (getattr(found.crop, name), own) for name, own in crop.as_json().items()},
    }
    wrong = [name for name, (theirs, own) in ours.items() if not np.array_equal(theirs, own)]
    if not np.allclose(found.fov_deg, fov_deg(K, found.size_wh), rtol=0, atol=1e-9):
        wrong.append("fov_deg")
    return wrong
