"""A generated actor: the files of a finished metrical-tracker run whose true camera is known.

A drawn head moves before a full-frame camera; its frames are cropped by the tracker's recipe, and the
camera is stored as the tracker stores it: seen from the crop, in float32. So what `recover` finds can be
compared with the camera that drew the pictures. The geometry shares no code with `camera/`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from being_remote.demo import head
from being_remote.demo.tracker_recipe import crop_image, crop_map, face_box, frame_dict, project
from being_remote.tracker.torch_file import bytes_for_numpy_1

Floats = NDArray[np.float64]
Edge = Literal["top", "bottom", "left", "right", "none"]

# The face's place, as fractions of width and height, where its box meets an edge.
_PLACES = {
    "top": (0.585, 0.366),
    "bottom": (0.45, 0.66),
    "left": (0.20, 0.50),
    "right": (0.80, 0.50),
    "none": (0.55, 0.51),
}

FPS = 25
BBOX_SCALE = 2.5


def full_frame_camera(size_wh: tuple[int, int], rng: np.random.Generator) -> Floats:
    """A long lens whose principal point is near the frame's centre, not on it."""
    w, h = size_wh
    focal = (4211.37 + rng.uniform(-60, 60)) * h / 1080
    off = rng.uniform(-0.012, 0.012, 2) * h
    return np.array([[focal, 0, w / 2 + off[0]], [0, focal, h / 2 + off[1]], [0, 0, 1.0]])


