"""The camera that every `.frame` stores twice, for PyTorch3D and for OpenCV: do the two agree.

Works on N frames at once. An edited file, or one of a fork, contradicts itself here. The relations
are the tracker's own (`opencv_from_cameras_projection`), with room for float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from being_remote.camera.intrinsics import from_ndc
from being_remote.camera.pose import opencv_from_pytorch3d, rotation_from_6d

if TYPE_CHECKING:
    Floats = np.ndarray[Any, np.dtype[np.float64]]

# float32 is what is stored; these are some hundred of its steps, and far below what an edit changes.
ROTATION_TOLERANCE = 1e-4
RELATIVE_TOLERANCE = 1e-5

# Attribute of CameraBlocks -> key in the file.
_KEYS = {
    "K": "opencv.K",
    "R": "opencv.R",
    "t": "opencv.t",
    "r6_p3d": "camera.R",
    "T_p3d": "camera.t",
    "focal_ndc": "camera.fl",
    "principal_ndc": "camera.pp",
}
_PAIRED = ("r6_p3d", "T_p3d", "focal_ndc", "principal_ndc")
_SHAPES = {
    "K": (3, 3),
    "R": (3, 3),
    "t": (3,),
    "r6_p3d": (6,),
    "T_p3d": (3,),
    "focal_ndc": (1,),
    "principal_ndc": (2,),
}


class Entries(Protocol):
    """A file's arrays by their dotted keys."""

    def __contains__(self, key: str) -> bool:
        """Whether there is one."""

    def array(self, key: str) -> np.ndarray[Any, np.dtype[Any]]:
        """The array as stored."""


@dataclass(frozen=True, eq=False)
class CameraBlocks:
    """Both blocks of N frames, float64; `_p3d` and `_ndc` are PyTorch3D's conventions.

    `paired` says of each frame whether it has PyTorch3D's block; where not, that block is zeros.
    """

    K: Floats
    R: Floats
    t: Floats
    r6_p3d: Floats
    T_p3d: Floats
    focal_ndc: Floats
    principal_ndc: Floats
    paired: np.ndarray[Any, np.dtype[np.bool_]]

    @staticmethod
    def entries() -> tuple[str, ...]:
        """The entries that hold the two blocks."""
        return tuple(_KEYS.values())

    @staticmethod
    def empty(count: int) -> CameraBlocks:
        """Room for `count` frames."""
        blocks = {name: np.zeros((count, *shape)) for name, shape in _SHAPES.items()}
        return CameraBlocks(**blocks, paired=np.zeros(count, dtype=bool))

    def put(self, i: int, stored: Entries) -> None:
        """Copy frame i out of its file."""
        self.paired[i] = all(_KEYS[name] in stored for name in _PAIRED)
        for name, key in _KEYS.items():
            if name not in _PAIRED or self.paired[i]:
                getattr(self, name)[i] = stored.array(key)[0]

    def without(self, i: int) -> CameraBlocks:
        """The same without frame i."""
        every = (*_KEYS, "paired")
        return CameraBlocks(**{name: np.delete(getattr(self, name), i, axis=0) for name in every})

    def contradiction(self, size_wh: tuple[int, int]) -> tuple[int, str] | None:
        """The first frame that is no sound camera, and what is wrong with it; None when all are."""
        with np.errstate(all="ignore"):
            return next(self._contradictions(size_wh), None)

    def contradictions(self, size_wh: tuple[int, int]) -> list[tuple[int, str]]:
        """Every relation that does not hold, each with the first frame where."""
        with np.errstate(all="ignore"):
            return list(self._contradictions(size_wh))

    # Numbers that overflow here become inf or nan, and fail every `<=`.

    def _contradictions(self, size_wh: tuple[int, int]) -> Iterator[tuple[int, str]]:
        endless = self._endless()
        if endless:
            yield endless
            return
        yield from self._unsound()
        if self._flat_r6() is None:
            yield from self._other_pose()
        yield from self._other_K(size_wh)

    def _endless(self) -> tuple[int, str] | None:
        finite = np.ones(len(self.K), dtype=bool)
        for name in _KEYS:
            values = getattr(self, name)
            finite &= np.isfinite(values).reshape(len(values), -1).all(axis=1)
        first = _first(~finite)
        if first is not None:
            return first, "its camera holds numbers that are not finite"
        return None

    def _unsound(self) -> Iterator[tuple[int, str]]:
        K, R = self.K, self.R
        off = np.abs(R @ np.swapaxes(R, 1, 2) - np.eye(3)).max(axis=(1, 2))
        first = _first(~((off <= ROTATION_TOLERANCE) & (np.linalg.det(R) > 0)))
        if first is not None:
            yield first, f"opencv.R is no rotation (orthonormal, determinant +1): {_text(R[first])}"
        first = _first(
            (K[:, 0, 0] <= 0)
            | (K[:, 1, 1] <= 0)
            | (K[:, 0, 1] != 0)
            | (K[:, 1, 0] != 0)
            | (K[:, 2] != (0, 0, 1)).any(axis=1)
        )
        if first is not None:
            yield first, f"opencv.K is no camera matrix: {_text(K[first])}"
        first = self._flat_r6()
        if first is not None:
            yield first, f"camera.R is no rotation, its two rows span no plane: {_text(self.r6_p3d[first])}"

    def _flat_r6(self) -> int | None:
        r6 = self.r6_p3d
        lengths = np.linalg.norm(r6.reshape(-1, 2, 3), axis=2)
        area = np.linalg.norm(np.cross(r6[:, :3], r6[:, 3:]), axis=1) / lengths.prod(axis=1)
        sound = (lengths.min(axis=1) > 1e-6) & (lengths.max(axis=1) < 1e6) & (area > 1e-6)
        return _first(self.paired & ~sound)

    def _other_pose(self) -> Iterator[tuple[int, str]]:
        # Where there is no second block any rotation will do: nothing is compared with it.
        r6 = np.where(self.paired[:, None], self.r6_p3d, np.eye(3)[:2].ravel())
        R, t = opencv_from_pytorch3d(rotation_from_6d(r6), self.T_p3d)
        first = _first(self.paired & ~(np.abs(self.R - R).max(axis=(1, 2)) <= ROTATION_TOLERANCE))
        if first is not None:
            yield first, f"opencv.R {_text(self.R[first])} and camera.R, which is {_text(R[first])}, differ"
        room = RELATIVE_TOLERANCE * np.maximum(1.0, np.abs(t).max(axis=1))
        first = _first(self.paired & ~(np.abs(self.t - t).max(axis=1) <= room))
        if first is not None:
            yield first, f"opencv.t {_text(self.t[first])} and camera.t, which is {_text(t[first])}, differ"

    def _other_K(self, size_wh: tuple[int, int]) -> Iterator[tuple[int, str]]:
        K = from_ndc(self.focal_ndc, self.principal_ndc, size_wh)
        room = RELATIVE_TOLERANCE * np.maximum(max(size_wh), np.abs(K).max(axis=(1, 2)))
        first = _first(self.paired & ~(np.abs(self.K - K).max(axis=(1, 2)) <= room))
        if first is not None:
            a, b = _text(self.K[first]), _text(K[first])
            yield first, f"opencv.K {a} and the K of camera.fl, camera.pp and img_size, {b}, differ"


def _first(wrong: Sequence[bool] | np.ndarray[Any, np.dtype[np.bool_]]) -> int | None:
    found = np.flatnonzero(wrong)
    return int(found[0]) if len(found) else None


def _text(values: Floats) -> str:
    return str(np.round(values, 4).tolist())
