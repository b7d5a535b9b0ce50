"""What GaussianTalker reads of a camera: two transforms_*.json, track_params.pt, and landmarks.

Its reader takes from the JSON only the focal length, the size (twice cx and cy) and which frames there
are; poses come from track_params.pt, whose rows are indexed by img_id. An img_id here is the number
that the trainer's own extraction at 25 fps gives the picture: its number in `source/` less one, so that
the audio and blink features of the whole video match.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from being_remote.camera.crop import to_source
from being_remote.camera.pose import opengl_c2w
from being_remote.errors import InconsistentData, NotFoundError, UsageError
from being_remote.export.cameras import Cameras, Floats
from being_remote.export.flame_frames import read_frames, too_few_coefficients
from being_remote.export.json_text import document, rows
from being_remote.export.target import Export, File, Target
from being_remote.tracker.npy_file import SPARSE, landmark_name, read_landmarks
from being_remote.tracker.ply import read_ply
from being_remote.wording import list_some

Floats32 = NDArray[np.float32]

PICTURES = "ori_imgs"
PARAMS = "track_params.pt"
# Its own tracker works in decimetres, and the JSON divides by ten.
UNITS_PER_METRE = 10.0
_PIECE_BYTES = 4 << 20
# Its audio features come at this rate, whatever the video's is.
FEATURE_FPS = 25.0
# The trainer loads all vertices to take their mean: 838 FLAME heads are 48 MiB, 100,000 are 5.6 GiB.
MAX_VERTEX_BYTES = 1 << 30

NOTES = (
    "it still needs, made from ori_imgs/ by the trainer's data_utils/process.py: parsing/ (--task 4),"
    " bc.jpg (5), torso_imgs/ and gt_imgs/ (6); and ori_imgs/*.lms (7) where the tracker's kpt are not"
    " local. Do not run its tasks 3, 8 and 9: they replace these pictures, track_params.pt and the"
    " transforms",
    "it still needs aud_ds.npy (--task 1, then 2) and au.csv (OpenFace), both made from the whole video"
    " at 25 fps: img_id counts its frames from 0",
    "bc.jpg must have the size of the pictures in ori_imgs/, or the reader raises in cv2.resize; the folder"
    " must not hold a fused.ply",
    "id and exp in track_params.pt are FLAME's, in metrical-tracker's order; the trainer does not read them",
)


def euler_angles(R: ArrayLike) -> Floats:
    """GaussianTalker's euler triple (..., 3), radians, of world-to-camera rotations (..., 3, 3).

    Convention:
        R is in OpenCV axes. The reader's matrix is D R = Rx(a) Ry(b) Rz(-c), D = diag(1, -1, -1): its
        code stacks as columns what look like rows. Reading them as rows flips all three signs, which
        moves the face by hundreds of pixels.

    Returns:
        a, b, c; b within +-pi/2. c is solved after a and b, so the triple gives R back even where
        b is +-pi/2 and a is arbitrary.

    Example:
        >>> c, s = np.cos(0.3), np.sin(0.3)
        >>> turned = np.diag([1.0, -1, -1]) @ [[c, 0, s], [0, 1, 0], [-s, 0, c]]
        >>> euler_angles(turned).round(12) + 0.0
        array([0. , 0.3, 0. ])
    """
    R_gl = np.asarray(R, dtype=np.float64) * np.array([[1.0], [-1.0], [-1.0]])
    a = np.arctan2(-R_gl[..., 1, 2], R_gl[..., 2, 2])
    b = np.arctan2(R_gl[..., 0, 2], np.hypot(R_gl[..., 1, 2], R_gl[..., 2, 2]))
    # Row 1 of Rx(-a) D R, which Ry(b) leaves alone: it is row 1 of Rz(-c), (-sin c, cos c, 0).
    row = np.cos(a)[..., None] * R_gl[..., 1, :] + np.sin(a)[..., None] * R_gl[..., 2, :]
    return np.stack([a, b, np.arctan2(-row[..., 0], row[..., 1])], axis=-1)


def img_ids(cameras: Cameras) -> list[int]:
    """The trainer's number of each frame, counted from 0."""
    return [number - 1 for number in cameras.source_numbers.tolist()]


def image_names(cameras: Cameras) -> list[str]:
    return [f"{PICTURES}/{number}.jpg" for number in img_ids(cameras)]


def remarks(export: Export) -> Sequence[str]:
    """What the trainer has too little of, and what another frame rate requires."""
    return (
        *_split_remarks(export.cameras),
        *too_few_coefficients(export),
        *_landmark_remarks(export),
        *_rate_remarks(export.cameras),
    )


def trained_on(frames: int) -> int:
    """How many frames, from the start, are trained on: ten of eleven, as the trainer splits them.

    Example:
        >>> [trained_on(n) for n in (838, 2, 1)]
        [761, 1, 0]
    """
    return frames * 10 // 11


