"""Each format read back by its reader's documented rule, in code that shares nothing with the writers.

A reader takes an export's folder and returns one projection for each frame, by the picture's name:
world point -> continuous pixel of the trainer's picture, corner convention, as that trainer has it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

Projection = Callable[[np.ndarray], np.ndarray]
Views = dict[str, Projection]
Reader = Callable[[Path], Views]


def pinhole(fx: float, fy: float, cx: float, cy: float, R: np.ndarray, t: np.ndarray) -> Projection:
    def project(X: np.ndarray) -> np.ndarray:
        x, y, z = np.moveaxis(np.asarray(X) @ np.asarray(R).T + t, -1, 0)
        return np.stack([fx * x / z + cx, fy * y / z + cy], axis=-1)

    return project


def cameras_json(folder: Path) -> Views:
    """Its own words: X_cam = R X + t, K in corner pixels."""
    document = json.loads((folder / "cameras.json").read_text())
    (fx, _, cx), (_, fy, cy), _ = document["K"]
    return {
        f["file"]: pinhole(fx, fy, cx, cy, np.array(f["R"]), np.array(f["t"])) for f in document["frames"]
    }


def cameras_npz(folder: Path) -> Views:
    """For OpenCV: centre-on-integers K, so half a pixel is added to get the corner's."""
    with np.load(folder / "cameras.npz", allow_pickle=False) as a:
        (fx, _, cx), (_, fy, cy), _ = a["K_opencv"].tolist()
        return {
            f"{n:05d}.png": pinhole(fx, fy, cx + 0.5, cy + 0.5, R, t)
            for n, R, t in zip(a["source_numbers"], a["R"], a["t"], strict=True)
        }


def nerfstudio(folder: Path) -> Views:
    """OpenGL camera-to-world; the ray of pixel index i is ((i + 0.5 - cx) / fx, -(j + 0.5 - cy) / fy, -1)."""
    d = json.loads((folder / "transforms.json").read_text())
    views = {}
    for f in d["frames"]:
        w2c = np.linalg.inv(np.array(f["transform_matrix"]))
        to_cv = np.diag([1.0, -1.0, -1.0])
        views[Path(f["file_path"]).name] = pinhole(
            d["fl_x"], d["fl_y"], d["cx"], d["cy"], to_cv @ w2c[:3, :3], to_cv @ w2c[:3, 3]
        )
    return views


def rotation_of(w: float, x: float, y: float, z: float) -> np.ndarray:
    """Hamilton's quaternion as COLMAP documents it."""
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def colmap(folder: Path) -> Views:
    """cameras.txt, then two lines an image: ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, and its points."""
    cameras = {}
    for line in (folder / "sparse/0/cameras.txt").read_text().splitlines():
        if not line.startswith("#"):
            number, model, _, _, *values = line.split()
            assert model == "PINHOLE"
            cameras[number] = [float(v) for v in values]
    lines = [s for s in (folder / "sparse/0/images.txt").read_text().splitlines() if not s.startswith("#")]
    assert len(lines) % 2 == 0
    views = {}
    for line in lines[::2]:
        fields = line.split()
        q, t = [float(v) for v in fields[1:5]], np.array([float(v) for v in fields[5:8]])
        views[fields[9]] = pinhole(*cameras[fields[8]], rotation_of(*q), t)
    assert not any(lines[1::2])
    return views


def insta_cpp(folder: Path, name: str = "transforms.json") -> Views:
    """f from x_fov and y_fov over the picture's size, the centre from cx / w; axes as OpenCV's."""
    d = json.loads((folder / name).read_text())
    fx, fy = (d[s] / 2 / np.tan(np.radians(d[a]) / 2) for s, a in (("w", "x_fov"), ("h", "y_fov")))
    centre = d["cx"] / d["w"] * d["w"], d["cy"] / d["h"] * d["h"]
    return {
        Path(f["file_path"]).name: pinhole(fx, fy, *centre, w2c[:3, :3], w2c[:3, 3])
        for f in d["frames"]
        for w2c in [np.linalg.inv(np.array(f["transform_matrix"]))]
    }


def insta_pytorch(folder: Path, name: str = "transforms_train.json") -> Views:
    """fl_x, fl_y, cx, cy; rays at +0.5."""
    d = json.loads((folder / name).read_text())
    return {
        Path(f["file_path"]).name: pinhole(d["fl_x"], d["fl_y"], d["cx"], d["cy"], w2c[:3, :3], w2c[:3, 3])
        for f in d["frames"]
        for w2c in [np.linalg.inv(np.array(f["transform_matrix"]))]
    }


def gaussian_avatars(folder: Path) -> Views:
    """Columns 1 and 2 of c2w negated, inverted; one angle for both axes; the picture's middle.

    The rasteriser puts view-space x / z = 0 at ((0 + 1) * W - 1) / 2 between integer pixels: the middle.
    """
    views = {}
    for split in ("train", "val", "test"):
        for f in json.loads((folder / f"transforms_{split}.json").read_text())["frames"]:
            c2w = np.array(f["transform_matrix"])
            c2w[:3, 1:3] *= -1
            w2c = np.linalg.inv(c2w)
            focal = f["w"] / (2 * np.tan(f["camera_angle_x"] / 2))
            middle = ((0 + 1) * f["w"] - 1) / 2 + 0.5, ((0 + 1) * f["h"] - 1) / 2 + 0.5
            views[Path(f["file_path"]).name] = pinhole(focal, focal, *middle, w2c[:3, :3], w2c[:3, 3])
    return views
