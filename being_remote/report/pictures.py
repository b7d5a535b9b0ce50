"""Pictures as PNG and JPEG files, and text on pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]  # BGR

MAX_WIDTH_PX = 1280  # of a picture on the page
FONT = cv2.FONT_HERSHEY_SIMPLEX


def png(picture: Picture) -> bytes:
    """The picture (H, W, 3) BGR as a PNG file. Raises ValueError where OpenCV cannot encode it."""
    return _encode(picture, ".png", cv2.IMWRITE_PNG_COMPRESSION, 3)


def jpeg(picture: Picture) -> bytes:
    """The picture (H, W, 3) BGR as a JPEG file, at most `MAX_WIDTH_PX` wide.

    Raises:
        ValueError: OpenCV cannot encode it.
    """
    height, width = picture.shape[:2]
    if width > MAX_WIDTH_PX:
        size = (MAX_WIDTH_PX, max(1, round(height * MAX_WIDTH_PX / width)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return _encode(picture, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 84)


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
