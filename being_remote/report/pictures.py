"""Pictures as PNG and JPEG files, and text on pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]  # BGR

FONT = cv2.FONT_HERSHEY_SIMPLEX


def png(picture: Picture) -> bytes:
    """The picture (H, W, 3) BGR as a PNG file. Raises ValueError where OpenCV cannot encode it."""
    return _encode(picture, ".png", cv2.IMWRITE_PNG_COMPRESSION, 3)


def jpeg(picture: Picture, *, max_width_px: int = 1280, quality: int = 84) -> bytes:
    """The picture (H, W, 3) BGR as a JPEG file, made smaller where it is wider than that.

    Raises:
        ValueError: OpenCV cannot encode it.
    """
    height, width = picture.shape[:2]
    if width > max_width_px:
        size = (max_width_px, max(1, round(height * max_width_px / width)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return _encode(picture, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)


def put_text(
    picture: Picture, text: str, xy: tuple[float, float], colour: Colour, scale: float, thickness: int = 1
) -> None:
    """Write text on the picture, its baseline starting at `xy`; what is not ASCII becomes a question mark."""
    at = (round(float(xy[0])), round(float(xy[1])))
    cv2.putText(picture, _ascii(text), at, FONT, scale, colour, thickness, cv2.LINE_AA)


def text_width(text: str, scale: float, thickness: int = 1) -> int:
    """How wide the text is on a picture, pixels."""
    return int(cv2.getTextSize(_ascii(text), FONT, scale, thickness)[0][0])


def _ascii(text: str) -> str:
    # The font knows ASCII only; names may hold anything.
    return text.encode("ascii", "replace").decode("ascii")


def _encode(picture: Picture, suffix: str, parameter: int, value: int) -> bytes:
    done, data = cv2.imencode(suffix, picture, [parameter, value])
    if not done:
        raise ValueError("OpenCV could not encode the picture")
    return bytes(data)
