"""The files of a finished metrical-tracker run but its pictures and landmarks.

Keys, shapes and types are the tracker's own, saved with torch, so that a reader of real runs reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from being_remote.demo.tracker_recipe import frame_dict

Floats = NDArray[np.float64]


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
    import torch

    input_folder, output_folder = checkout / "input" / name, checkout / "output" / name
    config_path = checkout / "configs" / "actors" / f"{name}.yml"
    shape = (rng.normal(0, 1, (1, 300)) * 0.8).astype(np.float32)
    for folder in ("checkpoint", "mesh", "logs"):
        (output_folder / folder).mkdir(parents=True, exist_ok=True)
    input_folder.mkdir(parents=True, exist_ok=True)
    np.save(input_folder / "identity.npy", shape[0])
    if run.box is not None:
        torch.save(np.array(run.box), input_folder / "bbox.pt")
    ply = mesh_bytes(run.vertices, run.faces)
    for i in range(len(run.R)):
        frame = frame_dict(i, run.K_crop, run.R[i], run.t[i], run.image_size_wh, shape, rng)
        torch.save(frame, output_folder / "checkpoint" / f"{i:05d}.frame")
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
