"""Registration to a few hundredths of a pixel, with error bars that the residue itself gives.

Gauss-Newton on the brightness of one stored picture against one frame, through the tracker's own
cubic kernel. A linear colour map is solved for along with the box, and what shows something else is
weighted down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from being_remote.crop_search.crop_rendering import Box4, Grey, Picture, Window, warp

Floats = NDArray[np.float64]

_COARSE = 128  # pixels of the picture at the first level
_BLOCK = 32  # residues of one block are taken as dependent, of two as not
_STILL_PX = 0.004
_LEAST = 256  # pixels: of fewer nothing can be registered


@dataclass(frozen=True, eq=False)
class Fit:
    """One registration."""

    box: Box4  # (4,) side_x, side_y, origin_x, origin_y, source pixels, not whole
    std: Floats  # (4,) standard errors
    skew: Floats  # (2,) see `crop_rendering.warp`
    skew_std: Floats  # (2,)
    score: float  # cross-correlation of the two pictures


def register(
    stored: Picture, window: Window, frame: Picture, start: Box4, *, near: bool = False
) -> Fit | None:
    """Register a stored grey picture (h, w) against a grey frame (H, W), both uint8.

    Args:
        start: the box to begin at; within a few crop pixels of the truth.
        near: it is within a source pixel: leave out the coarse level.

    Returns:
        None where it diverges or has too little to hold on to.
    """
    size_wh = (stored.shape[1], stored.shape[0])
    box = np.asarray(start, dtype=np.float64)
    if not near:
        first = register_roughly(stored, window, frame, box)
        if first is None:
            return None
        box = first.box
    return _descend(stored.astype(np.float32), window, frame, box, size_wh, rounds=12)


def register_roughly(stored: Picture, window: Window, frame: Picture, start: Box4) -> Fit | None:
    """The same on small pictures, where a few pixels are a fraction of one: quick, and not sharp."""
    shrink = stored.shape[0] / _COARSE
    factor = max(float(start[:2].max()) / _COARSE, 1.0)
    small = cv2.resize(stored, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA).astype(np.float32)
    size = [max(1, round(n / factor)) for n in frame.shape[::-1]]
    little = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    scale = np.array([size[0] / frame.shape[1], size[1] / frame.shape[0]] * 2)
    u0, v0 = (int(np.ceil(n / shrink)) for n in (window.u0, window.v0))
    u1, v1 = (int(n / shrink) for n in (window.u1, window.v1))
    part = Window(u0, v0, u1, v1, _shrunk(window.mask))
    fit = _descend(small, part, little, start * scale, (_COARSE, _COARSE), rounds=15, still=0.03)
    return None if fit is None else replace(fit, box=fit.box / scale)


def _shrunk(mask: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """What counts of the small picture: only pixels that are made of such alone."""
    if mask is None:
        return None
    small = cv2.resize(mask.astype(np.float32), (_COARSE, _COARSE), interpolation=cv2.INTER_AREA)
    return np.asarray(small > 0.99)


def _descend(
    stored: Grey,
    window: Window,
    frame: Picture,
    box: Box4,
    size_wh: tuple[int, int],
    *,
    rounds: int,
    still: float = _STILL_PX,
) -> Fit | None:
    wanted = window.of(stored).ravel()
    counts = np.ones_like(wanted)
    if window.mask is not None:
        counts = window.of(window.mask).ravel().astype(np.float32)
    if counts.sum() < _LEAST:
        return None
    u = ((np.arange(window.u0, window.u1) + 0.5) / size_wh[0]).astype(np.float32)[None, :]
    v = ((np.arange(window.v0, window.v1) + 0.5) / size_wh[1]).astype(np.float32)[:, None]
    skew = np.zeros(2)
    weights = counts
    start = box
    for n in range(rounds):
        system = _system(frame, box, skew, size_wh, window, u, v)
        solved = _solve(system, wanted, weights)
        if solved is None:
            return None
        found, inverse = solved
        gain = found[6]
        if not 0.2 < gain < 5:
            return None
        step = found[:6] / gain
        rest = wanted - (found[6] * system[6] + found[7])
        limit = 4 * np.maximum(box[:2].max() / size_wh[0], 1)
        step *= min(1.0, limit / max(float(np.abs(step).max()), 1e-9))
        box, skew = box + step[:4], skew + step[4:]
        if (np.abs(box - start) > 0.25 * start[:2].max()).any() or (box[:2] < 8).any():
            return None
        if np.abs(step).max() < still:
            break
        if n >= 1:
            weights = _trust(rest, counts)
    shape = (window.v1 - window.v0, window.u1 - window.u0)
    std = _standard_errors(system, weights * rest, inverse, shape) / gain
    score = correlation(wanted[counts > 0], system[6][counts > 0])
    return Fit(box, std[:4], skew, std[4:], score)


def _system(
    frame: Picture,
    box: Box4,
    skew: Floats,
    size_wh: tuple[int, int],
    window: Window,
    u: NDArray[np.float32],
    v: NDArray[np.float32],
) -> NDArray[np.float32]:
    """(8, n): how brightness changes with side_x, side_y, origin_x, origin_y and skew; itself; ones."""
    turn = (float(skew[0]), float(skew[1]))

    def at(x: float, y: float) -> NDArray[np.float32]:
        return window.of(warp(frame, box + np.array([0, 0, x, y]), turn, size_wh))

    resampled = at(0, 0)
    # Differences in the frame, not in the crop: what is shrunk without smoothing has no slope of its own.
    across, down = at(0.5, 0) - at(-0.5, 0), at(0, 0.5) - at(0, -0.5)
    rows = (
        across * u,
        down * v,
        across,
        down,
        across * (v - 0.5),
        down * (u - 0.5),
        resampled,
        np.ones_like(resampled),
    )
    return np.stack([row.ravel() for row in rows])


def _solve(
    system: NDArray[np.float32], wanted: NDArray[np.float32], weights: NDArray[np.float32]
) -> tuple[Floats, Floats] | None:
    weighted = system * weights
    normal = (weighted @ system.T).astype(np.float64)
    scale = np.sqrt(np.maximum(normal.diagonal(), 1e-9))
    normal /= scale[:, None] * scale
    if np.linalg.cond(normal) > 1e9:
        return None
    inverse = np.linalg.inv(normal) / (scale[:, None] * scale)
    return inverse @ (weighted @ wanted).astype(np.float64), inverse


def _trust(rest: NDArray[np.float32], counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights that fall to nothing for residues far beyond the usual (Geman-McClure)."""
    usual = 1.4826 * float(np.median(np.abs(rest[counts > 0]))) + 0.5
    return np.asarray(counts / (1 + (rest / (6 * usual)) ** 2) ** 2, dtype=np.float32)


