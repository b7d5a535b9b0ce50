"""One PNG or JPEG file, read to 8-bit BGR as the tracker would read it.

The size is read from the header and bounded before anything is decoded, and a file that is cut short
or damaged is refused. What is lost on the way to 8-bit colour (16 bits, an alpha channel) is noted
beside the pixels.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import NotFoundError, TornFile, UnsafeFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_PIXELS = 1 << 26  # 8K video has half of this
MAX_BYTES = 1 << 29  # that many pixels of 16 bits and four channels, not compressed at all

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_ALPHA, _PNG_GREY = (4, 6), (0, 4)
_AGAIN = "copy or make it again"


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels (H, W, 3) uint8 BGR, and what was done to get them there ("" or a few words)."""

    pixels: NDArray[np.uint8]
    done: str


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG or JPEG as its header has them; an EXIF turn is not applied.

    Raises:
        NotFoundError: it is missing.
        UnsafeFile: neither of the two, or more pixels than `MAX_PIXELS`.
        TornFile: cut short.
    """
    return _header(_read(path, 1 << 20), str(path))[0]


def read_picture(path: Path) -> Picture:
    """Decode a PNG or JPEG; EXIF turns are applied, as `cv2.imread` applies them for the tracker.

    Raises: as `image_size`; TornFile also where it is damaged.
    """
    import cv2
    import numpy as np

    data = _read(path, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UnsafeFile(f"has more than {MAX_BYTES} bytes", file=str(path))
    size, done = _header(data, str(path))
    damage = _png_damage(data) if data.startswith(_PNG) else _jpeg_damage(data)
    # Decoded from memory: cv2.imread would choose a decoder, and take a file name its own way.
    pixels = None if damage else cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise TornFile(damage or "cannot be decoded", file=str(path), hint=_AGAIN)
    if pixels.shape[1::-1] not in (size, size[::-1]):
        raise TornFile("the pixels are not as many as its header says", file=str(path), hint=_AGAIN)
    if pixels.shape[1::-1] != size:
        done = ", ".join(filter(None, (done, "turned as its EXIF tag asks")))
    return Picture(np.asarray(pixels, dtype=np.uint8), done)


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as f:
            return f.read(limit)
    except OSError as e:
        raise NotFoundError(f"cannot be opened: {e.strerror}", where=str(path)) from e


def _header(data: bytes, shown: str) -> tuple[tuple[int, int], str]:
    """Width, height and what decoding to 8-bit BGR will do."""
    if data.startswith(_PNG):
        found = _png_header(data)
    elif data.startswith(b"\xff\xd8"):
        found = _jpeg_header(data)
    else:
        raise UnsafeFile("does not begin like a PNG or JPEG", file=shown)
    if found is None or min(found[0]) < 1:
        raise TornFile("the picture has no size: its header is cut short or damaged", file=shown, hint=_AGAIN)
    width, height = found[0]
    if width * height > MAX_PIXELS:
        raise UnsafeFile(f"claims {width}x{height} pixels, more than {MAX_PIXELS}", file=shown)
    return found


def _png_header(data: bytes) -> tuple[tuple[int, int], str] | None:
    if len(data) < 26 or data[12:16] != b"IHDR":
        return None
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    done = ["16 bits a channel cut to the upper 8"] if depth == 16 else []
    if colour in _PNG_GREY:
        done.append("grey made three equal channels")
    if colour in _PNG_ALPHA:
        done.append("the alpha channel left out")
    return (width, height), ", ".join(done)


def _jpeg_header(data: bytes) -> tuple[tuple[int, int], str] | None:
    """Walk the segments to the frame header, which holds height, width and the number of channels."""
    at = 2
    while len(head := data[at : at + 10]) == 10 and head[0] == 0xFF:
        marker, length = head[1], int.from_bytes(head[2:4], "big")
        if marker == 0xFF:  # filling
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, channels = struct.unpack(">HHB", head[5:10])
            done = {1: "grey made three equal channels", 4: "CMYK made BGR"}.get(channels, "")
            return (width, height), done
        at += 2 + length
    return None


def _png_damage(data: bytes) -> str:
    """ "" where every chunk is whole; some decoders show what they have of a picture that is not."""
    at = len(_PNG)
    while len(data) >= at + 12:
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 12 + length
        if end > len(data):
            break
        body = memoryview(data)[at + 4 : end - 4]
        if zlib.crc32(body) != int.from_bytes(data[end - 4 : end], "big"):
            return f"is damaged between bytes {at} and {end}"
        if data[at + 4 : at + 8] == b"IEND":
            return ""
        at = end
    return f"is cut short after {len(data)} bytes"


def _jpeg_damage(data: bytes) -> str:
    return "" if b"\xff\xd9" in data[-(1 << 16) :] else f"is cut short after {len(data)} bytes"
