"""What another package adds to Being Remote, each in a few lines; `test_plugins.py` installs it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from being_remote.export import Export, Target
from being_remote.export.target import File


def _files(export: Export) -> Iterator[File]:
    cameras = export.cameras
    centres = -np.einsum("nji,nj->ni", cameras.R, cameras.t)
    rows = [
        f"{i},{x},{y},{z}\n"
        for i, (x, y, z) in zip(cameras.frame_ids.tolist(), centres.tolist(), strict=True)
    ]
    yield "centres.csv", [b"frame,x,y,z\n", "".join(rows).encode()]


CENTRES = Target(
    name="centres",
    folder="",
    main_files=("centres.csv",),
    pose="camera centres in the world, metres",
    pixels="none",
    honours=("R", "t"),
    notes=(),
    files=_files,
    fixed_canvas=True,
    K_per_frame=True,
)