def _standard_errors(
    system: NDArray[np.float32], rest: NDArray[np.float32], inverse: Floats, shape: tuple[int, int]
) -> Floats:
    """Of the six geometric numbers: a sandwich over blocks, because a codec's residues come in patches.

    Source:
        White, Econometrica 48 (1980), with clusters: inv(H) (sum over blocks of g g') inv(H).
    """
    pulls = (system * rest).reshape(-1, *shape)
    rows, columns = shape[0] // _BLOCK or 1, shape[1] // _BLOCK or 1
    height, width = min(_BLOCK, shape[0]), min(_BLOCK, shape[1])
    tiles = pulls[:, : rows * height, : columns * width].reshape(-1, rows, height, columns, width)
    blocks = tiles.sum((2, 4), dtype=np.float64).reshape(len(pulls), -1)
    covariance = inverse @ (blocks @ blocks.T) @ inverse
    return np.asarray(np.sqrt(np.maximum(covariance.diagonal()[:6], 0)))


def correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Normalised cross-correlation of two arrays; 0 where one is constant."""
    a, b = a.ravel(), b.ravel()
    mean_a, mean_b = float(cv2.mean(a)[0]), float(cv2.mean(b)[0])
    a, b = a - np.float32(mean_a), b - np.float32(mean_b)
    energy = float(np.sqrt(float(a @ a) * float(b @ b)))
    return round(float(a @ b) / energy, 12) if energy > 1e-6 else 0.0
