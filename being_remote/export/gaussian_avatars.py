"""GaussianAvatars' data set in VHAP's layout: OpenGL camera-to-world, and FLAME's parameters.

The cameras and joints are exact. The FLAME parameters are approximate: the tracker fits FLAME 2020 with
two eyelid shapes, the trainer has FLAME 2023 without them, so shape and expression differ slightly and
the eyelids are lost.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from being_remote.camera.pose import opengl_c2w
from being_remote.errors import UsageError
from being_remote.export.cameras import Cameras
from being_remote.export.flame_frames import EXPRESSIONS, SHAPES
from being_remote.export.json_text import document, nerf_intrinsics, rows
from being_remote.export.target import Export, File, Target
from being_remote.tracker.flame_parameters import FlameParameters, read_parameters

TRAIN_SHARE = 0.7  # VHAP's: the last 30 % of the time are for testing
VERTICES = 5143  # FLAME's 5023 and the trainer's teeth
OPEN_JAW_RAD = 0.3  # VHAP's canonical pose
RESIZED_ABOVE_PX = 1600

# Of zip archives.
_STORED, _DEFLATED = 0, 8
_VERSION, _DATE_1980 = 20, 0x21


def image_names(cameras: Cameras) -> list[str]:
    """Numbered without gaps, camera 00."""
    return [f"images/{i:05d}_00.png" for i in range(len(cameras.frame_ids))]


def files(export: Export) -> Iterator[File]:
    """Parameters first and the documents that name them last, so that half an export cannot be loaded."""
    yield from _parameter_files(_parameters(export))
    yield from documents(export)


def documents(export: Export) -> Iterator[File]:
    """The cameras: all of them, and VHAP's split of one camera."""
    count = len(export.cameras.frame_ids)
    train = math.ceil(count * TRAIN_SHARE)
    everything, none = range(count), range(0)
    # With one camera VHAP can validate only on the frames of the training.
    for name, steps, shown, cameras in (
        ("transforms", everything, everything, [0]),
        ("transforms_train", range(train), range(train), [0]),
        ("transforms_val", range(train), none, []),
        ("transforms_test", range(train, count), range(train, count), [0]),
    ):
        head = {
            **nerf_intrinsics(export.K, export.size_wh),
            "timestep_indices": list(steps),
            "camera_indices": cameras,
        }
        yield f"{name}.json", document(head, _entries(export, shown))


def _parameters(export: Export) -> FlameParameters:
    folder = export.run.checkpoints
    assert folder is not None  # `prepare` saw to it
    names = [export.run.frame(i).name for i in export.cameras.frame_ids.tolist()]
    return read_parameters(folder, names)[1]


def check(export: Export) -> None:
    """Read the parameters, and count the coefficients."""
    next(_parameter_files(_parameters(export)))


def _padded(coefficients: NDArray[np.float64], count: int, what: str) -> NDArray[np.float32]:
    """(N, count) float32; coefficients that were not fitted are zero."""
    found = coefficients.shape[1]
    if found > count:
        raise UsageError(
            f"its trainer takes {count} {what} coefficients, and the run has {found}",
            where="--export gaussian-avatars",
            hint="leave this export out",
        )
    return np.pad(coefficients.astype(np.float32), ((0, 0), (0, count - found)))


def _parameter_files(parameters: FlameParameters) -> Iterator[File]:
    """The canonical pose, then one file per frame; the head is at rest and the camera moves."""
    shape = _padded(parameters.shape[:1], SHAPES, "shape")[0]
    expression = _padded(parameters.expression, EXPRESSIONS, "expression")
    jaw = np.radians(parameters.jaw_deg).astype(np.float32)
    # Both models have the joints in one order, whatever the tracker calls them.
    eyes_deg = np.concatenate([parameters.right_eye_deg, parameters.left_eye_deg], axis=1)
    eyes = np.radians(eyes_deg).astype(np.float32)

    def zeros(name: str, *size: int) -> Member:
        return member(name, np.zeros(size, np.float32), compressed=True)

    still = [zeros(name, 1, 3) for name in ("translation", "rotation", "neck_pose")]
    always = [*still, member("shape", shape), zeros("static_offset", 1, VERTICES, 3)]
    open_jaw = member("jaw_pose", np.array([[OPEN_JAW_RAD, 0, 0]], np.float32))
    rest = [*always, open_jaw, zeros("eyes_pose", 1, 6), zeros("expr", 1, EXPRESSIONS)]
    yield "canonical_flame_param.npz", [npz(rest)]
    for i in range(len(expression)):
        own = slice(i, i + 1)
        moved = [
            member("jaw_pose", jaw[own]),
            member("eyes_pose", eyes[own]),
            member("expr", expression[own]),
        ]
        yield f"flame_param/{i:05d}.npz", [npz([*always, *moved])]


