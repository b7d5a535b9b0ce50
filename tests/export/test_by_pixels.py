"""Markers drawn on a source frame, cropped as the tracker crops, found again where each reader looks.

Nothing here uses the package's maps: the crop is cut from the documented recipe, canvases are cut
from their numbers, markers are found by their brightness, and cameras are read back from the files.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import trainer_readers as readers
from export_cases import cameras_of, turn

from being_remote.camera.canvas import Canvas, recentred_square
from being_remote.camera.crop import crop_from_box
from being_remote.export import TARGETS, Cameras, RunFiles, prepare, write
from being_remote.export.target import CanvasChoice

SIZE_WH = (960, 540)
IMAGE = 256
BOXES = {
    "inside": (221, 621, 60, 460),
    "cut below": (300, 700, 189, 539),
    "cut left": (0, 300, 100, 440),
    "enlarged": (400, 600, 200, 400),
}
SIGMA = 4.0


def drawn(box: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A frame with blobs at fractional places inside the box, and those places: (n, 2), corner pixels."""
    x_min, x_max, y_min, y_max = box
    xs, ys = np.arange(x_min + 25, x_max - 24, 50.0), np.arange(y_min + 25, y_max - 24, 50.0)
    places = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    places += np.random.default_rng(3).uniform(-3, 3, places.shape)
    columns, rows = np.arange(SIZE_WH[0]) + 0.5, np.arange(SIZE_WH[1]) + 0.5
    frame = np.zeros(SIZE_WH[::-1])
    for x, y in places:
        frame += 230 * np.outer(
            np.exp(-((rows - y) ** 2) / 2 / SIGMA**2), np.exp(-((columns - x) ** 2) / 2 / SIGMA**2)
        )
    return frame.round().astype(np.uint8), places


