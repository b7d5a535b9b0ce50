"""Frames out of a local video or a folder of pictures, counted from 0.

Videos come from pods and the net: only regular local files are opened, recognised by their first bytes
(a playlist named .mp4 can make a decoder read other files), and sizes are checked before anything is
decoded. Rotation stored in a video is applied, as ffmpeg does for the tracker.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import DataError, InconsistentData, NotFoundError, TornFile, UnsafeFile
from being_remote.media.picture import MAX_PIXELS, read_picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from being_remote.media.decoder import Video, Window

__all__ = ["FrameReader", "open_source", "small_grey"]

MAX_PICTURES = 1_000_000
READERS = 4  # threads that decode a folder's pictures
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")

_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip")


class FrameReader:
    """An open video or frame folder, a context manager.

    Attributes:
        size_wh: width and height of every frame, rotation applied.
        frame_count: of a video cut without encoding it again, the last ones may not be decodable.
        pixel_aspect: width of a pixel over its height, as shown; 1 where nothing is said. The frames
            are as stored: nothing is stretched.
        times_s: (N,) when each frame of a video is shown, from the first; None for folders.
        start_s: of a video, how long after the file's start its first frame comes.
        last_s: how long a video's last frame is shown; None where the file does not say it.
        names: file names of a folder's pictures, in order; empty for videos.
        notes: what a person should know of how frames are read; grows as pictures are read.
    """

    def __init__(
        self,
        path: Path,
        size_wh: tuple[int, int],
        *,
        video: Video | None = None,
        images: tuple[Path, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> None:
        self.path, self.size_wh, self.notes = path, size_wh, notes
        self.times_s = video.times.seconds if video else None
        self.start_s = video.times.start_s if video else 0.0
        self.last_s = video.times.last_s if video else None
        self.frame_count = len(images) if video is None else len(video.times.stamps)
        self.pixel_aspect = video.pixel_aspect if video else 1.0
        self.names = tuple(p.name for p in images)
        self._video, self._images = video, images

    def frame(self, index: int, window: Window | None = None) -> NDArray[np.uint8]:
        """Frame `index`, counted from 0, or a window of it: (H, W, 3) uint8, BGR.

        Raises:
            NotFoundError: it is beyond the last frame.
            TornFile: it cannot be decoded.
            InconsistentData: it has another size than the first.
        """
        if not 0 <= index < self.frame_count:
            raise NotFoundError(
                f"no frame {index}: there are {self.frame_count}, counted from 0", where=str(self.path)
            )
        if self._video is not None:
            self._check_size(index, self._video.decode(index), self.path)
            return self._video.pixels(window)
        picture = read_picture(self._images[index])
        self._check_size(index, (picture.pixels.shape[1], picture.pixels.shape[0]), self._images[index])
        if picture.done and picture.done not in self.notes:
            self.notes = (*self.notes, picture.done)
        x_min, x_max, y_min, y_max = window or (0, self.size_wh[0], 0, self.size_wh[1])
        return picture.pixels[y_min:y_max, x_min:x_max]

    def small_greys(self, window: Window, side: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """One window of every frame as a small grey picture: (index, (side, side)), in one pass.

        Frames that cannot be decoded, or have another size, are left out. Values are in the units that the
        frames are stored in, which need not be those of `frame`.
        """
        x_min, x_max, y_min, y_max = window

        def small(file: Path) -> NDArray[np.float32] | None:
            try:
                pixels = read_picture(file).pixels
            except DataError:
                return None
            same = pixels.shape[1::-1] == self.size_wh
            return small_grey(pixels[y_min:y_max, x_min:x_max], side) if same else None

        with ThreadPoolExecutor(READERS) as pool:
            if self._video is None:
                for index, picture in enumerate(pool.map(small, self._images)):
                    if picture is not None:
                        yield index, picture
                return
            # The next frames are decoded while these are shrunk.
            waiting: deque[tuple[int, Future[NDArray[np.float32]]]] = deque()
            for index in self._video.each():
                if self._video.decode(index) == self.size_wh:
                    waiting.append((index, pool.submit(small_grey, self._video.grey(window).copy(), side)))
                if len(waiting) > 2 * READERS:
                    index, done = waiting.popleft()
                    yield index, done.result()
            for index, done in waiting:
                yield index, done.result()

    def _check_size(self, index: int, size_wh: tuple[int, int] | None, file: Path) -> None:
        if size_wh is None:
            raise TornFile(f"frame {index} of {self.frame_count} cannot be decoded", file=str(file))
        if size_wh != self.size_wh:
            raise InconsistentData(
                f"frame {index} is {size_wh[0]}x{size_wh[1]}, the first one"
                f" {self.size_wh[0]}x{self.size_wh[1]}",
                file=str(file),
                hint="keep the frames of one video in a folder, and nothing else",
            )

    def close(self) -> None:
        if self._video is not None:
            self._video.close()

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def small_grey(picture: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """A picture (H, W, 3) or (H, W) shrunk to (side, side), in grey: each pixel an average."""
    import cv2
    import numpy as np

    # Averaged in float, so that a motion of less than a pixel is seen; greyed last, where it costs least.
    small = cv2.resize(
        np.ascontiguousarray(picture).astype(np.float32), (side, side), interpolation=cv2.INTER_AREA
    )
    grey = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    return np.asarray(grey, dtype=np.float32)


def open_source(path: Path) -> FrameReader:
    """Open a video file, or a folder of .png/.jpg frames taken in the order of their names.

    Raises:
        NotFoundError: it is missing, or a folder without pictures.
        UnsafeFile: not a regular file, not a known container, or more pixels than `MAX_PIXELS`.
        TornFile: it begins like a video or picture and cannot be decoded.
    """
    try:
        mode = path.stat().st_mode
    except OSError as e:
        what = f"cannot be opened: {e.strerror}"
        raise NotFoundError(what, where=str(path), hint="name the video or the folder of its frames") from e
    if stat.S_ISDIR(mode):
        return _open_folder(path)
    if not stat.S_ISREG(mode):
        raise UnsafeFile("is neither a file nor a folder", file=str(path), hint="name the file itself")
    return _open_video(path)


def _open_folder(path: Path) -> FrameReader:
    images = []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.lower().endswith(IMAGE_SUFFIXES) and entry.is_file():
                images.append(Path(entry.path))
            if len(images) > MAX_PICTURES:
                raise UnsafeFile(f"more than {MAX_PICTURES} pictures", file=str(path))
    if not images:
        what = "no .png or .jpg in this folder"
        raise NotFoundError(what, where=str(path), hint="name the folder that the frames lie in")
    images.sort(key=lambda p: p.name)
    first = read_picture(images[0])  # its header does not know of EXIF turns
    size_wh = (first.pixels.shape[1], first.pixels.shape[0])
    return FrameReader(path, size_wh, images=tuple(images), notes=(first.done,) if first.done else ())


def _open_video(path: Path) -> FrameReader:
    with path.open("rb") as f:
        start = f.read(16)
    if not start:
        raise TornFile("is empty", file=str(path), hint="it was cut short on its way: copy it here again")
    if not _is_video(start):
        raise UnsafeFile(
            "does not begin like an mp4, mov, mkv, webm or avi file; it was not opened",
            file=str(path),
            hint="convert it with ffmpeg, or name a folder of frames",
        )
    from being_remote.media.decoder import open_video

    video = open_video(path, MAX_PIXELS)
    return FrameReader(path, video.size_wh, video=video, notes=tuple(_notes(video)))


def _notes(video: Video) -> Iterator[str]:
    if video.rotation_deg:
        yield f"the video is stored turned by {video.rotation_deg} degrees; its frames are turned upright"
    if video.times.uneven:
        yield "the video has a variable frame rate; each frame is taken at its own time"
    if video.pixel_aspect != 1:
        yield (
            f"the video's pixels are not square: each is shown {video.pixel_aspect:.4g} times as wide as"
            " high; its frames are taken as stored, as the tracker takes them"
        )


def _is_video(start: bytes) -> bool:
    return (
        start[4:8] in _MP4_BOXES
        or start[:4] == b"\x1a\x45\xdf\xa3"  # Matroska and WebM
        or (start[:4] == b"RIFF" and start[8:12] == b"AVI ")
    )
