"""Whether two pictures show the same thing, and how nearly.

One number for the whole is not enough: a head in front of a still wall can move while most pixels
stay equal. So every structured part is compared on its own.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from being_remote.crop_search.crop_rendering import Grey, Picture, Window
from being_remote.crop_search.registration import correlation

EQUAL_LEVELS, EQUAL_SHARE = 1, 1e-3  # what another build of OpenCV's resize changes at most

_WHOLE = 0.999  # of a part's pixels must count
_PART = 24  # pixels of a part's side
_CONTRAST = 5.0  # levels of standard deviation from which a part is structured
_ALIKE = 0.5  # correlation of a part that shows the same
_MOVED_PX = 1.0  # of the picture: how far a part may be off
# Levels, root mean square, that a part must differ by: codecs smooth and shift what is weak.
_UNLIKE_LEVELS, _MOVED_LEVELS = 8.0, 16.0


def pixels_equal(stored: Picture, made: Picture, mask: NDArray[np.bool_] | None = None) -> bool:
    """Whether the pixels are equal, but for what another build of the resize would change.

    Of a picture whose background was replaced only those of `mask` (h, w) are compared.
    """
    difference: NDArray[np.uint8] = np.asarray(cv2.absdiff(stored, made), dtype=np.uint8)
    if mask is not None:
        difference = difference[mask]
    if int(difference.max()) > EQUAL_LEVELS:
        return False
    return int(np.count_nonzero(difference)) <= EQUAL_SHARE * difference.size


def residual(stored: Picture, made: Picture, window: Window) -> float:
    """Mean absolute difference in levels, after the best linear map of each channel."""
    channels = ((window.counted(stored[..., c]), window.counted(made[..., c])) for c in range(3))
    return float(np.mean([_channel(a, b) for a, b in channels]))


def _channel(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    a32, b32 = a.astype(np.float32), b.astype(np.float32)
    (mean_a, spread_a), (mean_b, spread_b) = ((float(x.mean()), float(x.std())) for x in (a32, b32))
    gain = correlation(a32, b32) * spread_a / spread_b if spread_b > 0 else 0.0
    return float(np.abs(a32 - (gain * (b32 - mean_b) + mean_a)).mean())


def mismatch(stored: Grey, made: Grey, window: Window) -> tuple[int, float]:
    """How many parts have structure, and what share of them does not show the same thing there."""
    a, b = (_smoothed(window.of(x)) for x in (stored, made))
    stored_part, made_part = (x if window.mask is None else x[window.of(window.mask)] for x in (a, b))
    gain = float(np.clip(stored_part.std() / max(made_part.std(), 1e-3), 0.2, 5))
    b = (b - made_part.mean()) * gain + stored_part.mean()
    mean_a, mean_b = _parts(a), _parts(b)
    var_a, var_b = _parts(a * a) - mean_a**2, _parts(b * b) - mean_b**2
    alike = (_parts(a * b) - mean_a * mean_b) / np.sqrt(np.maximum(var_a * var_b, 1.0))
    structured = np.maximum(var_a, var_b) > _CONTRAST**2
    if window.mask is not None:
        # A part that is not wholly of what counts would be judged by the matte's own edge.
        structured &= _parts(window.of(window.mask).astype(np.float32)) > _WHOLE
    count = int(structured.sum())
    if not count:
        return 0, 0.0
    differ = np.sqrt(_parts((a - b) ** 2))
    other = (alike < _ALIKE) & (differ > _UNLIKE_LEVELS)
    moved = (_moves(a, b) > _MOVED_PX) & (differ > _MOVED_LEVELS)
    return count, float((other | moved)[structured].mean())


def _moves(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each part has moved, pixels, where its own structure shows it (else 0): Lucas and Kanade."""
    mean = (a + b) / 2
    gx, gy = (cv2.Sobel(mean, cv2.CV_32F, dx, 1 - dx, ksize=3, scale=1 / 8) for dx in (1, 0))
    rest = a - b
    xx, xy, yy = _parts(gx * gx), _parts(gx * gy), _parts(gy * gy)
    rx, ry = _parts(gx * rest), _parts(gy * rest)
    determinant, trace = xx * yy - xy * xy, xx + yy
    # Along its clearest direction alone: an edge shows no more.
    half = np.sqrt(np.maximum((xx - yy) ** 2 / 4 + xy**2, 0))
    strong, weak = trace / 2 + half, trace / 2 - half
    cornered = (weak > 1.0) & (weak > 0.05 * strong)
    safe = np.where(cornered, determinant, 1.0)
    dx = np.where(cornered, (yy * rx - xy * ry) / safe, rx / np.maximum(strong, 1.0))
    dy = np.where(cornered, (xx * ry - xy * rx) / safe, ry / np.maximum(strong, 1.0))
    return np.asarray(np.where(strong > 1.0, np.hypot(dx, dy), 0), dtype=np.float32)


def _smoothed(picture: Grey) -> Grey:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.2), dtype=np.float32)


def _parts(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, columns = (max(1, n // _PART) for n in picture.shape)
    height, width = (min(_PART, n) for n in picture.shape)
    cut = picture[: rows * height, : columns * width]
    return np.asarray(cut.reshape(rows, height, columns, width).mean((1, 3)), dtype=np.float32)