def _entries(export: Export, steps: range) -> Iterator[str]:
    cameras = export.cameras
    part = slice(steps.start, steps.stop)
    camera = ", ".join(
        f'"{key}": {value!r}' for key, value in nerf_intrinsics(export.K, export.size_wh).items()
    )
    poses = opengl_c2w(cameras.R[part], cameras.t[part])
    numbers = zip(cameras.frame_ids[part].tolist(), cameras.source_numbers[part].tolist(), strict=True)
    for i, (frame_id, number), pose in zip(steps, numbers, rows(poses), strict=True):
        yield (
            f'{{"timestep_index": {i}, "timestep_index_original": {frame_id}, "timestep_id": "{number:05d}",'
            f' "camera_index": 0, "camera_id": "0", {camera}, "transform_matrix": {pose},'
            f' "file_path": "images/{i:05d}_00.png", "fg_mask_path": "fg_masks/{i:05d}_00.png",'
            f' "flame_param_path": "flame_param/{i:05d}.npz"}}'
        )


def remarks(export: Export) -> Sequence[str]:
    """What the trainer does to large pictures."""
    w, h = export.size_wh
    if w <= RESIZED_ABOVE_PX:
        return ()
    return (
        f"it shrinks pictures wider than {RESIZED_ABOVE_PX} px, and these are {w}x{h}: `-r 1` keeps them",
    )


TARGET = Target(
    name="gaussian-avatars",
    folder="gaussian-avatars",
    main_files=(
        *(f"transforms{split}.json" for split in ("", "_train", "_val", "_test")),
        "canonical_flame_param.npz",
        "flame_param/",
    ),
    notes=(
        "its pictures belong in gaussian-avatars/images/, 00000_00.png and so on, on the canvas of these"
        " files, the background in one colour",
        "FLAME parameters are approximate: FLAME 2020's are used as FLAME 2023's, without the eyelids; the"
        " cameras are exact",
    ),
    files=files,
    canvas="recentred",
    ignores_principal_point=True,
    one_focal=True,
    needs=("checkpoints",),
    image_names=image_names,
    by_source_number=True,
    remarks=remarks,
    check=check,
)


@dataclass(frozen=True)
class Member:
    """One array: its bytes in the archive, and its directory entry without the offset."""

    content: bytes
    entry: bytes
    name: bytes


def member(name: str, array: NDArray[np.float32], *, compressed: bool = False) -> Member:
    """Encode a float32 array in C order; `compressed` helps for zeros only."""
    data = _header(array.shape) + array.astype("<f4").tobytes()
    method, packed = _STORED, data
    if compressed:
        deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
        method, packed = _DEFLATED, deflate.compress(data) + deflate.flush()
    file = f"{name}.npy".encode()
    # Version, flags, method, time, date, checksum, packed size, size, length of the name, of extras.
    facts = struct.pack(
        "<5H3I2H", _VERSION, 0, method, 0, _DATE_1980, zlib.crc32(data), len(packed), len(data), len(file), 0
    )
    entry = b"PK\x01\x02" + struct.pack("<H", _VERSION) + facts
    return Member(b"PK\x03\x04" + facts + file + packed, entry, file)


def npz(members: Iterable[Member]) -> bytes:
    """The archive of these members.

    Example:
        >>> made = npz([member("a", np.ones((1, 2), np.float32)), member("b", np.zeros(3, np.float32))])
        >>> with np.load(io.BytesIO(made), allow_pickle=False) as arrays:
        ...     arrays["a"], arrays["b"].shape
        (array([[1., 1.]], dtype=float32), (3,))
    """
    parts, directory, offset = [], [], 0
    for one in members:
        parts.append(one.content)
        # No comment, first disk, no attributes, then where the member starts.
        directory.append(one.entry + struct.pack("<3H2I", 0, 0, 0, 0, offset) + one.name)
        offset += len(one.content)
    listing = b"".join(directory)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, len(parts), len(parts), len(listing), offset, 0)
    return b"".join([*parts, listing, end])


@cache
def _header(shape: tuple[int, ...]) -> bytes:
    """The .npy header of a float32 array."""
    buffer = io.BytesIO()
    facts: dict[str, Any] = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, facts)
    return buffer.getvalue()
