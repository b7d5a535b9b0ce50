"""Axes and rotations: 6D rotations, PyTorch3D's camera, OpenCV's, OpenGL's; and projection.

R (..., 3, 3) and t (..., 3) are world-to-camera for column vectors in OpenCV axes (x right, y down,
z forward): X_cam = R X + t. PyTorch3D uses row vectors, X_cam = X R + T, with x left and y up.
Only `rotation_from_6d` makes anything orthonormal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

# Both ways between PyTorch3D's camera axes (left, up, forward) and OpenCV's (right, down, forward).
_LEFT_UP = np.array([-1.0, -1.0, 1.0])


def rotation_from_6d(r6: ArrayLike) -> Floats:
    """The rotation (..., 3, 3) whose first two ROWS are given (..., 6), made orthonormal by Gram-Schmidt.

    Read as columns instead, the result would be the inverse rotation.

    Raises:
        ValueError: a wrong shape, or the two rows are zero or parallel.

    Source:
        Zhou et al., On the Continuity of Rotation Representations, CVPR 2019; PyTorch3D's row form.

    Example:
        >>> rotation_from_6d([0, 2, 0, -1, 5, 0]) + 0.0
        array([[ 0.,  1.,  0.],
               [-1.,  0.,  0.],
               [ 0.,  0.,  1.]])
    """
    r6 = np.asarray(r6, dtype=np.float64)
    if r6.ndim == 0 or r6.shape[-1] != 6:
        raise ValueError(f"a 6D rotation is (..., 6), got shape {r6.shape}")
    first = _unit(r6[..., :3])
    second = r6[..., 3:]
    second = _unit(second - np.sum(first * second, axis=-1, keepdims=True) * first)
    return np.stack([first, second, np.cross(first, second)], axis=-2)


def opencv_from_pytorch3d(R_p3d: ArrayLike, T_p3d: ArrayLike) -> tuple[Floats, Floats]:
    """PyTorch3D's R (..., 3, 3), T (..., 3) -> R, t in OpenCV axes: R = (R_p3d D)^T, t = D T.

    Example:
        The tracker's start: the camera looks at the face from one metre.

        >>> R, t = opencv_from_pytorch3d([[-1, 0, 0], [0, 1, 0], [0, 0, -1]], [0, 0, 1])
        >>> (R + 0.0).tolist(), (t + 0.0).tolist()
        ([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]], [0.0, 0.0, 1.0])
    """
    R, T = _pose(R_p3d, T_p3d)
    return np.swapaxes(R * _LEFT_UP, -1, -2), T * _LEFT_UP


def pytorch3d_from_opencv(R: ArrayLike, t: ArrayLike) -> tuple[Floats, Floats]:
    """R, t in OpenCV axes -> PyTorch3D's R, T: the inverse of `opencv_from_pytorch3d`."""
    R, t = _pose(R, t)
    return np.swapaxes(R, -1, -2) * _LEFT_UP, t * _LEFT_UP


def opencv_c2w(R: ArrayLike, t: ArrayLike) -> Floats:
    """Camera-to-world (..., 4, 4) with OpenCV camera axes: the inverse of [R | t].

    R is inverted, not transposed: stored as float32 it is a rotation to seven digits only, and a program that
    inverts the result must get R and t back to all of theirs.

    Example:
        >>> opencv_c2w([[0, -1, 0], [1, 0, 0], [0, 0, 1]], [1, 0, 2])
        array([[ 0.,  1.,  0.,  0.],
               [-1.,  0.,  0.,  1.],
               [ 0.,  0.,  1., -2.],
               [ 0.,  0.,  0.,  1.]])
    """
    R, t = _pose(R, t)
    inverse = np.linalg.inv(R)
    place = -(inverse @ t[..., None])[..., 0]
    c2w = np.zeros((*place.shape[:-1], 4, 4))
    c2w[..., :3, :3] = inverse
    c2w[..., :3, 3] = place
    c2w[..., 3, 3] = 1
    return c2w + 0.0  # no negative zeros


def opengl_c2w(R: ArrayLike, t: ArrayLike) -> Floats:
    """Camera-to-world (..., 4, 4) with OpenGL camera axes (x right, y up, z backward).

    nerfstudio's and Blender's `transform_matrix`. The last column is the camera's centre.

    Example:
        >>> opengl_c2w(np.diag([1.0, -1, -1]), [0, 0, 1])
        array([[1., 0., 0., 0.],
               [0., 1., 0., 0.],
               [0., 0., 1., 1.],
               [0., 0., 0., 1.]])
    """
    return opencv_c2w(R, t) * (1, -1, -1, 1) + 0.0


