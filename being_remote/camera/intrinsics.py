"""How a pinhole K changes with the pixels it is written in: crops, NDC focals, OpenCV's pixels.

Every K is (..., 3, 3), x ~ K X, in the corner convention (see the package) unless its name says
`_opencv`. Cropping changes only K. Results are float64 and new arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from being_remote.camera.crop import Crop

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


def through(A: ArrayLike, K: ArrayLike) -> Floats:
    """K of the picture that is made when each pixel of K's picture moves by the affine map A.

    Args:
        A: (..., 3, 3), last row (0, 0, 1): old pixel -> new pixel, both in one convention.

    Raises:
        ValueError: a wrong shape, or A is not affine.

    Source:
        Hartley & Zisserman, Multiple View Geometry, 2nd ed., sec. 6.1: x' = A x = (A K) X.

    Example:
        >>> through([[2, 0, 10], [0, 2, 20], [0, 0, 1]], [[100, 0, 5], [0, 100, 6], [0, 0, 1]])
        array([[200.,   0.,  20.],
               [  0., 200.,  32.],
               [  0.,   0.,   1.]])
    """
    A = _matrix(A, "A")
    if not np.all(A[..., 2, :] == (0, 0, 1)):
        raise ValueError("A is not affine: its last row must be 0, 0, 1")
    return A @ _matrix(K, "K")


def intrinsics_in_source(K_crop: ArrayLike, crop: Crop) -> Floats:
    """K for the original frames, from the K that the tracker stored for its crops.

    Convention:
        The stored K is in the corner convention. Taken for OpenCV's it would come out
        (scale - 1) / 2 px off: cx 958.6211 in the example, where 958.2422 is right.

    Example:
        >>> from being_remote.camera.crop import crop_from_box
        >>> crop = crop_from_box((510, 1410, 90, 990), (1920, 1080), (512, 512))
        >>> intrinsics_in_source([[2339, 0, 255], [0, 2339, 250], [0, 0, 1]], crop).round(4).tolist()
        [[4111.5234, 0.0, 958.2422], [0.0, 4111.5234, 529.4531], [0.0, 0.0, 1.0]]
    """
    return through(crop.A, K_crop)


def intrinsics_in_crop(K_source: ArrayLike, crop: Crop) -> Floats:
    """K for the tracker's crops, from a K of the original frames: the inverse of the above."""
    ax, ay = crop.origin
    sx, sy = crop.scale_x, crop.scale_y
    return through(_affine(1 / sx, 1 / sy, -ax / sx, -ay / sy), K_source)


def to_opencv_pixels(K: ArrayLike) -> Floats:
    """The same camera for OpenCV, whose first pixel centre is 0: the centre moves by -1/2.

    Example:
        >>> to_opencv_pixels([[900, 0, 320], [0, 900, 240], [0, 0, 1]])[:2, 2]
        array([319.5, 239.5])
    """
    return through(_affine(1, 1, -0.5, -0.5), K)


def fov_deg(K: ArrayLike, size_wh: Sequence[int]) -> tuple[float, float]:
    """Degrees between the rays of opposite borders, (horizontal, vertical).

    This is the angle that is seen; formats without a principal point define theirs as 2 atan(W / 2f),
    which is larger for an off-centre one.

    Raises:
        ValueError: K is not one (3, 3), a focal length is not positive, or the size is not.

    Example:
        >>> fov_deg([[500, 0, 500], [0, 500, 250], [0, 0, 1]], (1000, 500))
        (90.0, 53.13010235415598)
    """
    K = _matrix(K, "K")
    if K.shape != (3, 3):
        raise ValueError(f"one K (3, 3) is needed, got shape {K.shape}")
    _positive_focal(K)
    width, height = _size(size_wh)

    def between(focal: float, centre: float, extent: float) -> float:
        return float(np.degrees(np.arctan2(centre, focal) + np.arctan2(extent - centre, focal)))

    return between(K[0, 0], K[0, 2], width), between(K[1, 1], K[1, 2], height)


