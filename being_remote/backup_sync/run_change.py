"""Does the host hold another run than the backup? Decided by the crop box and the camera.

All frames of one run share one K and one box: if either differs, the files must not be mixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import DataError
from being_remote.tracker.layout import BBOX, CHECKPOINT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRIES = 3


def other_run(arrived: Mapping[str, Path], live: Mapping[str, Path], still: Mapping[str, Path]) -> str | None:
    """Why the files that arrived are of another run than the live ones; None when nothing says so.

    While the host itself holds frames of the earlier camera, another camera is a new version of single
    frames: see `changed_cameras`.

    All by path in the backup; `still` are those of the live files that the host has, too.
    """
    if BBOX in arrived and BBOX in live:
        new, old = _read_box(arrived[BBOX]), _read_box(live[BBOX])
        if new and old and new != old:
            return f"its bbox.pt is {list(new)}, the backup's is {list(old)} (x_min, x_max, y_min, y_max)"
    if other_camera(arrived, still) is not None:
        return None
    return other_camera(arrived, live)


def other_camera(some: Mapping[str, Path], others: Mapping[str, Path]) -> str | None:
    """Why two sets of frames are not of one run: the first and the last of `some` are looked at."""
    import numpy as np

    names, old = _frames(some), _first_K(others)
    if not names or old is None:
        return None
    for name in dict.fromkeys((names[0], names[-1])):
        new = _K(name, some[name])
        if new is not None and not np.array_equal(new, old):
            return f"{name} has {_camera_text(new)}; the earlier frames have {_camera_text(old)}"
    return None


def same_camera(some: Mapping[str, Path], others: Mapping[str, Path]) -> bool:
    """Whether the first frames that can be read of two states of a backup have one camera.

    Both give their contents by path in the backup.
    """
    import numpy as np

    one, other = _first_K(some), _first_K(others)
    return one is not None and other is not None and np.array_equal(one, other)


def changed_cameras(arrived: Mapping[str, Path], live: Mapping[str, Path], snapshot: int) -> dict[str, str]:
    """Frames that arrived with another camera than their live versions, or the live frames, have.

    By path; both cameras in words. `snapshot` is the one that keeps the live ones.
    """
    import numpy as np

    changed, frames = dict[str, str](), _frames(arrived)
    first = _first_K(live) if frames else None
    for path in frames:
        new, old = _K(path, arrived[path]), _K(path, live[path]) if path in live else first
        if new is not None and old is not None and not np.array_equal(new, old):
            changed[path] = f"{_camera_text(new)}; before, in snapshot {snapshot}, {_camera_text(old)}"
    return changed


def _camera_text(K: NDArray[np.float64]) -> str:
    return f"f {K[0, 0]:.3f}, c {K[0, 2]:.3f} {K[1, 2]:.3f}"


def _frames(files: Iterable[str]) -> list[str]:
    return sorted(path for path in files if path.startswith(f"{CHECKPOINT}/"))


def _first_K(files: Mapping[str, Path]) -> NDArray[np.float64] | None:
    """The camera of the first readable one; a backup made by hand may begin with a torn file."""
    return next((K for path in _frames(files)[:TRIES] if (K := _K(path, files[path])) is not None), None)


def _K(path: str, file: Path) -> NDArray[np.float64] | None:
    """The camera of the frame at `path`, whose bytes lie in `file`, which may have any name."""
    from being_remote.tracker.frame_file import MAX_FRAME_BYTES, parse_frame, read_bytes

    try:
        return parse_frame(read_bytes(file, MAX_FRAME_BYTES), path).K
    except DataError:
        return None


def _read_box(file: Path) -> tuple[int, int, int, int] | None:
    from being_remote.tracker.box_file import read_box

    try:
        return read_box(file)
    except DataError:
        return None
