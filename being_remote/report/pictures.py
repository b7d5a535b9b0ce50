"""Pictures as files small enough to be put into a page, and the choice of frames to show."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def jpeg(picture: Picture, *, max_width_px: int = 1280, quality: int = 84) -> bytes:
    """The picture (H, W, 3) BGR as a JPEG file, made smaller where it is wider than that.

    Raises:
        ValueError: OpenCV cannot encode it.
    """
    height, width = picture.shape[:2]
    if width > max_width_px:
        size = (max_width_px, max(1, round(height * max_width_px / width)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("OpenCV could not encode the picture")
    return bytes(data)


def spread(count: int, most: int) -> list[int]:
    """Up to `most` indices of `count` frames, evenly spread, with the first and the last.

    Example:
        >>> spread(838, 5), spread(3, 5), spread(0, 5)
        ([0, 209, 418, 628, 837], [0, 1, 2], [])
    """
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)] if most > 1 else [0][:most]
