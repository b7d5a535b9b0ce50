"""Genuine `.frame` and bbox.pt files for the tests, written by torch.save as the tracker does."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from being_remote.camera.intrinsics import from_ndc
from being_remote.camera.pose import opencv_from_pytorch3d, rotation_from_6d

# A float32 that numpy warns of when it is made wider: its second-highest bit of the fraction is clear.
SIGNALLING_NAN = np.frombuffer(bytes([1, 0, 128, 127]), "<f4")[0]


def content(
    frame_id: str = "00000", *, seed: int = 0, size_hw: tuple[int, int] = (512, 512)
) -> dict[str, Any]:
    """What the tracker puts into one `.frame`: float32 throughout, both camera blocks agreeing."""
    rng = np.random.default_rng(seed)

    def f4(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    r6, T = f4(1, 6), np.array([[0.01, -0.02, 1.1]], np.float32)
    fl, pp = np.array([[9.13]], np.float32), np.array([[0.004, 0.023]], np.float32)
    # The clone of a transposed torch tensor keeps its strides, so the real R is stored column by column.
    R, t = opencv_from_pytorch3d(rotation_from_6d(r6), T)
    K = from_ndc(fl, pp, (size_hw[1], size_hw[0]))
    return {
        "flame": {
            "exp": f4(1, 100),
            "shape": f4(1, 300),
            "tex": f4(1, 140),
            "sh": f4(1, 9, 3),
            "eyes": f4(1, 12),
            "eyelids": f4(1, 2),
            "jaw": f4(1, 6),
        },
        "camera": {"R": r6, "t": T, "fl": fl, "pp": pp},
        "opencv": {
            "R": np.asfortranarray(R.astype(np.float32)),
            "t": t.astype(np.float32),
            "K": K.astype(np.float32),
        },
        "img_size": np.array(size_hw),
        "frame_id": frame_id,
        "global_step": 1234,
    }


def saved(value: Any) -> bytes:
    """The bytes that torch.save writes for `value`."""
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def write_frame(folder: Path, frame_id: str = "00000", **more: Any) -> Path:
    """One genuine `.frame` in `folder`."""
    path = folder / f"{frame_id}.frame"
    path.write_bytes(saved(content(frame_id, **more)))
    return path


def pickle_in(data: bytes) -> bytes:
    """The stored pickle of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(next(n for n in archive.namelist() if n.endswith("/data.pkl")))


def with_pickle(data: bytes, pickled: bytes) -> bytes:
    """The same archive around another pickle, checksums right."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {n: archive.read(n) for n in archive.namelist()}
    return archived({n: pickled if n.endswith("/data.pkl") else body for n, body in parts.items()})


def archived(parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, body in parts.items():
            archive.writestr(zipfile.ZipInfo(name), body, compression)
    return buffer.getvalue()


def as_numpy_1(data: bytes) -> bytes:
    """The same file as numpy 1 would have written it."""
    return with_pickle(
        data, pickle_in(data).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    )
