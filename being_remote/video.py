"""Frames out of a local video or a folder of pictures. A leaf: of ours it uses errors and pictures only.

Videos come from pods and the net, so they are opened narrowly: regular local files only, told by
their first bytes (a playlist named .mp4 can make a decoder read other files), and the decoder may use
no other protocol than `file` and no other container than those below. Sizes are checked before
anything is decoded. Rotation stored in a video is applied, as ffmpeg does for the tracker.

Every frame is known by its time, read from the packets when the video is opened. So the count is
right, a variable rate is seen, and a seek that lands elsewhere is noticed and put right. This does not
know of the tracker's numbering: frames are counted from 0.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from being_remote.errors import InconsistentData, NotFoundError, TornFile, UnsafeFile
from being_remote.picture import MAX_PIXELS, image_size, read_picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MAX_PIXELS", "Source", "image_size", "open_source"]

MAX_FRAMES = 1_000_000
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")

# What the decoder is held to; `key;value|key;value` is OpenCV's own spelling.
_DECODER = {
    "OPENCV_FFMPEG_CAPTURE_OPTIONS": "protocol_whitelist;file|format_whitelist;mov,matroska,avi",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
}
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip")
_TIME_DIGITS = 3  # of a millisecond: times of one frame agree to the last bit, those of two never do
_SEEK_BACK = (0, 16, 128)  # frames before the one wanted, until the decoder lands early enough
_STEP_OVER = 16  # decoding this many is cheaper than a seek


class Source:
    """An open video or frame folder; use it as a context manager.

    Attributes:
        path: the file or folder.
        size_wh: width and height of every frame, rotation applied.
        frame_count: of a video cut without encoding it anew, the last ones may not be decodable.
        fps: frames per second, on average; None for folders.
        rotation_deg: what the video asks its player to turn it by; already applied.
        pixel_aspect: width of a pixel over its height, as shown; 1 where nothing is said. The frames
            are as stored: nothing is stretched.
        times_s: (N,) when each frame of a video is shown, from the first; None for folders.
        variable_rate: the frames of the video are not evenly spaced.
        names: file names of a folder's pictures, in order; empty for videos.
        notes: what a person should know of how frames are read; grows as pictures are read.
    """

    def __init__(
        self,
        path: Path,
        size_wh: tuple[int, int],
        *,
        video: _Video | None = None,
        images: tuple[Path, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> None:
        self.path, self.size_wh, self.notes = path, size_wh, notes
        self.frame_count = len(images) if video is None else len(video.times_s)
        self.fps = video.fps if video else None
        self.rotation_deg = video.rotation_deg if video else 0
        self.pixel_aspect = video.pixel_aspect if video else 1.0
        self.times_s = video.times_s if video else None
        self.variable_rate = video.variable_rate if video else False
        self.names = tuple(p.name for p in images)
        self._video, self._images = video, images

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Frame `index`, counted from 0: (H, W, 3) uint8, BGR.

        Raises:
            NotFoundError: there is no such frame.
            TornFile: it is there and cannot be decoded.
            InconsistentData: it has another size than the first.
        """
        if not 0 <= index < self.frame_count:
            raise NotFoundError(
                f"no frame {index}: there are {self.frame_count}, counted from 0", where=str(self.path)
            )
        picture = self._read(self._images[index]) if self._video is None else self._video.read(index)
        if picture is None:
            raise TornFile(f"frame {index} of {self.frame_count} cannot be decoded", file=str(self.path))
        if picture.shape[1::-1] != self.size_wh:
            raise InconsistentData(
                f"frame {index} is {picture.shape[1]}x{picture.shape[0]}, the first one"
                f" {self.size_wh[0]}x{self.size_wh[1]}",
                file=str(self._images[index] if self._images else self.path),
                hint="keep the frames of one video in a folder, and nothing else",
            )
        return picture

    def _read(self, path: Path) -> NDArray[np.uint8]:
        picture = read_picture(path)
        if picture.done and picture.done not in self.notes:
            self.notes = (*self.notes, picture.done)
        return picture.pixels

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        if self._video is not None:
            self._video.capture.release()

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
            if len(images) > MAX_FRAMES:
                raise UnsafeFile(f"more than {MAX_FRAMES} pictures", file=str(path))
    if not images:
        raise NotFoundError("no .png or .jpg in this folder", where=str(path))
    images.sort(key=lambda p: p.name)
    first = read_picture(images[0])  # its header does not know of EXIF turns
    size_wh = (first.pixels.shape[1], first.pixels.shape[0])
    return Source(path, size_wh, images=tuple(images), notes=(first.done,) if first.done else ())


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

    capture = _capture(path)
    try:
        width, height = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            raise UnsafeFile(f"claims {width}x{height} pixels, more than {MAX_PIXELS}", file=str(path))
        done, first = capture.read() if capture.isOpened() else (False, None)
        if not done or first is None:
            raise TornFile("begins like a video, but no frame in it can be decoded", file=str(path))
        video = _Video.of(path, capture)
        return Source(path, (first.shape[1], first.shape[0]), video=video, notes=tuple(video.notes()))
    except BaseException:
        capture.release()
        raise