def from_ndc(focal_ndc: ArrayLike, principal_ndc: ArrayLike, size_wh: Sequence[int]) -> Floats:
    """K from PyTorch3D's NDC: the shorter side spans [-1, 1], +x left, +y up.

    Args:
        focal_ndc: (..., 1) or (..., 2) or a number.
        principal_ndc: (..., 2).

    Example:
        >>> from_ndc(9.0, [0.0234375, 0.0], (512, 512)).tolist()
        [[2304.0, 0.0, 250.0], [0.0, 2304.0, 256.0], [0.0, 0.0, 1.0]]
    """
    width, height = _size(size_wh)
    half = min(width, height) / 2
    principal = np.asarray(principal_ndc, dtype=np.float64)
    if principal.ndim == 0 or principal.shape[-1] != 2:
        raise ValueError(f"principal_ndc is (..., 2), got shape {principal.shape}")
    focal = np.broadcast_to(np.asarray(focal_ndc, dtype=np.float64), principal.shape)
    K = np.zeros((*principal.shape[:-1], 3, 3))
    K[..., 0, 0] = focal[..., 0] * half
    K[..., 1, 1] = focal[..., 1] * half
    K[..., 0, 2] = width / 2 - principal[..., 0] * half
    K[..., 1, 2] = height / 2 - principal[..., 1] * half
    K[..., 2, 2] = 1
    return K


def to_ndc(K: ArrayLike, size_wh: Sequence[int]) -> tuple[Floats, Floats]:
    """PyTorch3D's (focal (..., 2), principal point (..., 2)): the inverse of `from_ndc`.

    Example:
        >>> focal, principal = to_ndc([[256, 0, 250], [0, 256, 256], [0, 0, 1]], (512, 512))
        >>> focal.tolist(), principal.tolist()
        ([1.0, 1.0], [0.0234375, 0.0])
    """
    K = _matrix(K, "K")
    width, height = _size(size_wh)
    half = min(width, height) / 2
    focal = np.stack([K[..., 0, 0], K[..., 1, 1]], axis=-1) / half
    principal = np.stack([width / 2 - K[..., 0, 2], height / 2 - K[..., 1, 2]], axis=-1) / half
    return focal, principal


def ray_angle_deg(K_a: ArrayLike, K_b: ArrayLike, xy: ArrayLike) -> Floats:
    """How far apart two cameras send the ray of one pixel, in degrees.

    Args:
        K_a, K_b: (..., 3, 3), invertible.
        xy: (..., 2) pixels of the picture that both are claimed to belong to.

    Raises:
        ValueError: a wrong shape, or a focal length that is not positive.

    Example:
        Corners of the crop, under the right K and under "focal unchanged, add the offset":

        >>> right = [[4111.5234375, 0, 958.2421875], [0, 4111.5234375, 529.453125], [0, 0, 1]]
        >>> wrong = [[2339, 0, 765], [0, 2339, 340], [0, 0, 1]]
        >>> ray_angle_deg(right, wrong, [[960, 540], [510, 90]]).round(2) + 0.0
        array([6.69, 0.  ])
    """
    a, b = _rays(K_a, xy), _rays(K_b, xy)
    # atan2 of cross and dot keeps small angles that acos would round to zero.
    across = np.linalg.norm(np.cross(a, b), axis=-1)
    angle: Floats = np.degrees(np.arctan2(across, np.sum(a * b, axis=-1)))
    return angle


def _affine(scale_x: float, scale_y: float, move_x: float, move_y: float) -> Floats:
    return np.array([[scale_x, 0.0, move_x], [0.0, scale_y, move_y], [0.0, 0.0, 1.0]])


def _rays(K: ArrayLike, xy: ArrayLike) -> Floats:
    K = _matrix(K, "K")
    _positive_focal(K)
    pixels = np.asarray(xy, dtype=np.float64)
    if pixels.ndim == 0 or pixels.shape[-1] != 2:
        raise ValueError(f"pixels are (..., 2), got shape {pixels.shape}")
    homogeneous = np.concatenate([pixels, np.ones((*pixels.shape[:-1], 1))], axis=-1)
    rays: Floats = (np.linalg.inv(K) @ homogeneous[..., None])[..., 0]
    return rays


def _matrix(value: ArrayLike, name: str) -> Floats:
    matrix = np.asarray(value, dtype=np.float64)
    if matrix.shape[-2:] != (3, 3):
        raise ValueError(f"{name} is (..., 3, 3), got shape {matrix.shape}")
    if not np.all(np.isfinite(matrix)):
        raise ValueError(f"{name} holds numbers that are not finite")
    return matrix


def _positive_focal(K: Floats) -> None:
    if not (np.all(K[..., 0, 0] > 0) and np.all(K[..., 1, 1] > 0)):
        raise ValueError("K has a focal length that is not positive")


def _size(size_wh: Sequence[int]) -> tuple[int, int]:
    width, height = size_wh
    if not (width > 0 and height > 0):
        raise ValueError(f"size {width}x{height} is not positive")
    return width, height
