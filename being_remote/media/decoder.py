"""One local video, frame by frame, exactly.

PyAV decodes, held to local files of few containers. Every frame is known by its time, read from the
packets when the video is opened, so a seek that lands elsewhere is noticed and put right. Colours are
ffmpeg's own, as in the PNG files that it cuts for the tracker; only the requested part is converted.
One thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.filter import Graph
from av.video.stream import VideoStream
from numpy.typing import NDArray

from being_remote.errors import TornFile, UnsafeFile

Pixels = NDArray[np.uint8]
Window = tuple[int, int, int, int]  # x_min, x_max, y_min, y_max: whole pixels, ends exclusive

MAX_FRAMES = 1_000_000

# What the decoder is held to.
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": "mov,matroska,avi"}
# Titles need not be UTF-8. PyAV 19 bears that unasked, and does not know the word any more.
_TITLES: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
_SEEK_BACK = (0, 16, 128)  # frames before the one wanted, until the decoder lands early enough
_STEP_OVER = 16  # decoding this many is cheaper than a seek
_MAX_DAMAGED = 1000  # packets one after the other
# Formats of 8 bits whose first plane is the brightness of every pixel.
_GREY_PLANE = frozenset(
    {"gray", "nv12", "nv21", *(f"yuv{j}4{n}p" for j in ("", "j") for n in (20, 22, 44, 40, 11))}
)
_GREY_WEIGHTS = np.array([0.114, 0.587, 0.299], np.float32)  # of blue, green and red
# Colours are stored for every second pixel at most, and some formats blend them with their neighbours.
_MARGIN_PX = 16


@dataclass(frozen=True, eq=False)
class Times:
    """When the frames of a video are shown, in the order shown."""

    stamps: list[int]  # in units of `unit_s`, rising
    unit_s: Fraction
    # whether a decoded frame can be known by its stamp. AVI stores none: there, frames that are out of
    # order cannot be detected.
    identifiable: bool
    start_s: float = 0.0  # from the start of the file, where sound may begin, to the first frame
    last_s: float | None = None  # how long the last frame is shown; None where the file does not say

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(N,) from the first frame."""
        return (np.array(self.stamps, np.float64) - self.stamps[0]) * float(self.unit_s)

    @property
    def uneven(self) -> bool:
        steps = np.diff(self.seconds)
        return bool(len(steps)) and float(np.abs(steps / np.median(steps) - 1).max()) > 0.25


