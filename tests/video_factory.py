"""Small videos as phones and editors write them: H.264 with B-frames, odd times, odd pixels.

Each frame holds its number as ten black or white blocks, which survive any compression.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BLOCK = 24
BITS = 10


def numbered_frame(number: int, size_wh: tuple[int, int] = (320, 240)) -> np.ndarray:
    """A frame (H, W, 3) BGR of moving texture that shows its number."""
    cells = np.random.default_rng(7).integers(0, 255, (size_wh[1] // 8, size_wh[0] // 8, 3), np.uint8)
    picture = np.roll(cells.repeat(8, 0).repeat(8, 1), (number * 3, number * 5), (0, 1))
    for bit in range(BITS):
        picture[:16, bit * BLOCK : (bit + 1) * BLOCK] = 255 if number >> bit & 1 else 0
    return picture


def number_in(picture: np.ndarray) -> int:
    """The number that a frame shows."""
    blocks = [picture[4:12, b * BLOCK + 6 : b * BLOCK + 18].mean() > 127 for b in range(BITS)]
    return sum(int(on) << bit for bit, on in enumerate(blocks))


def write_video(
    path: Path,
    frames: int = 40,
    *,
    times_ms: Sequence[int] | None = None,
    codec: str = "libx264",
    rate: Fraction | int = 25,
    b_frames: int = 3,
    key_every: int = 12,
    pixel_aspect: Fraction | None = None,
    size_wh: tuple[int, int] = (320, 240),
    pixels: str = "yuv420p",
    title: str = "",
    last_ms: int | None = None,
    sound: bool = False,
) -> Path:
    """Encode numbered frames; `times_ms` says when each is shown, else they come at `rate`.

    `last_ms` is how long the file says that the last one is shown; `sound` begins at 0.
    """
    base = Fraction(1, 1000) if times_ms is not None else 1 / Fraction(rate)
    with av.open(str(path), "w") as container:
        container.metadata["title"] = title
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size_wh
        stream.pix_fmt = pixels
        stream.codec_context.time_base = base
        stream.codec_context.gop_size = key_every
        stream.codec_context.thread_count = 1
        if codec == "libx264":
            stream.options = {"crf": "18", "bf": str(b_frames), "preset": "veryfast"}
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        track = container.add_stream("aac", rate=44100, layout="mono") if sound else None
        end = frames - 1 if times_ms is None else int(times_ms[-1])

        def mux(packets: list[av.Packet]) -> None:
            for packet in packets:
                if last_ms is not None and packet.pts == end:
                    packet.duration = int(Fraction(last_ms, 1000) / base)
                container.mux(packet)

        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(numbered_frame(i, size_wh), format="bgr24")
            frame.pts, frame.time_base = (i if times_ms is None else int(times_ms[i])), base
            mux(stream.encode(frame))
        mux(stream.encode(None))
        if track is not None:
            _add_silence(container, track, 20)
    return path


def _add_silence(container: av.container.OutputContainer, track: av.AudioStream, count: int) -> None:
    for i in range(count):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 1024 * i
        container.mux(track.encode(frame))
    container.mux(track.encode(None))


def write_sound(path: Path) -> Path:
    """An mp4 that holds a second of silence and no picture."""
    with av.open(str(path), "w") as container:
        _add_silence(container, container.add_stream("aac", rate=44100, layout="mono"), 40)
    return path