def _split_remarks(cameras: Cameras) -> Sequence[str]:
    count = len(cameras.frame_ids)
    if trained_on(count):
        return ()
    return (
        f"{count} frame: it is kept for testing, so 0 are left to train on, and the reader fails at the empty"
        " transforms_train.json: track more frames",
    )


def _rate_remarks(cameras: Cameras) -> Sequence[str]:
    if cameras.times_s is None or not cameras.times_s[-1] > 0:
        return ()
    fps = float((cameras.source_numbers[-1] - 1) / cameras.times_s[-1])
    if math.isclose(fps, FEATURE_FPS, rel_tol=1e-6):
        return ()
    return (
        f"this run's frames were taken at {fps:g} fps, not {FEATURE_FPS:g}: make au.csv at {fps:g} fps,"
        f" whose row img_id is read; keep aud_ds.npy at {FEATURE_FPS:g} fps, which aud_id counts",
    )


def _landmark_remarks(export: Export) -> Sequence[str]:
    landmarks = canvas_landmarks(export)
    if landmarks is None:
        return (f"no local landmarks, so {PICTURES}/*.lms are not written: `sync --only kpt`",)
    found = []
    if landmarks.without_face:
        found.append(
            f"the tracker found no face in {_listed(export.cameras, landmarks.without_face)}: their .lms are"
            " those of the nearest frame with a face, and their poses are guesses: remove them from the"
            " transforms if they look wrong"
        )
    outside = ((landmarks.points < 0) | (landmarks.points > export.size_wh)).any(axis=(1, 2)).nonzero()[0]
    if len(outside):
        w, h = export.size_wh
        found.append(
            f"landmarks lie outside of this canvas of {w}x{h} in {_listed(export.cameras, outside.tolist())}:"
            " the trainer's rectangles around face and lips then have negative or empty sides: use a larger"
            " --canvas WIDTHxHEIGHT, or leave it out"
        )
    return found


def _listed(cameras: Cameras, places: Sequence[int]) -> str:
    return f"{len(places)} frames ({list_some([f'{cameras.frame_ids[i]:05d}' for i in places], 10)})"


def files(export: Export) -> Iterator[File]:
    """The documents, track_params.pt and landmarks; everything is read and checked before the first file."""
    import torch

    ids = img_ids(export.cameras)
    params = {name: torch.from_numpy(values) for name, values in _track_params(export, ids).items()}
    landmarks = canvas_landmarks(export)
    yield PARAMS, _torch_bytes(params)
    for number, points in zip(ids, landmarks.points if landmarks else (), strict=False):
        yield f"{PICTURES}/{number}.lms", ["".join(f"{x:f} {y:f}\n" for x, y in points).encode()]
    split = trained_on(len(ids))
    yield "transforms_train.json", _transforms(export, ids, slice(split))
    yield "transforms_val.json", _transforms(export, ids, slice(split, None))


def check(export: Export) -> None:
    _track_params(export, img_ids(export.cameras))


def _track_params(export: Export, ids: list[int]) -> dict[str, Floats32]:
    """Rows 0 to the last img_id; rows without a pose repeat the nearest one, and no JSON uses them."""
    cameras = export.cameras
    index = {number: i for i, number in enumerate(ids)}
    # Of more than 99,999 source images the ids are not in order.
    pose_of_row = [index[number] for number in nearest(np.sort(ids), max(ids) + 1).tolist()]
    vertices = _vertices(export, pose_of_row)
    shape, expressions = _flame(export)
    return {
        "euler": euler_angles(cameras.R)[pose_of_row].astype(np.float32),
        "trans": (cameras.t * (1, -1, -1) * UNITS_PER_METRE)[pose_of_row].astype(np.float32),
        "vertices": vertices,
        "id": shape,
        "exp": expressions[pose_of_row],
        "focal": np.array([export.K[0, 0]], np.float32),
    }


def _vertices(export: Export, pose_of_row: Sequence[int]) -> Floats32:
    """(rows, V, 3) in the trainer's units."""
    folder = export.run.meshes
    if folder is None:
        raise _no_meshes("there are no local meshes", f"run {export.cameras.name!r}")
    paths = [folder / f"{frame_id:05d}.ply" for frame_id in export.cameras.frame_ids.tolist()]
    missing = [path.name for path in paths if not path.exists()]
    if missing:
        raise _no_meshes(
            f"{len(missing)} of {len(paths)} meshes are missing, first {missing[0]}", str(folder)
        )
    shape = read_ply(paths[0]).vertices.shape
    need = len(pose_of_row) * shape[0] * 12
    if need > MAX_VERTEX_BYTES:
        raise UsageError(
            f"{len(pose_of_row)} heads of {shape[0]} vertices are {need / 2**30:.1f} GiB, which"
            f" GaussianTalker would load at once; the limit is {MAX_VERTEX_BYTES / 2**30:.0f} GiB",
            where=str(folder),
            hint="export a shorter run, or leave gaussiantalker out",
        )
    vertices = np.empty((len(pose_of_row), *shape), np.float32)
    for row, pose in enumerate(pose_of_row):
        # Rows of one pose stand together.
        again = row > 0 and pose_of_row[row - 1] == pose
        vertices[row] = vertices[row - 1] if again else _head(paths[pose], shape, paths[0])
    return vertices


