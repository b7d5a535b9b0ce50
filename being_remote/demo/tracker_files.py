"""Writes a run's numbers the way metrical-tracker writes them: `.frame`, bbox.pt, meshes, settings, logs.

Keys, shapes and types are the tracker's own, saved with torch, so that whatever reads a real run
reads this one. Poses come in as world-to-camera in OpenCV axes; both of the tracker's spellings
(PyTorch3D and OpenCV) are written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FLIP = np.array([-1.0, -1.0, 1.0])  # OpenCV camera axes <-> PyTorch3D's: x left, y up


def write_run(
    input_folder: Path,
    output_folder: Path,
    config_path: Path,
    *,
    box: tuple[int, int, int, int] | None,
    begin_frames: int,
    image_size_wh: tuple[int, int],
    K_crop: Floats,
    R: Floats,
    t: Floats,
    mesh: tuple[Floats, NDArray[np.int32]],
    rng: np.random.Generator,
) -> None:
    """Everything of a finished run but its pictures and landmarks.

    `K_crop` (3, 3) is in corner pixels of the network image; `R` (N, 3, 3), `t` (N, 3); `mesh` is
    vertices (V, 3) in metres and triangles (F, 3), written for every frame.
    """
    import torch

    shape = (rng.normal(0, 1, (1, 300)) * 0.8).astype(np.float32)
    for folder in ("checkpoint", "mesh", "logs"):
        (output_folder / folder).mkdir(parents=True, exist_ok=True)
    input_folder.mkdir(parents=True, exist_ok=True)
    np.save(input_folder / "identity.npy", shape[0])
    if box is not None:
        torch.save(np.array(box), input_folder / "bbox.pt")
    ply = mesh_bytes(*mesh)
    for i in range(len(R)):
        frame = frame_dict(i, K_crop, R[i], t[i], image_size_wh, shape, rng)
        torch.save(frame, output_folder / "checkpoint" / f"{i:05d}.frame")
        (output_folder / "mesh" / f"{i:05d}.ply").write_bytes(ply)
    lines = [f"Frame {i:05d} loss {0.031 + 0.002 * rng.random():.5f}\n" for i in range(len(R))]
    (output_folder / "train.log").write_text("".join(lines))
    (output_folder / "logs" / "events.out.tfevents.1700000000.pod").write_bytes(rng.bytes(2048))
    config_path.parent.mkdir(parents=True, exist_ok=True)
    config_path.write_text(_config(input_folder.name, begin_frames, image_size_wh, cropped=box is not None))


def frame_dict(
    frame_id: int,
    K_crop: Floats,
    R: Floats,
    t: Floats,
    image_size_wh: tuple[int, int],
    shape: NDArray[np.float32],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """One `.frame` as the tracker saves it. The NDC values are rounded to float32 first, as it fits them."""
    w, h = image_size_wh
    half = np.float32(min(w, h) / 2)
    focal = np.float32(K_crop[0, 0] / half)
    principal = ((np.array([w, h]) / 2 - K_crop[:2, 2]) / half).astype(np.float32)
    K = np.eye(3, dtype=np.float32)
    K[0, 0] = K[1, 1] = focal * half
    K[:2, 2] = np.array([w, h], np.float32) / np.float32(2) - principal * half
    R_rows = R.T * _FLIP  # row vectors: x_cam = x R + T
    # It talks and looks about: a frozen jaw would say that the settings beside it are another run's.
    opens, looks = np.radians([4 + 4 * np.sin(0.9 * frame_id), 6 * np.sin(0.31 * frame_id)])
    jaw_6d = np.array([[1, 0, 0, 0, np.cos(opens), -np.sin(opens)]])
    eye_6d = np.array([[np.cos(looks), 0, np.sin(looks), 0, 1, 0]])
    flame: dict[str, NDArray[Any]] = {
        "exp": rng.normal(0, 0.3, (1, 100)),
        "shape": shape,
        "tex": rng.normal(0, 0.5, (1, 140)),
        "sh": rng.normal(0, 0.2, (1, 9, 3)),
        "eyes": np.hstack([eye_6d, eye_6d]),
        "eyelids": rng.uniform(0, 0.2, (1, 2)),
        "jaw": jaw_6d,
    }
    return {
        "flame": {k: v.astype(np.float32) for k, v in flame.items()},
        "camera": {
            "R": R_rows[:2].reshape(1, 6).astype(np.float32),
            "t": (t * _FLIP)[None].astype(np.float32),
            "fl": np.array([[focal]], np.float32),
            "pp": principal[None],
        },
        "opencv": {"R": R[None].astype(np.float32), "t": t[None].astype(np.float32), "K": K[None]},
        "img_size": np.array([h, w]),
        "frame_id": f"{frame_id:05d}",
        "global_step": 200 * (frame_id + 1),
    }


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


def _config(actor: str, begin_frames: int, image_size_wh: tuple[int, int], *, cropped: bool) -> str:
    lines = [
        f"actor: './input/{actor}'",
        "save_folder: './output/'",
        "optimize_shape: true",
        "optimize_jaw: true",
        f"begin_frames: {begin_frames}",
        "keyframes: [ 0, 1 ]",
    ]
    if not cropped:
        lines.append("crop_image: false")
    if not cropped or image_size_wh != (512, 512):
        lines.append(f"image_size: [ {image_size_wh[1]}, {image_size_wh[0]} ] # height, width")
    return "\n".join(lines) + "\n"