@dataclass(eq=False)
class _Video:
    """An open capture, the time of each frame, and where in the video it stands."""

    path: Path
    capture: Any
    times_ms: NDArray[np.float64]
    times_tell: bool
    fps: float | None
    rotation_deg: int
    pixel_aspect: float
    next: int = 1  # the first frame was read by whoever opened it

    @classmethod
    def of(cls, path: Path, capture: Any) -> _Video:
        """From a capture that has just read its first frame."""
        import cv2

        first_ms, times_ms = float(capture.get(cv2.CAP_PROP_POS_MSEC)), _packet_times_ms(path)
        num, den = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
        return cls(
            path,
            capture,
            times_ms,
            # AVI stores no times: with frames out of order the decoder's are off, and cannot name a frame.
            len(set(times_ms.tolist())) == len(times_ms) and abs(first_ms - times_ms[0]) < 10**-_TIME_DIGITS,
            float(capture.get(cv2.CAP_PROP_FPS)) or None,
            int(capture.get(cv2.CAP_PROP_ORIENTATION_META)),
            num / den if num > 0 and den > 0 else 1.0,
        )

    def __post_init__(self) -> None:
        self._index = {round(t, _TIME_DIGITS): i for i, t in enumerate(self.times_ms.tolist())}

    @property
    def times_s(self) -> NDArray[np.float64]:
        import numpy as np

        return np.asarray((self.times_ms - self.times_ms[0]) / 1000)

    @property
    def variable_rate(self) -> bool:
        import numpy as np

        steps = np.diff(self.times_ms)
        return bool(len(steps)) and float(np.abs(steps / np.median(steps) - 1).max()) > 0.25

    def notes(self) -> Iterator[str]:
        if self.rotation_deg:
            yield f"the video is stored turned by {self.rotation_deg} degrees; its frames are turned upright"
        if self.variable_rate:
            yield "the video has a variable frame rate; each frame is taken at its own time"
        if self.pixel_aspect != 1:
            yield (
                f"the video's pixels are not square: each is shown {self.pixel_aspect:.4g} times as wide as"
                " high; its frames are taken as stored, as the tracker takes them"
            )

    def read(self, index: int) -> NDArray[np.uint8] | None:
        """Exactly the frame that decoding from the start would give as the `index`-th."""
        if not self._go_to(index):
            return None
        done, picture = self.capture.retrieve()
        return picture if done else None

    def _go_to(self, index: int) -> bool:
        """Leave the capture holding frame `index`, its next one being `self.next`."""
        if self.next <= index <= self.next + _STEP_OVER and self._grab_until(index):
            return True
        import cv2

        for back in _SEEK_BACK if self.times_tell else ():
            # OpenCV finds a frame by the average rate, so this may land anywhere near it.
            self.capture.set(cv2.CAP_PROP_POS_FRAMES, max(index - back, 0))
            self.next = -1
            if self._grab() and 0 < self.next <= index + 1:
                return self._grab_until(index)
        self.capture.release()
        self.capture, self.next = _capture(self.path), 0
        return self._grab_until(index)

    def _grab_until(self, index: int) -> bool:
        """Decode on, frame by frame; False when it is passed over, because it cannot be decoded."""
        while self.next <= index:
            if not self._grab():
                return False
        return self.next == index + 1

    def _grab(self) -> bool:
        """Decode one frame and learn which it is: from its time, or by counting where times do not tell."""
        import cv2

        if not self.capture.grab():
            return False
        if self.times_tell:
            at = round(float(self.capture.get(cv2.CAP_PROP_POS_MSEC)), _TIME_DIGITS)
            self.next = self._index.get(at, -2) + 1
        else:
            self.next += 1
        return True


def _capture(path: Path) -> Any:
    import cv2

    with _environment(_DECODER), _quiet(cv2):
        # Absolute, so that no part of the name can be taken for a protocol.
        return cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)


def _packet_times_ms(path: Path) -> NDArray[np.float64]:
    """The time of every frame in the order shown, read from the packets without decoding them."""
    import cv2
    import numpy as np

    capture = _capture(path)
    try:
        capture.set(cv2.CAP_PROP_FORMAT, -1)
        times: list[float] = []
        while capture.grab():
            times.append(float(capture.get(cv2.CAP_PROP_POS_MSEC)))
            if len(times) > MAX_FRAMES:
                raise UnsafeFile(f"holds more than {MAX_FRAMES} frames", file=str(path))
    finally:
        capture.release()
    return np.sort(np.array(times or [0.0]))


def _is_video(start: bytes) -> bool:
    return (
        start[4:8] in _MP4_BOXES
        or start[:4] == b"\x1a\x45\xdf\xa3"  # Matroska and WebM
        or (start[:4] == b"RIFF" and start[8:12] == b"AVI ")
    )


@contextmanager
def _quiet(cv2: Any) -> Iterator[None]:
    """Keep OpenCV's own warnings off stderr: what went wrong is said by our errors."""
    # OpenCV 5 has these two in a module of their own; in both, 0 is silent.
    owner = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    before = owner.setLogLevel(0)
    try:
        yield
    finally:
        owner.setLogLevel(before)


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