def _head(path: Path, shape: tuple[int, ...], first: Path) -> Floats:
    vertices = read_ply(path).vertices
    if vertices.shape != shape:
        raise InconsistentData(
            f"has {len(vertices)} vertices, and {first.name} has {shape[0]}",
            file=str(path),
            hint="the folder mixes meshes of two runs or two head models: keep those of one",
        )
    return vertices * UNITS_PER_METRE


def _no_meshes(what: str, where: str) -> NotFoundError:
    return NotFoundError(
        f"{what}: GaussianTalker initialises its points from them",
        where=where,
        hint="being-remote sync --only meshes",
    )


def _flame(export: Export) -> tuple[Floats32, Floats32]:
    """Shape (1, n) of the first frame and expressions (N, m), as stored."""
    frames = list(read_frames(export, ("exp", "shape")))
    expressions = np.concatenate([np.asarray(frame.flame_for("exp"), np.float32) for frame in frames])
    return np.array(frames[0].flame_for("shape"), np.float32), expressions


def _transforms(export: Export, ids: list[int], part: slice) -> Iterator[bytes]:
    w, h = export.size_wh
    # w / 2, not cx: the reader doubles it to get the size of the pictures.
    head = {"focal_len": float(export.K[0, 0]), "cx": w / 2, "cy": h / 2}
    cameras = export.cameras
    sounds = ids if cameras.times_s is None else np.rint(cameras.times_s * FEATURE_FPS).astype(int).tolist()
    poses = opengl_c2w(cameras.R[part], cameras.t[part])
    return document(
        head,
        (
            f'{{"img_id": {number}, "aud_id": {sound}, "transform_matrix": {pose}}}'
            for number, sound, pose in zip(ids[part], sounds[part], rows(poses), strict=True)
        ),
    )


TARGET = Target(
    name="gaussiantalker",
    folder="gaussiantalker",
    main_files=("transforms_train.json", "transforms_val.json", PARAMS),
    notes=NOTES,
    files=files,
    canvas="recentred",
    ignores_principal_point=True,
    one_focal=True,
    needs=("checkpoints", "meshes", "torch"),
    image_names=image_names,
    by_source_number=True,
    remarks=remarks,
    check=check,
)


def _torch_bytes(value: dict[str, Any]) -> Iterator[bytes]:
    """What torch.save writes for `value`, in pieces."""
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    with buffer.getbuffer() as whole:
        for start in range(0, len(whole), _PIECE_BYTES):
            yield bytes(whole[start : start + _PIECE_BYTES])


@dataclass(frozen=True, eq=False)
class CanvasLandmarks:
    """Landmarks of all frames."""

    points: Floats  # (N, 68, 2) canvas pixels, corner convention; may lie outside the picture
    # indices of the frames in which the tracker found no face; each has the landmarks of the nearest frame
    # with one
    without_face: tuple[int, ...]


def canvas_landmarks(export: Export) -> CanvasLandmarks | None:
    """Read the landmarks of every frame of an export; None where there are none."""
    folder = export.run.kpt
    if folder is None:
        return None
    cameras = export.cameras
    points = np.zeros((len(cameras.frame_ids), SPARSE, 2))
    with_face = []
    for i, number in enumerate(cameras.source_numbers.tolist()):
        path = folder / landmark_name(number - export.run.kpt_offset)
        if not path.exists():
            raise NotFoundError(
                f"the landmarks of frame {cameras.frame_ids[i]:05d} (source/{number:05d}) are missing",
                where=str(path),
                hint="being-remote sync --only kpt",
            )
        found = read_landmarks(path, SPARSE)
        if found is not None:
            points[i] = to_source(cameras.crop, found)
            with_face.append(i)
    if not with_face:
        return None
    A = export.canvas.A
    points = (points * A.diagonal()[:2] + A[:2, 2])[nearest(np.array(with_face), len(points))]
    return CanvasLandmarks(points, tuple(sorted(set(range(len(points))) - set(with_face))))


def nearest(known: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """For each of 0..count-1 the nearest of the sorted numbers `known`; the earlier one of a tie.

    Example:
        >>> nearest(np.array([1, 4]), 6).tolist()
        [1, 1, 1, 4, 4, 4]
    """
    wanted = np.arange(count)
    after = np.searchsorted(known, wanted).clip(max=len(known) - 1)
    before = (after - 1).clip(min=0)
    earlier = np.abs(wanted - known[before]) <= np.abs(known[after] - wanted)
    return np.asarray(np.where(earlier, known[before], known[after]))
