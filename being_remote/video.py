"""Frames out of a local video or a folder of pictures. A leaf: it imports nothing of ours but errors.

Videos come from pods and the net, so they are opened narrowly: regular local files only, told by
their first bytes (a playlist named .mp4 can make a decoder read other files), and the decoder may use
no other protocol than `file` and no other container than those below. Sizes are checked before
anything is decoded. Rotation stored in a video is applied, as ffmpeg does for the tracker.

This does not know of the tracker's numbering: frames are counted from 0.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from being_remote.errors import NotFoundError, TornFile, UnsafeFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_PIXELS = 1 << 26  # 8K video has half of this
MAX_IMAGES = 1_000_000
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")

# What the decoder is held to; `key;value|key;value` is OpenCV's own spelling.
_DECODER = {
    "OPENCV_FFMPEG_CAPTURE_OPTIONS": "protocol_whitelist;file|format_whitelist;mov,matroska,avi",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
}
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip")


class Source:
    """An open video or frame folder; use it as a context manager.

    Attributes:
        path: the file or folder.
        size_wh: width and height of every frame, rotation applied.
        frame_count: as the container says, which may be off by a few; exact for folders.
        fps: frames per second; None for folders.
        rotation_deg: what the video asks its player to turn it by; already applied.
    """

    def __init__(
        self,
        path: Path,
        size_wh: tuple[int, int],
        frame_count: int,
        fps: float | None,
        rotation_deg: int,
        *,
        capture: Any = None,
        images: tuple[Path, ...] = (),
    ) -> None:
        self.path, self.size_wh, self.frame_count = path, size_wh, frame_count
        self.fps, self.rotation_deg = fps, rotation_deg
        self._capture, self._images = capture, images
        self._next = 0

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Frame `index`, counted from 0: (H, W, 3) uint8, BGR.

        Raises:
            NotFoundError: there is no such frame.
            TornFile: it is there and cannot be decoded, or has another size than the first.
        """
        if not 0 <= index < self.frame_count:
            raise NotFoundError(
                f"no frame {index}: there are {self.frame_count}, counted from 0", where=str(self.path)
            )
        picture = self._decode(index) if self._capture is not None else _read_image(self._images[index])
        if picture is None:
            raise TornFile(f"frame {index} of {self.frame_count} cannot be decoded", file=str(self.path))
        if picture.shape[1::-1] != self.size_wh:
            raise TornFile(
                f"frame {index} is {picture.shape[1]}x{picture.shape[0]}, the first one"
                f" {self.size_wh[0]}x{self.size_wh[1]}",
                file=str(self._images[index] if self._images else self.path),
            )
        return picture

    def _decode(self, index: int) -> NDArray[np.uint8] | None:
        import cv2

        if index != self._next:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        done, picture = self._capture.read()
        self._next = index + 1
        return picture if done else None

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        if self._capture is not None:
            self._capture.release()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_source(path: Path) -> Source:
    """Open a video file, or a folder of .png/.jpg frames taken in the order of their names.

    Raises:
        NotFoundError: nothing is there, or a folder without pictures.
        UnsafeFile: not a regular file, not a known container, or more pixels than `MAX_PIXELS`.
        TornFile: it begins like a video or picture and cannot be decoded.
    """
    try:
        mode = path.stat().st_mode
    except OSError as e:
        raise NotFoundError(f"cannot be opened: {e.strerror}", where=str(path)) from e
    if stat.S_ISDIR(mode):
        return _open_folder(path)
    if not stat.S_ISREG(mode):
        raise UnsafeFile("is neither a file nor a folder", file=str(path))
    return _open_video(path)


def _open_folder(path: Path) -> Source:
    images = []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.lower().endswith(IMAGE_SUFFIXES) and entry.is_file():
                images.append(Path(entry.path))
            if len(images) > MAX_IMAGES:
                raise UnsafeFile(f"more than {MAX_IMAGES} pictures", file=str(path))
    if not images:
        raise NotFoundError("no .png or .jpg in this folder", where=str(path))
    images.sort(key=lambda p: p.name)
    return Source(path, image_size(images[0]), len(images), None, 0, images=tuple(images))


def _open_video(path: Path) -> Source:
    with path.open("rb") as f:
        start = f.read(16)
    if not _is_video(start):
        raise UnsafeFile(
            "does not begin like an mp4, mov, mkv, webm or avi file; it was not opened",
            file=str(path),
            hint="convert it with ffmpeg, or name a folder of frames",
        )
    import cv2

    with _environment(_DECODER), _quiet(cv2):
        # Absolute, so that no part of the name can be taken for a protocol.
        capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
    try:
        width, height = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            raise UnsafeFile(f"claims {width}x{height} pixels, more than {MAX_PIXELS}", file=str(path))
        done, first = capture.read() if capture.isOpened() else (False, None)
        if not done or first is None:
            raise TornFile("begins like a video, but nothing in it can be decoded", file=str(path))
        capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        return Source(
            path,
            (first.shape[1], first.shape[0]),
            max(1, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))),
            float(capture.get(cv2.CAP_PROP_FPS)) or None,
            int(capture.get(cv2.CAP_PROP_ORIENTATION_META)),
            capture=capture,
        )
    except BaseException:
        capture.release()
        raise


def _is_video(start: bytes) -> bool:
    return (
        start[4:8] in _MP4_BOXES
        or start[:4] == b"\x1a\x45\xdf\xa3"  # Matroska and WebM
        or (start[:4] == b"RIFF" and start[8:12] == b"AVI ")
    )


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG or JPEG, from its header alone.

    Raises:
        UnsafeFile: neither of the two, or more pixels than `MAX_PIXELS`.
        TornFile: cut short.
    """
    with path.open("rb") as f:
        start = f.read(24)
        if start[:8] == b"\x89PNG\r\n\x1a\n" and len(start) == 24:
            size: tuple[int, int] | None = struct.unpack(">II", start[16:24])
        elif start[:2] == b"\xff\xd8":
            f.seek(2)
            size = _jpeg_size(f)
        else:
            raise UnsafeFile("does not begin like a PNG or JPEG", file=str(path))
    if size is None or min(size) < 1:
        raise TornFile("the picture has no size", file=str(path))
    if size[0] * size[1] > MAX_PIXELS:
        raise UnsafeFile(f"claims {size[0]}x{size[1]} pixels, more than {MAX_PIXELS}", file=str(path))
    return size


def _jpeg_size(f: Any) -> tuple[int, int] | None:
    """Walk the segments to the frame header, which holds height and width."""
    while len(head := f.read(4)) == 4 and head[0] == 0xFF:
        marker, length = head[1], int.from_bytes(head[2:], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            body = f.read(5)
            if len(body) < 5:
                return None
            height, width = struct.unpack(">HH", body[1:])
            return width, height
        f.seek(length - 2, os.SEEK_CUR)
    return None


def _read_image(path: Path) -> NDArray[np.uint8] | None:
    import cv2
    import numpy as np

    image_size(path)
    # Decoded from memory: cv2.imread would choose a decoder, and take a file name its own way.
    picture = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
    return None if picture is None else np.asarray(picture, dtype=np.uint8)


@contextmanager
def _quiet(cv2: Any) -> Iterator[None]:
    """Keep OpenCV's own warnings off stderr: what went wrong is said by our errors."""
    logging = cv2.utils.logging
    before = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a moment: the decoder reads them when it opens a file."""
    before = {k: os.environ.get(k) for k in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, old in before.items():
            if old is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = old
