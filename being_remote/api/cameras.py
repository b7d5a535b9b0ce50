"""The recovered cameras as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from being_remote.camera.intrinsics import to_opencv_pixels
from being_remote.errors import UsageError
from being_remote.export import Cameras

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class FrameCameras:
    """The camera of the original video in each frame.

    Attributes:
        K: (3, 3), or (N, 3, 3) of a run with K per frame; pixels of the original frames, corner convention
            (the first pixel's centre is at 0.5, 0.5).
        R, t: (N, 3, 3), (N, 3) world to camera, OpenCV axes, metres; the world is the head at rest.
        ids: (N,) the tracker's frame numbers.
        size_wh: width and height of the original frames.
        video_frames: (N,) index of each frame in the video, from 0; -1 where unknown. None: no video.

    Example:
        >>> cameras = recover("roman").cameras
        >>> cameras.K.shape, cameras.R.shape, cameras.t.shape, cameras.ids[:3].tolist()
        ((3, 3), (6, 3, 3), (6, 3), [0, 1, 2])
        >>> cameras.project([0.0, 0.0, 0.0]).shape  # the head's origin, in each frame
        (6, 1, 2)
    """

    K: Floats
    R: Floats
    t: Floats
    ids: NDArray[np.int64]
    size_wh: tuple[int, int]
    video_frames: NDArray[np.int64] | None

    @classmethod
    def of(cls, cameras: Cameras) -> FrameCameras:
        """The arrays of recovered cameras."""
        K = cameras.K_source if cameras.K_each is None else cameras.K_each
        return cls(K, cameras.R, cameras.t, cameras.frame_ids, cameras.size_wh, cameras.video_frames)

    @property
    def K_opencv(self) -> Floats:
        """K for OpenCV, whose first pixel centre is 0; shaped as K."""
        if self.K.ndim == 2:
            return to_opencv_pixels(self.K)
        return np.stack([to_opencv_pixels(K) for K in self.K])

    def project(self, points: ArrayLike) -> Floats:
        """Project points of the world into the original frames.

        Args:
            points: (3,), (M, 3), or (N, M, 3) with other points in each frame; metres.

        Returns:
            (N, M, 2) pixels, corner convention (subtract 0.5 for OpenCV); NaN behind the camera.

        Raises:
            UsageError: `points` has another shape.
        """
        try:
            xyz = np.asarray(points, np.float64)
        except (TypeError, ValueError) as e:
            raise UsageError(f"points are no numbers: {e}", where="project()") from e
        frames = len(self.ids)
        if xyz.shape[-1:] != (3,) or xyz.shape[:-2] not in ((), (frames,)):
            raise UsageError(
                f"points of shape {xyz.shape} cannot be projected into {frames} frames",
                where="project()",
                hint=f"give (3,), (M, 3) or ({frames}, M, 3), in metres",
            )
        in_camera = np.atleast_2d(xyz) @ self.R.swapaxes(1, 2) + self.t[:, None, :]
        with np.errstate(divide="ignore", invalid="ignore"):
            on_image = in_camera @ np.swapaxes(self.K, -1, -2)
            pixels = on_image[..., :2] / on_image[..., 2:]
        return np.where(in_camera[..., 2:] > 0, pixels, np.nan)

    def __repr__(self) -> str:
        w, h = self.size_wh
        return f"<FrameCameras of {len(self.ids)} frames of {w}x{h}>"