@dataclass(eq=False)
class Video:
    """An open video, and the frame that it holds.

    Attributes:
        size_wh: of its frames, turned upright.
        rotation_deg: what it asks its player to turn them by, clockwise.
        pixel_aspect: width of a pixel over its height, as shown; 1 where nothing is said.
    """

    path: Path
    times: Times
    container: InputContainer
    held: VideoFrame
    next: int = 1  # the first frame is held
    _frames: Iterator[VideoFrame] = field(default_factory=lambda: iter(()))
    _graph: tuple[tuple[object, ...], Graph] | None = None

    def __post_init__(self) -> None:
        self._index: dict[int | None, int] = {stamp: i for i, stamp in enumerate(self.times.stamps)}
        self.rotation_deg = -self.held.rotation % 360
        self.size_wh = self._size_wh(self.held)
        stream = _stream(self.container)
        aspect = stream.sample_aspect_ratio
        self.pixel_aspect = float(aspect) if aspect else 1.0

    def close(self) -> None:
        self.container.close()

    def decode(self, index: int) -> tuple[int, int] | None:
        """Hold the frame that decoding from the start would give as the `index`-th.

        Returns:
            Its width and height, upright; None where it cannot be decoded.
        """
        if self.next != index + 1 and not self._go_to(index):
            return None
        return self._size_wh(self.held)

    def each(self) -> Iterator[int]:
        """Decode once from the start, holding each frame in turn, and give its index.

        A frame that cannot be decoded is left out.
        """
        self._reopen()
        while self._decode_next():
            if self.next > 0:
                yield self.next - 1

    def grey(self, window: Window) -> Pixels:
        """The stored brightness of a window of the frame that is held: (H, W), upright."""
        x_min, x_max, y_min, y_max = window
        if self.held.format.name not in _GREY_PLANE:
            bgr = self.pixels(window).astype(np.float32)
            return np.asarray(bgr @ _GREY_WEIGHTS + 0.5, dtype=np.uint8)
        plane = self.held.planes[0]
        shape, strides = (self.held.height, self.held.width), (plane.line_size, 1)
        whole: Pixels = np.ndarray(shape, np.uint8, memoryview(plane), strides=strides)
        turned = np.rot90(whole, -self.rotation_deg // 90) if self.rotation_deg % 90 == 0 else whole
        return turned[y_min:y_max, x_min:x_max]

    def pixels(self, window: Window | None = None) -> Pixels:
        """The frame that is held, or a window of it: (H, W, 3) BGR, upright."""
        whole = (0, self.held.width, 0, self.held.height)
        if self.rotation_deg % 90 == 0 and self.rotation_deg:
            upright = np.rot90(self._bgr(whole), -self.rotation_deg // 90)
            x_min, x_max, y_min, y_max = window or (0, upright.shape[1], 0, upright.shape[0])
            return np.ascontiguousarray(upright[y_min:y_max, x_min:x_max])
        return self._bgr(window or whole)

    def _size_wh(self, frame: VideoFrame) -> tuple[int, int]:
        turned = self.rotation_deg % 180 == 90
        return (frame.height, frame.width) if turned else (frame.width, frame.height)

    def _go_to(self, index: int) -> bool:
        if self.next <= index <= self.next + _STEP_OVER and self._decode_until(index):
            return True
        for back in _SEEK_BACK if self.times.identifiable else ():
            stamp = self.times.stamps[max(index - back, 0)]
            try:
                self.container.seek(stamp, stream=_stream(self.container))
            except av.FFmpegError:  # this one cannot seek: from the start, then
                break
            self._frames, self.next = self.container.decode(_stream(self.container)), -1
            if self._decode_next() and 0 < self.next <= index + 1:
                return self._decode_until(index)
        self._reopen()
        return self._decode_until(index)

    def _reopen(self) -> None:
        self.container.close()
        self.container = _opened(self.path)
        self._frames, self.next = self.container.decode(_stream(self.container)), 0

    def _decode_until(self, index: int) -> bool:
        """Decode frame by frame; False when it is passed over, because it cannot be decoded."""
        while self.next <= index:
            if not self._decode_next():
                return False
        return self.next == index + 1

    def _decode_next(self) -> bool:
        """Hold the next frame and learn which it is: from its time, or else by counting."""
        frame = None
        for _ in range(_MAX_DAMAGED):
            try:
                frame = next(self._frames, None)
                break
            except av.FFmpegError:  # what this packet held is lost; decoding continues behind it
                self._frames = self.container.decode(_stream(self.container))
        if frame is None:
            return False
        self.held = frame
        self.next = 1 + (self._index.get(frame.pts, -2) if self.times.identifiable else self.next)
        return True

    def _bgr(self, window: Window) -> Pixels:
        """A window of the frame that is held, as it is stored."""
        frame, (x_min, x_max, y_min, y_max) = self.held, window
        left, right, top, bottom = _around(window, frame.width, frame.height)
        kind = (left, top, right, bottom, frame.width, frame.height, frame.format.name)
        if self._graph is None or self._graph[0] != kind:
            self._graph = kind, _cutting(frame, (left, right, top, bottom), self.times.unit_s)
        graph = self._graph[1]
        graph.vpush(frame)
        plane = graph.vpull().planes[0]
        shape, strides = (bottom - top, right - left, 3), (plane.line_size, 3, 1)
        pixels: Pixels = np.ndarray(shape, np.uint8, memoryview(plane), strides=strides)
        return pixels[y_min - top : y_max - top, x_min - left : x_max - left]


def open_video(path: Path, max_pixels: int) -> Video:
    """Open a video file of a known container, and decode its first frame.

    Raises:
        UnsafeFile: more pixels than `max_pixels`, or more frames than `MAX_FRAMES`.
        TornFile: no frame in it can be decoded.
    """
    broken = TornFile(
        "begins like a video, but no frame in it can be decoded",
        file=str(path),
        hint="copy it here again, in case it was cut short, or convert it with ffmpeg",
    )
    with ExitStack() as closed_on_error:
        try:
            container = closed_on_error.enter_context(_opened(path))
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream):
                raise broken
            width, height = stream.codec_context.width, stream.codec_context.height
            if width * height > max_pixels:
                raise UnsafeFile(f"claims {width}x{height} pixels, more than {max_pixels}", file=str(path))
            times = _times(path)
            frames = container.decode(stream)
            first = next(frames, None)
        except av.FFmpegError as e:
            raise broken from e
        if first is None:
            raise broken
        video = Video(path, times, container, first, _frames=frames)
        closed_on_error.pop_all()
        return video


def _opened(path: Path) -> InputContainer:
    # Absolute, so that no part of the name can be taken for a protocol.
    container: InputContainer = av.open(str(path.resolve()), options=dict(_OPTIONS), **_TITLES)
    for stream in container.streams.video:
        stream.thread_type = "AUTO"
    return container


def _stream(container: InputContainer) -> VideoStream:
    stream = container.streams.best("video")
    assert isinstance(stream, VideoStream)  # `open_video` saw to it
    return stream


def _times(path: Path) -> Times:
    """The time of every frame, read from the packets without decoding them."""
    with _opened(path) as container:
        stream, stamps, last = _stream(container), [], (0, 0)
        try:
            for packet in container.demux(stream):
                # What an edited mp4 leaves out is marked; the last packet is empty.
                if packet.size and not packet.is_discard:
                    stamp = packet.pts if packet.pts is not None else packet.dts
                    last = (stamp or 0, packet.duration or 0) if (stamp or 0) >= last[0] else last
                    stamps.append(stamp)
                if len(stamps) > MAX_FRAMES:
                    raise UnsafeFile(f"holds more than {MAX_FRAMES} frames", file=str(path))
        except av.FFmpegError:  # cut short: what is before it counts
            pass
        given = [stamp for stamp in stamps if stamp is not None]
        reordered = container.format.name == "avi" and stream.codec_context.has_b_frames
        identifiable = len(set(given)) == len(stamps) and not reordered
        unit_s = stream.time_base or Fraction(1, 1000)
        start_s = float(Fraction(container.start_time or 0, av.time_base))
    if not given:
        return Times(list(range(max(len(stamps), 1))), unit_s, identifiable)
    given.sort()
    before = max(float(given[0] * unit_s) - start_s, 0.0)
    last_s = float(last[1] * unit_s) if last[1] > 0 else None
    return Times(given, unit_s, identifiable, before, last_s)


def _around(window: Window, width: int, height: int) -> Window:
    """A somewhat larger window whose own conversion gives the pixels that the whole frame's would."""
    if width % 2 or height % 2:  # these take another way through ffmpeg, which even windows do not take
        return 0, width, 0, height
    x_min, x_max, y_min, y_max = window
    left, top = (max(v - _MARGIN_PX, 0) & ~1 for v in (x_min, y_min))
    right, bottom = (v + _MARGIN_PX + 1 & ~1 for v in (x_max, y_max))
    return left, min(right, width), top, min(bottom, height)


def _cutting(frame: VideoFrame, window: Window, unit_s: Fraction) -> Graph:
    """What cuts a window out of frames like this one and turns it into BGR."""
    x_min, x_max, y_min, y_max = window
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=unit_s)
    cut = graph.add("crop", f"{x_max - x_min}:{y_max - y_min}:{x_min}:{y_min}:exact=1")
    graph.link_nodes(source, cut, graph.add("format", "bgr24"), graph.add("buffersink")).configure()
    return graph
