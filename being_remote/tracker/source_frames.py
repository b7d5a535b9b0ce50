"""A video or a frame folder as the tracker's `source/`: frames by their number, counted from 1.

    folder    the number is the file's own name, so a missing file shifts no other
    video     the frame that ffmpeg's `fps` filter puts there, found by the time of each frame
    map       the frame that the pixels say

Frames are decoded on demand, and the last few are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from being_remote.errors import InconsistentData, NotFoundError, UnsafeFile
from being_remote.tracker.frame_numbering import frames_in_source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from being_remote.media.decoder import Window
    from being_remote.media.video import FrameReader

    Picture = NDArray[np.uint8]

KEPT_BYTES = 64 << 20  # ten frames of 1080p
MAX_FILES = 5_000_000  # of a video, cut at the tracker's rate

SQUARE = 0.005  # encoders round the ratio


@dataclass(eq=False)
class SourceFrames:
    """The original frames under their numbers in `source/`.

    Attributes:
        source: the open video or folder; its opener closes it.
        count: the highest number.
        index_of: the index in the source of a number; None where there is none.
        lossless: a folder of PNG files.
        square_pixels: False where the video asks its player to stretch it by more than rounding: the
            tracker does not, so its single focal length does not describe such a video.
        notes: what a person should know of how the frames are read and numbered.
    """

    source: FrameReader
    count: int
    lossless: bool
    index_of: Callable[[int], int | None]
    _notes: tuple[str, ...] = ()
    _kept: OrderedDict[int, Picture] = field(default_factory=OrderedDict)

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.source.size_wh

    @property
    def square_pixels(self) -> bool:
        return abs(self.source.pixel_aspect - 1) < SQUARE

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.source.notes, *self._notes)

    def frame(self, number: int, window: Window | None = None) -> Picture:
        """The frame of that number, or a window of it, which is not kept: (H, W, 3) uint8, BGR.

        Raises:
            NotFoundError: it is missing.
            TornFile, InconsistentData: it cannot be decoded, or has another size than the first.
        """
        if window is None and number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        index = self.index_of(number)
        if index is None:
            raise NotFoundError(
                f"no source frame {number}: they are numbered from 1 to {self.count}",
                where=str(self.source.path),
            )
        picture = self.source.frame(index, window) if window is not None else self.source.frame(index)
        if window is None:
            self._kept[number] = picture
            while len(self._kept) > 1 and len(self._kept) * picture.nbytes > KEPT_BYTES:
                self._kept.popitem(last=False)
        return picture


def source_frames(source: FrameReader, fps: float, shown: Mapping[int, int] | None = None) -> SourceFrames:
    """The frames of an open source under the tracker's numbers.

    Args:
        fps: the tracker's own setting, at which it cuts a video; a folder was cut already.
        shown: the index in the source that each number shows, where the pixels say it.

    Raises:
        InconsistentData: two files of a folder have one number.
        UnsafeFile: the times of a video are so far apart that it would be cut into millions of files.
    """
    numbers, note = number_frames(source, fps)
    if shown is not None:
        return SourceFrames(source, max(shown, default=0), _lossless(source), shown.get, note)
    return SourceFrames(source, max(numbers), _lossless(source), numbers.get, note)


def every_frame(source: FrameReader) -> SourceFrames:
    """Every frame of an open source as it is, counted from 1."""
    shown = {n + 1: n for n in range(source.frame_count)}
    return SourceFrames(source, source.frame_count, _lossless(source), shown.get)


def number_frames(source: FrameReader, fps: float) -> tuple[Mapping[int, int], tuple[str, ...]]:
    """Number in `source/` -> index in an open source, by its times or names; and what is odd about them.

    Raises: as `source_frames`.
    """
    if source.times_s is None:
        return _numbers(source.names, str(source.path))
    seconds = float(source.times_s[-1]) + source.start_s + (source.last_s or 0)
    if seconds * fps > MAX_FILES:
        raise UnsafeFile(
            f"lasts {seconds:.0f} s by its own times, which is more than {MAX_FILES} files at {fps:g} fps",
            file=str(source.path),
            hint="its times are damaged: convert it with ffmpeg",
        )
    frames = frames_in_source(source.times_s, fps, start_s=source.start_s, last_s=source.last_s)
    return dict(enumerate(frames.tolist(), 1)), ()


def _lossless(source: FrameReader) -> bool:
    return source.times_s is None and all(name.lower().endswith(".png") for name in source.names)


def _numbers(names: Sequence[str], shown: str) -> tuple[Mapping[int, int], tuple[str, ...]]:
    """number -> place in the folder, by the names where they are all numbers."""
    stems = [name.rsplit(".", 1)[0] for name in names]
    if not all(stem.isascii() and stem.isdigit() and len(stem) < 10 for stem in stems):
        note = "the pictures are not named by numbers alone: they are counted in the order of their names"
        return {place + 1: place for place in range(len(names))}, (note,)
    found = [int(stem) for stem in stems]
    from_zero = 0 in found
    numbers: dict[int, int] = {}
    for place, number in enumerate(found):
        other = numbers.setdefault(number + from_zero, place)
        if other != place:
            raise InconsistentData(
                f"{names[other]!r} and {names[place]!r} both have the number {number}",
                file=shown,
                hint="keep the frames of one video in a folder, and nothing else",
            )
    note = "the pictures are numbered from 0: the tracker would call the first one 1" if from_zero else ""
    gaps = max(numbers) - min(numbers) + 1 - len(numbers)
    missing = f"{gaps} of the numbers {min(numbers)} to {max(numbers)} are missing" if gaps else ""
    return numbers, tuple(filter(None, (note, missing)))