def motion(
    K: Floats, size_wh: tuple[int, int], edge: Edge, count: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """World-to-camera (count, 3, 3) and (count, 3): a person who looks around while talking."""
    depth = 1.5
    face_xy = np.array(_PLACES[edge]) * size_wh
    centre_xy = face_xy - [0, 69 * size_wh[1] / 1080]  # the face's landmarks lie below the head's middle
    phase = rng.uniform(0, 2 * np.pi, 6)
    turn = np.arange(count)[:, None] * (2 * np.pi / np.array([38, 29, 47, 41, 31, 53])) + phase
    yaw, pitch, roll, *_ = (np.sin(turn) * [0.20, 0.09, 0.05, 0, 0, 0]).T
    about_y = _stack(np.cos(yaw), 0, np.sin(yaw), 0, 1, 0, -np.sin(yaw), 0, np.cos(yaw))
    about_x = _stack(1, 0, 0, 0, np.cos(pitch), -np.sin(pitch), 0, np.sin(pitch), np.cos(pitch))
    about_z = _stack(np.cos(roll), -np.sin(roll), 0, np.sin(roll), np.cos(roll), 0, 0, 0, 1)
    R = about_y @ about_x @ about_z @ np.diag([1.0, -1.0, -1.0])
    t = np.empty((count, 3))
    t[:, 2] = depth + 0.02 * np.sin(turn[:, 5])
    t[:, :2] = (centre_xy - K[:2, 2]) / K[0, 0] * depth + 0.009 * np.sin(turn[:, 3:5])
    return R, t


def _stack(*entries: Floats | float) -> Floats:
    """Nine numbers or arrays (N,) -> (N, 3, 3), row by row."""
    return np.stack(np.broadcast_arrays(*entries), axis=-1).reshape(-1, 3, 3).astype(np.float64)


@dataclass(frozen=True, eq=False)
class GeneratedRun:
    """What a run fitted."""

    # x_min, x_max, y_min, y_max of bbox.pt; None where the run does not crop
    box: tuple[int, int, int, int] | None
    begin_frames: int  # source images that it skipped
    image_size_wh: tuple[int, int]  # of the network image
    K_crop: Floats  # (3, 3) pixels of the network image, corner convention
    # (N, 3, 3), (N, 3) world-to-camera, OpenCV axes
    R: Floats
    t: Floats
    # (V, 3) metres and (F, 3), written for every frame
    vertices: Floats
    faces: NDArray[np.int32]


def write_run(checkout: Path, name: str, run: GeneratedRun, rng: np.random.Generator) -> None:
    """Write `input/<name>`, `output/<name>` and `configs/actors/<name>.yml` below a checkout."""
    input_folder, output_folder = checkout / "input" / name, checkout / "output" / name
    config_path = checkout / "configs" / "actors" / f"{name}.yml"
    shape = (rng.normal(0, 1, (1, 300)) * 0.8).astype(np.float32)
    for folder in ("checkpoint", "mesh", "logs"):
        (output_folder / folder).mkdir(parents=True, exist_ok=True)
    input_folder.mkdir(parents=True, exist_ok=True)
    np.save(input_folder / "identity.npy", shape[0])
    if run.box is not None:
        (input_folder / "bbox.pt").write_bytes(bytes_for_numpy_1(np.array(run.box)))
    ply = mesh_bytes(run.vertices, run.faces)
    for i in range(len(run.R)):
        frame = frame_dict(i, run.K_crop, run.R[i], run.t[i], run.image_size_wh, shape, rng)
        (output_folder / "checkpoint" / f"{i:05d}.frame").write_bytes(bytes_for_numpy_1(frame))
        (output_folder / "mesh" / f"{i:05d}.ply").write_bytes(ply)
    lines = [f"Frame {i:05d} loss {0.031 + 0.002 * rng.random():.5f}\n" for i in range(len(run.R))]
    (output_folder / "train.log").write_text("".join(lines))
    (output_folder / "logs" / "events.out.tfevents.1700000000.pod").write_bytes(rng.bytes(2048))
    config_path.parent.mkdir(parents=True, exist_ok=True)
    config_path.write_text(_config(name, run))


def mesh_bytes(vertices: Floats, faces: NDArray[np.int32]) -> bytes:
    """A binary .ply with float32 vertices, laid out as trimesh does."""
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment drawn head\n"
        f"element vertex {len(vertices)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.empty(len(faces), dtype=[("n", "u1"), ("corners", "<i4", (3,))])
    rows["n"], rows["corners"] = 3, faces
    return header.encode() + vertices.astype("<f4").tobytes() + rows.tobytes()


def _config(actor: str, run: GeneratedRun) -> str:
    lines = [
        f"actor: './input/{actor}'",
        "save_folder: './output/'",
        "optimize_shape: true",
        "optimize_jaw: true",
        f"begin_frames: {run.begin_frames}",
        "keyframes: [ 0, 1 ]",
    ]
    w, h = run.image_size_wh
    if run.box is None:
        lines.append("crop_image: false")
    if run.box is None or (w, h) != (512, 512):
        lines.append(f"image_size: [ {h}, {w} ] # height, width")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class ActorTruth:
    """What is known of a generated actor."""

    name: str
    # where the files lie
    input_folder: Path
    output_folder: Path
    K_source: Floats  # (3, 3) camera of the original frames, corner pixels, not rounded
    K_crop: Floats  # (3, 3) the same camera seen from the crop; the `.frame` files hold it in float32
    # (N, 3, 3), (N, 3) world-to-camera, OpenCV axes, one for each `.frame`
    R: Floats
    t: Floats
    # (V, 3) metres, world; (F, 3)
    vertices: Floats
    faces: NDArray[np.int32]
    markers: Floats  # (M, 3) metres, world: centres of the white dots in every picture
    # (x_min, x_max, y_min, y_max) as in bbox.pt; None where the run does not crop
    box: tuple[int, int, int, int] | None
    # source pixel = scale * crop pixel + origin
    scale_xy: tuple[float, float]
    origin_xy: tuple[int, int]
    size_wh: tuple[int, int]
    image_size_wh: tuple[int, int]
    source_numbers: tuple[int, ...]  # (N,) number in `source/` of each `.frame`
    # the same for every source image, also those that the run left out
    R_source: Floats
    t_source: Floats
    fps: int = FPS


@dataclass(frozen=True)
class ActorOptions:
    """How an actor is generated."""

    frames: int = 24  # how many `.frame` files; there are `begin_frames` more source images
    size_wh: tuple[int, int] = (1920, 1080)  # of the original video
    image_size_wh: tuple[int, int] = (512, 512)  # of the network image
    seed: int = 0  # varies the motion, the camera and the books on the shelf
    # x_min, x_max, y_min, y_max; default: the tracker's rule on the first frame
    box: tuple[int, int, int, int] | None = None
    edge: Edge = "top"  # the edge of the frame that clips the box by that rule
    crop_image: bool = True  # False: the tracker only resizes, and writes no bbox.pt
    begin_frames: int = 1  # source images that the run skips; the tracker's own configs skip one
    pictures: bool = True  # False: no image and no video, only numbers
    video: bool = True  # False: no video.mp4


def make_actor(tracker_root: Path, name: str = "demo", **options: Any) -> ActorTruth:
    """Write an actor and a finished run of it below a tracker checkout.

    Args:
        tracker_root: created if missing; gets `input/<name>`, `output/<name>`, `configs/actors/<name>.yml`.
        options: fields of `ActorOptions`.
    """
    made = ActorOptions(**options)
    rng = np.random.default_rng(made.seed)
    count = made.frames + made.begin_frames
    K_wanted = full_frame_camera(made.size_wh, rng)
    R, t = motion(K_wanted, made.size_wh, made.edge, count, rng)
    landmarks, box = head.landmarks_68(), made.box
    if not made.crop_image:
        box = None
    elif box is None:
        box = face_box(project(K_wanted, R[0], t[0], landmarks), made.size_wh, BBOX_SCALE)
    scale, origin = crop_map(box, made.size_wh, made.image_size_wh)
    # The tracker knows one focal length; with an odd box the full frame then has two.
    focal_crop = K_wanted[0, 0] / scale[0]
    centre_crop = (K_wanted[:2, 2] - origin) / scale
    K_crop = np.array([[focal_crop, 0, centre_crop[0]], [0, focal_crop, centre_crop[1]], [0, 0, 1.0]])
    A = np.array([[scale[0], 0, origin[0]], [0, scale[1], origin[1]], [0, 0, 1.0]])

    vertices, faces = head.mesh()
    run = GeneratedRun(
        box,
        made.begin_frames,
        made.image_size_wh,
        K_crop,
        R[made.begin_frames :],
        t[made.begin_frames :],
        vertices,
        faces,
    )
    write_run(tracker_root, name, run, rng)
    truth = ActorTruth(
        name=name,
        input_folder=tracker_root / "input" / name,
        output_folder=tracker_root / "output" / name,
        K_source=A @ K_crop,
        K_crop=K_crop,
        R=run.R,
        t=run.t,
        vertices=vertices,
        faces=faces,
        markers=head.marker_points(),
        box=box,
        scale_xy=(float(scale[0]), float(scale[1])),
        origin_xy=(int(origin[0]), int(origin[1])),
        size_wh=made.size_wh,
        image_size_wh=made.image_size_wh,
        source_numbers=tuple(range(made.begin_frames + 1, count + 1)),
        R_source=R,
        t_source=t,
    )
    for folder, points in (("kpt", landmarks), ("kpt_dense", head.landmarks_478())):
        (truth.input_folder / folder).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            np.save(truth.input_folder / folder / f"{i + 1:05d}.npy", project(K_crop, R[i], t[i], points))
    if made.pictures:
        _write_pictures(truth, made)
    return truth


def _write_pictures(truth: ActorTruth, options: ActorOptions) -> None:
    import cv2

    from being_remote.demo import picture

    R, t, begin_frames = truth.R_source, truth.t_source, options.begin_frames
    chin = project(truth.K_source, R[0], t[0], head.landmarks_68()[8:9])[0]
    studio = picture.make_studio(truth.size_wh, (float(chin[0]), float(chin[1])), options.seed)
    fast_png = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    folders = [truth.input_folder / "source", truth.input_folder / "images", truth.output_folder / "input"]
    for folder in (*folders, truth.output_folder / "video"):
        folder.mkdir(parents=True, exist_ok=True)

    def one(i: int) -> NDArray[np.uint8]:
        full = picture.draw(studio, truth.K_source, R[i], t[i])
        small = crop_image(full, truth.box, truth.image_size_wh)
        cv2.imwrite(str(folders[0] / f"{i + 1:05d}.png"), full, fast_png)
        cv2.imwrite(str(folders[1] / f"{i + 1:05d}.png"), small, fast_png)
        if i >= begin_frames:
            cv2.imwrite(str(folders[2] / f"{i - begin_frames:05d}.png"), small, fast_png)
        if begin_frames <= i < begin_frames + 3:
            strip = np.hstack([small, small, small])
            cv2.imwrite(str(truth.output_folder / "video" / f"{i - begin_frames:05d}.jpg"), strip)
        return full

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        indices = iter(range(len(R)))
        writer = None
        if options.video:
            path = str(truth.input_folder / "video.mp4")
            writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"mp4v"), FPS, truth.size_wh)
        # In small portions, so that a long actor does not hold all its frames at once.
        for full in _in_portions(pool, one, indices, 2 * workers):
            if writer is not None:
                writer.write(full)
        if writer is not None:
            writer.release()


def _in_portions(
    pool: ThreadPoolExecutor, work: Callable[[int], NDArray[np.uint8]], items: Iterator[int], size: int
) -> Iterator[NDArray[np.uint8]]:
    while portion := list(islice(items, size)):
        yield from pool.map(work, portion)
