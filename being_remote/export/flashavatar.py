"""What FlashAvatar reads: a folder of `.frame` files whose camera is the canvas', and the canvas' size.

Its loader counts the folder's entries, reads 0..n-1 without gaps, takes K and img_size from 00000.frame
only, and the picture frame_id + 1. So frames get new numbers here, and every file carries the new K.
The files are written from checked arrays, never copied: the originals are from a rented machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from being_remote.camera.intrinsics import to_ndc
from being_remote.camera.pose import pytorch3d_from_opencv
from being_remote.errors import InconsistentData
from being_remote.export.cameras import Cameras
from being_remote.export.flame_frames import read_frames, too_few_coefficients
from being_remote.export.target import Export, File, Target
from being_remote.tracker.frame_file import Frame
from being_remote.tracker.layout import frame_name
from being_remote.tracker.torch_file import bytes_for_numpy_1

SIZE_WH = (512, 512)  # its background is a fixed tensor of this size
TEST_FRAMES = 500  # its last ones are kept for testing
MAX_TRAINED = 10_000
# What its loader reads of `flame`; tex and sh it leaves alone.
FLAME = ("shape", "exp", "eyes", "eyelids", "jaw")

NOTES = (
    "put the two folders into a FlashAvatar checkout and train with --idname NAME; NAME is the folder's"
    " name in dataset/",
    "it still needs dataset/NAME/alpha/%05d.jpg and parsing/%05d_neckhead.png, %05d_mouth.png: mattes and"
    " face parsing of the very pictures in imgs/, with their numbers",
    "with torch >= 2.6 its torch.load refuses .frame files, which hold numpy arrays: set"
    " TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 for its train.py and test.py. These files were written here from"
    " checked numbers, so that is safe for them",
    "frames are numbered 0, 1, 2, ... without gaps, and the picture of NUMBER.frame is NUMBER + 1, as its"
    " loader has it",
)


def checkpoint_folder(cameras: Cameras) -> str:
    """The folder of the `.frame` files, which may hold nothing else."""
    return f"metrical-tracker/output/{_id(cameras)}/checkpoint"


def frame_files(cameras: Cameras) -> list[str]:
    into = checkpoint_folder(cameras)
    return [f"{into}/{frame_name(k)}" for k in range(len(cameras.frame_ids))]


def image_names(cameras: Cameras) -> list[str]:
    """The picture of each frame, called by its new frame_id + 1."""
    return [f"dataset/{_id(cameras)}/imgs/{k + 1:05d}.jpg" for k in range(len(cameras.frame_ids))]


def remarks(export: Export) -> Sequence[str]:
    """What FlashAvatar has too few or too many of, and whether frames get new numbers."""
    count, last = len(export.cameras.frame_ids), int(export.cameras.frame_ids[-1])
    found = []
    if count <= TEST_FRAMES:
        found.append(
            f"{count} frames: FlashAvatar keeps the last {TEST_FRAMES} for testing, so none are left to train"
            " on; track more frames, or lower test_num in its scene/__init__.py"
        )
    if count > TEST_FRAMES + MAX_TRAINED:
        found.append(f"{count} frames: FlashAvatar trains on the first {MAX_TRAINED} only")
    if last != count - 1:
        found.append(
            f"frame ids up to {last:05d} have gaps, which FlashAvatar cannot read: frames and pictures get"
            f" new numbers, 0 to {count - 1}"
        )
    return (*found, *too_few_coefficients(export))


def files(export: Export) -> Iterator[File]:
    """One `.frame` for each pose, with K of the canvas."""
    for k, (name, frame) in enumerate(zip(frame_files(export.cameras), _frames(export), strict=True)):
        yield name, [bytes_for_numpy_1(frame_content(frame, k, export))]


def check(export: Export) -> None:
    for _ in _frames(export):
        pass


def _frames(export: Export) -> Iterator[Frame]:
    for frame in read_frames(export, FLAME):
        for name, values in frame.flame.items():
            if not np.isfinite(values).all():
                raise InconsistentData(
                    f"flame.{name} holds numbers that are not finite, which would spoil the training",
                    file=frame.file,
                )
        yield frame


def frame_content(frame: Frame, frame_id: int, export: Export) -> dict[str, Any]:
    """The tracker's own dict, with another camera matrix, image size and number."""
    w, h = export.size_wh
    focal, principal = to_ndc(export.K, (w, h))
    R_p3d, T_p3d = pytorch3d_from_opencv(frame.R, frame.t)
    return {
        "flame": {name: _f4(values) for name, values in frame.flame.items()},
        "camera": {
            "R": _f4(R_p3d[:2].reshape(1, 6)),
            "t": _f4(T_p3d[None]),
            "fl": _f4(focal[:1][None]),
            "pp": _f4(principal[None]),
        },
        "opencv": {"R": _f4(frame.R[None]), "t": _f4(frame.t[None]), "K": _f4(export.K[None])},
        # The tracker's order is height, width; its reader here takes them for width, height.
        "img_size": np.array([h, w], np.int64),
        "frame_id": f"{frame_id:05d}",
        "global_step": frame.global_step or 0,
    }


def _f4(values: Any) -> NDArray[np.float32]:
    return np.array(values, np.float32, order="C")


def _id(cameras: Cameras) -> str:
    """The actor's name as a folder name for any system; it is typed after --idname."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", cameras.name).strip(".") or "actor"


TARGET = Target(
    name="flashavatar",
    folder="flashavatar",
    main_files=("metrical-tracker/",),
    notes=NOTES,
    files=files,
    canvas="recentred square",
    ignores_principal_point=True,
    size_wh=SIZE_WH,
    needs=("checkpoints",),
    by_name_only=True,  # a copy of every frame
    image_names=image_names,
    counted=frame_files,
    remarks=remarks,
    check=check,
)
