"""The camera that every `.frame` stores twice, for PyTorch3D and for OpenCV: do the two agree?

Works on N frames at once. The relations are the tracker's own (`opencv_from_cameras_projection`), with
room for float32; a file that was edited, or written by a fork, contradicts itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Tuple

import numpy as np

from being_remote.camera.intrinsics import from_ndc
from being_remote.camera.pose import opencv_from_pytorch3d, rotation_from_6d
from being_remote.tracker.plain_pickle import as_float64

if TYPE_CHECKING:
    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Flags = np.ndarray[Any, np.dtype[np.bool_]]

# float32 is what is stored; these are some hundred of its steps, and far below what an edit changes.
ROTATION_TOLERANCE = 1e-4
RELATIVE_TOLERANCE = 1e-5

# Attribute of CameraBlocks -> key in the file, and shape.
_BLOCKS: Mapping[str, Tuple[str, Tuple[int, ...]]] = {
    "K": ("opencv.K", (3, 3)),
    "R": ("opencv.R", (3, 3)),
    "t": ("opencv.t", (3,)),
    "r6_p3d": ("camera.R", (6,)),
    "T_p3d": ("camera.t", (3,)),
    "focal_ndc": ("camera.fl", (1,)),
    "principal_ndc": ("camera.pp", (2,)),
}
_PAIRED = ("r6_p3d", "T_p3d", "focal_ndc", "principal_ndc")
ENTRIES = tuple(key for key, _ in _BLOCKS.values())


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
    paired: Flags

    @staticmethod
    def empty(count: int) -> CameraBlocks:
        blocks = {name: np.zeros((count, *shape)) for name, (_, shape) in _BLOCKS.items()}
        return CameraBlocks(**blocks, paired=np.zeros(count, dtype=bool))

    def put(self, i: int, arrays: Mapping[str, np.ndarray[Any, np.dtype[Any]]]) -> None:
        """Copy frame i out of its file's arrays, by their dotted keys."""
        self.paired[i] = all(_BLOCKS[name][0] in arrays for name in _PAIRED)
        for name, (key, _) in _BLOCKS.items():
            if name not in _PAIRED or self.paired[i]:
                getattr(self, name)[i] = as_float64(arrays[key][0])

    def without(self, i: int) -> CameraBlocks:
        """The same without frame i."""
        every = (*_BLOCKS, "paired")
        return CameraBlocks(**{name: np.delete(getattr(self, name), i, axis=0) for name in every})

    def contradiction(self, size_wh: tuple[int, int]) -> tuple[int, str] | None:
        """The first frame without a sound camera, and what is wrong with it; None when all are sound."""
        with np.errstate(all="ignore"):
            return next(self._contradictions(size_wh), None)

    def contradictions(self, size_wh: tuple[int, int]) -> list[tuple[int, str]]:
        """Every relation that does not hold, each with the first frame where."""
        with np.errstate(all="ignore"):
            return list(self._contradictions(size_wh))

    def _contradictions(self, size_wh: tuple[int, int]) -> Iterator[tuple[int, str]]:
        finite = np.ones(len(self.K), dtype=bool)
        for name in _BLOCKS:
            values = getattr(self, name)
            finite &= np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            yield from _first_of(~finite, lambda _: "its camera holds numbers that are not finite")
            return
        # Numbers that overflow from here on become inf or nan, and fail every `<=`.
        yield from self._unsound()
        if not self._flat_r6().any():
            yield from self._other_pose()
        yield from self._other_K(size_wh)

    def _unsound(self) -> Iterator[tuple[int, str]]:
        K, R = self.K, self.R
        off = np.abs(R @ np.swapaxes(R, 1, 2) - np.eye(3)).max(axis=(1, 2))
        yield from _first_of(
            ~((off <= ROTATION_TOLERANCE) & (np.linalg.det(R) > 0)),
            lambda i: f"opencv.R is not a rotation (orthonormal, determinant +1): {_text(R[i])}",
        )
        yield from _first_of(
            (K[:, 0, 0] <= 0)
            | (K[:, 1, 1] <= 0)
            | (K[:, 0, 1] != 0)
            | (K[:, 1, 0] != 0)
            | (K[:, 2] != (0, 0, 1)).any(axis=1),
            lambda i: f"opencv.K is not a camera matrix: {_text(K[i])}",
        )
        yield from _first_of(
            self._flat_r6(),
            lambda i: f"camera.R is not a rotation, its two rows span no plane: {_text(self.r6_p3d[i])}",
        )

    def _flat_r6(self) -> Flags:
        r6 = self.r6_p3d
        lengths = np.linalg.norm(r6.reshape(-1, 2, 3), axis=2)
        area = np.linalg.norm(np.cross(r6[:, :3], r6[:, 3:]), axis=1) / lengths.prod(axis=1)
        sound = (lengths.min(axis=1) > 1e-6) & (lengths.max(axis=1) < 1e6) & (area > 1e-6)
        flat: Flags = self.paired & ~sound
        return flat

    def _other_pose(self) -> Iterator[tuple[int, str]]:
        # Without a second block any rotation will do: nothing is compared with it.
        r6 = np.where(self.paired[:, None], self.r6_p3d, np.eye(3)[:2].ravel())
        R, t = opencv_from_pytorch3d(rotation_from_6d(r6), self.T_p3d)
        yield from _first_of(
            self.paired & ~(np.abs(self.R - R).max(axis=(1, 2)) <= ROTATION_TOLERANCE),
            lambda i: f"opencv.R {_text(self.R[i])} and camera.R, which is {_text(R[i])}, differ",
        )
        room = RELATIVE_TOLERANCE * np.maximum(1.0, np.abs(t).max(axis=1))
        yield from _first_of(
            self.paired & ~(np.abs(self.t - t).max(axis=1) <= room),
            lambda i: f"opencv.t {_text(self.t[i])} and camera.t, which is {_text(t[i])}, differ",
        )

    def _other_K(self, size_wh: tuple[int, int]) -> Iterator[tuple[int, str]]:
        K = from_ndc(self.focal_ndc, self.principal_ndc, size_wh)
        room = RELATIVE_TOLERANCE * np.maximum(max(size_wh), np.abs(K).max(axis=(1, 2)))
        yield from _first_of(
            self.paired & ~(np.abs(self.K - K).max(axis=(1, 2)) <= room),
            lambda i: (
                f"opencv.K {_text(self.K[i])} and the K of camera.fl, camera.pp and img_size,"
                f" {_text(K[i])}, differ"
            ),
        )


def _first_of(wrong: Flags, say: Callable[[int], str]) -> Iterator[tuple[int, str]]:
    """The first frame that is wrong, and what is."""
    found = np.flatnonzero(wrong)
    if len(found):
        yield int(found[0]), say(int(found[0]))


def _text(values: Floats) -> str:
    return str(np.round(values, 4).tolist())
