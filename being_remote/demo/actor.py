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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from being_remote.demo import head
from being_remote.demo.motion import Edge, full_frame_camera, motion
from being_remote.demo.tracker_files import GeneratedRun, write_run
from being_remote.demo.tracker_recipe import crop_image, crop_map, face_box, project

Floats = NDArray[np.float64]

FPS = 25
BBOX_SCALE = 2.5


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