def cropped(frame: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Cut at the box but never the last row or column, pad the shorter side with zeros, resize."""
    h, w = frame.shape
    x_min, x_max, y_min, y_max = box
    cut = frame[y_min : min(y_max, h - 1), x_min : min(x_max, w - 1)]
    longer = max(cut.shape)
    rows, columns = int((longer - cut.shape[0]) / 2), int((longer - cut.shape[1]) / 2)
    padded = np.pad(cut, ((rows, rows), (columns, columns)))
    return cv2.resize(padded, (IMAGE, IMAGE), interpolation=cv2.INTER_CUBIC)


def found(picture: np.ndarray, near: np.ndarray, reach: float) -> np.ndarray:
    """The centres of brightness around `near`, corner pixels."""
    centres = []
    for x, y in near:
        left, top = max(round(x - reach), 0), max(round(y - reach), 0)
        part = picture[top : round(y + reach), left : round(x + reach)].astype(float)
        rows, columns = np.mgrid[: part.shape[0], : part.shape[1]] + 0.5
        centres.append([(part * columns).sum() / part.sum() + left, (part * rows).sum() / part.sum() + top])
    return np.array(centres)


def cut_out(frame: np.ndarray, canvas: Canvas, interpolation: int = cv2.INTER_CUBIC) -> np.ndarray:
    """The canvas's picture by its numbers alone."""
    picture = np.zeros((canvas.height, canvas.width), np.uint8)
    x_min, x_max, y_min, y_max = canvas.shown
    for y in range(canvas.height):
        for_row = y + canvas.y_min
        if y_min <= for_row < y_max:
            left, right = max(x_min, canvas.x_min), min(x_max, canvas.x_min + canvas.width)
            picture[y, left - canvas.x_min : right - canvas.x_min] = frame[for_row, left:right]
    if canvas.resampled:
        picture = cv2.resize(picture, canvas.out_size_wh, interpolation=interpolation)
    return picture


@pytest.fixture(scope="module", params=BOXES)
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[np.ndarray, np.ndarray, Cameras, np.ndarray, Path]:
    """The frame, its markers, cameras fitted to the crop's pixels, and each marker in the world."""
    import torch

    from being_remote.demo.tracker_recipe import frame_dict

    box = BOXES[request.param]
    frame, places = drawn(box)
    crop = crop_from_box(box, SIZE_WH, (IMAGE, IMAGE))
    scale = crop.side / IMAGE
    in_crop = found(cropped(frame, box), (places - crop.origin) / scale, 20 / scale)
    K = np.array([[4.6 * IMAGE, 0, 0.491 * IMAGE], [0, 4.6 * IMAGE, 0.523 * IMAGE], [0, 0, 1]])
    R, t = np.stack([turn(0.2), turn(-0.4)]), np.array([[0.02, -0.01, 1.1], [0.0, 0.03, 0.9]])
    # What a perfect fit knows: where in the crop each point was seen, and how deep it lies.
    depth = np.linspace(0.8, 1.3, len(places))
    rays = np.column_stack([in_crop, np.ones(len(places))]) @ np.linalg.inv(K).T * depth[:, None]
    world = np.stack([(rays - t[i]) @ R[i] for i in range(2)])
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    for i in range(2):
        stored = frame_dict(i, K, R[i], t[i], (IMAGE, IMAGE), np.zeros((1, 300), np.float32), rng)
        torch.save(stored, folder / f"{i:05d}.frame")
    return frame, places, cameras_of(crop, K, R, t), world, folder


CASES = [
    ("json", readers.cameras_json, None, 0.05),
    ("npz", readers.cameras_npz, None, 0.05),
    ("nerfstudio", readers.nerfstudio, None, 0.05),
    ("nerfstudio", readers.nerfstudio, "crop", 0.05),
    ("nerfstudio", readers.nerfstudio, (300, 400), 0.05),
    ("colmap", readers.colmap, None, 0.05),
    ("colmap", readers.colmap, "crop", 0.05),
    ("insta", readers.insta_cpp, None, 0.05),
    ("insta", readers.insta_cpp, "crop", 0.05),
    ("gaussian-avatars", readers.gaussian_avatars, None, 0.05 + 0.25),
    ("gaussian-avatars", readers.gaussian_avatars, (301, 400), 0.05 + 0.5),
]


@pytest.mark.parametrize(("name", "read", "canvas", "limit_px"), CASES)
def test_each_reader_looks_for_every_marker_where_it_is_in_the_picture(
    name: str,
    read: readers.Reader,
    canvas: CanvasChoice,
    limit_px: float,
    scene: tuple[np.ndarray, np.ndarray, Cameras, np.ndarray, Path],
    tmp_path: Path,
) -> None:
    frame, places, cameras, world, folder = scene
    target = TARGETS[name]
    export = prepare(target, cameras, RunFiles(checkpoints=folder), canvas=canvas)
    write(target, export, tmp_path)
    picture = cut_out(frame, export.canvas)
    scale = np.array([export.canvas.scale_x, export.canvas.scale_y])
    expected = (places - (export.canvas.x_min, export.canvas.y_min)) * scale
    reach = 20 * scale.max()
    inside = ((expected > reach) & (expected < np.array(export.size_wh) - reach)).all(axis=1)
    assert inside.sum() >= 4
    seen = found(picture, expected[inside], reach)
    for i, view in enumerate(read(tmp_path / target.folder).values()):
        assert np.abs(view(world[i])[inside] - seen).max() <= limit_px


def test_cutting_the_crop_canvas_makes_the_tracker_s_own_picture(
    scene: tuple[np.ndarray, np.ndarray, Cameras, np.ndarray, Path],
) -> None:
    frame, _, cameras, _, _ = scene
    crop = cameras.crop
    box = (crop.x_min, crop.x_max, crop.y_min, crop.y_max)
    busy = np.random.default_rng(1).integers(0, 256, frame.shape, dtype=np.uint8)
    canvas = prepare(TARGETS["colmap"], cameras, canvas="crop").canvas
    assert np.array_equal(cut_out(busy, canvas), cropped(busy, box))


def test_a_trainer_fixed_at_one_size_sees_the_markers_on_its_resized_square(
    scene: tuple[np.ndarray, np.ndarray, Cameras, np.ndarray, Path],
) -> None:
    frame, places, cameras, world, _ = scene
    canvas = recentred_square(cameras.K_source, cameras.crop, 512)
    scale = 512 / canvas.width
    seen = found(cut_out(frame, canvas), (places - (canvas.x_min, canvas.y_min)) * scale, 20 * scale)
    # Such a trainer knows the focal length only, and puts the centre at 256.
    focal = cameras.K_source[0, 0] * scale
    for i in range(2):
        view = readers.pinhole(focal, focal, 256, 256, cameras.R[i], cameras.t[i])
        assert np.abs(view(world[i]) - seen).max() <= 0.25 + 0.05 * scale * 2


def test_the_markers_show_half_a_pixel(
    scene: tuple[np.ndarray, np.ndarray, Cameras, np.ndarray, Path], tmp_path: Path
) -> None:
    # The very same check with OpenCV's centre taken for the corner's: 0.5 px off at every marker.
    frame, places, cameras, world, _ = scene
    write(TARGETS["npz"], prepare(TARGETS["npz"], cameras), tmp_path)
    view = next(iter(readers.cameras_npz(tmp_path).values()))
    off = view(world[0]) - 0.5 - found(frame, places, 20)
    assert np.abs(off + 0.5).max() <= 0.05