def quaternion_wxyz(R: ArrayLike) -> Floats:
    """Hamilton unit quaternions (..., 4), w first and never negative, of the rotations nearest to R.

    Args:
        R: (..., 3, 3) rotations; rounding errors are evened out, not passed on.

    Source:
        Bar-Itzhack, New method for extracting the quaternion from a rotation matrix, JGCD 2000: the
        eigenvector of the largest eigenvalue. It has no branches, so half turns, where w is 0, are as
        exact as all others.

    Example:
        A quarter turn about z, and a half turn about x:

        >>> quaternion_wxyz([[[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.diag([1, -1, -1])]).round(6)
        array([[0.707107, 0.      , 0.      , 0.707107],
               [0.      , 1.      , 0.      , 0.      ]])
    """
    R = np.asarray(R, dtype=np.float64)
    if R.shape[-2:] != (3, 3):
        raise ValueError(f"R is (..., 3, 3), got {R.shape}")
    B = np.zeros((*R.shape[:-2], 4, 4))
    xx, yy, zz = R[..., 0, 0], R[..., 1, 1], R[..., 2, 2]
    B[..., 0, 0] = xx + yy + zz
    B[..., 1, 1] = xx - yy - zz
    B[..., 2, 2] = yy - xx - zz
    B[..., 3, 3] = zz - xx - yy
    # eigh reads the lower triangle only.
    B[..., 1, 0] = R[..., 2, 1] - R[..., 1, 2]
    B[..., 2, 0] = R[..., 0, 2] - R[..., 2, 0]
    B[..., 3, 0] = R[..., 1, 0] - R[..., 0, 1]
    B[..., 2, 1] = R[..., 0, 1] + R[..., 1, 0]
    B[..., 3, 1] = R[..., 0, 2] + R[..., 2, 0]
    B[..., 3, 2] = R[..., 1, 2] + R[..., 2, 1]
    q = np.linalg.eigh(B)[1][..., -1]
    # Of the two signs the one whose first number that is not zero is positive.
    leading = np.take_along_axis(q, np.argmax(q != 0, axis=-1)[..., None], axis=-1)
    signed: Floats = q * np.sign(leading) + 0.0
    return signed


def rotation_vector(R: ArrayLike) -> Floats:
    """Axis times angle (..., 3), radians, of rotations (..., 3, 3); angles up to pi.

    Example:
        A quarter turn about z:

        >>> rotation_vector([[0, -1, 0], [1, 0, 0], [0, 0, 1]]).round(6)
        array([0.      , 0.      , 1.570796])
    """
    q = quaternion_wxyz(R)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    # Without a rotation the axis is undefined: angle / sine tends to 2.
    turned = sine > 0
    factor = np.where(turned, 2 * np.arctan2(sine, q[..., :1]) / np.where(turned, sine, 1), 2.0)
    vector: Floats = q[..., 1:] * factor
    return vector


def project(K: ArrayLike, R: ArrayLike, t: ArrayLike, X: ArrayLike) -> Floats:
    """World points (..., 3) -> pixels (..., 2) in K's convention.

    K, R, t and X broadcast over their leading axes: many points under many cameras are
    ``project(K, R[:, None], t[:, None], X)``, (cameras, points, 2).

    Raises:
        ValueError: a wrong shape, or a point is not in front of the camera.

    Example:
        >>> K = [[1000, 0, 320], [0, 1000, 240], [0, 0, 1]]
        >>> project(K, np.eye(3), [0, 0, 2], [[0, 0, 0], [0.1, 0, 0]])
        array([[320., 240.],
               [370., 240.]])
    """
    R, t = _pose(R, t)
    K = np.asarray(K, dtype=np.float64)
    X = np.asarray(X, dtype=np.float64)
    if K.shape[-2:] != (3, 3) or X.ndim == 0 or X.shape[-1] != 3:
        raise ValueError(f"K is (..., 3, 3) and points are (..., 3), got {K.shape} and {X.shape}")
    in_camera = (R @ X[..., None])[..., 0] + t
    if not np.all(in_camera[..., 2] > 0):
        raise ValueError("a point is not in front of the camera, so it has no pixel")
    pixels = (K @ in_camera[..., None])[..., 0]
    projected: Floats = pixels[..., :2] / pixels[..., 2:]
    return projected


def _pose(R: ArrayLike, t: ArrayLike) -> tuple[Floats, Floats]:
    R, t = np.asarray(R, dtype=np.float64), np.asarray(t, dtype=np.float64)
    if R.shape[-2:] != (3, 3) or t.ndim == 0 or t.shape[-1] != 3:
        raise ValueError(f"R is (..., 3, 3) and t is (..., 3), got {R.shape} and {t.shape}")
    return R, t


def _unit(v: Floats) -> Floats:
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    if not np.all(length > 0):
        raise ValueError("a 6D rotation needs two rows that are neither zero nor parallel")
    unit: Floats = v / length
    return unit
