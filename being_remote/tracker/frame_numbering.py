"""From a `.frame` to the moment in the video: the off-by-ones, in one place.

    frame_id             zero-based index of the tracked frames: 00000.frame is the first
    source number        ffmpeg's, one-based: source/00001.png is the first
    index in the video   zero-based, at the video's own rate; neither of the above

The tracker lists `source/` in text order and cuts `begin_frames` from its front, so frame_id counts
from there; names have five digits, so text order is that of the numbers up to 99,999. ffmpeg
resampled the video to the config's `fps` (25 unless set) before numbering: at any other rate of the
video, frames were repeated or dropped, and only time leads back to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Times = Sequence[float] | NDArray[np.float64]
    Whole = NDArray[np.int64]

DEFAULT_FPS = 25.0

FIVE_DIGITS = 99_999  # up to here text order is that of the numbers
UNMOVED = 9_999  # so many names begin with 0; nothing longer comes between them

_LENGTHS = 5  # names of five to nine digits


def source_frame_number(frame_id: int, begin_frames: int, source_images: int = 0) -> int:
    """The number in `source/` of a tracked frame.

    Args:
        frame_id: of the `.frame`.
        begin_frames: how many images the tracker left out at the front.
        source_images: how many images `source/` holds. Matters above 99,999 only: as text 100000
            comes right after 10000. 0: not known, and taken to be fewer.

    Raises:
        ValueError: a count is negative, or there are fewer images than that.

    Example:
        The shipped configs skip one frame, so 00000.frame is 00002.png:

        >>> source_frame_number(0, begin_frames=1)
        2
        >>> [source_frame_number(i, 0, source_images=100_001) for i in (9_999, 10_000, 10_001, 10_002)]
        [10000, 100000, 100001, 10001]
    """
    return int(source_frame_numbers([frame_id], begin_frames, source_images)[0])


def source_frame_numbers(frame_ids: ArrayLike, begin_frames: int, source_images: int = 0) -> Whole:
    """The same for all frames (N,) of a run at once.

    Raises:
        ValueError: as `source_frame_number`.

    Example:
        >>> source_frame_numbers([9_999, 10_000, 10_001, 10_002], 0, 100_001).tolist()
        [10000, 100000, 100001, 10001]
    """
    import numpy as np

    ids = np.asarray(frame_ids, dtype=np.int64)
    if begin_frames < 0 or (ids < 0).any():
        raise ValueError(f"frame_id {ids.min()} and begin_frames {begin_frames} must not be negative")
    places = ids + begin_frames
    if source_images and (places >= source_images).any():
        raise ValueError(
            f"frame_id {ids.max()} after {begin_frames} left out is none of {source_images} images"
        )
    numbers = places + 1
    if source_images > FIVE_DIGITS:
        moved = places >= UNMOVED
        numbers[moved] = _in_text_order(places[moved] - UNMOVED, source_images)
    return numbers


def _in_text_order(places: Whole, count: int) -> Whole:
    """The numbers at `places` among "10000", "10001", ... up to `count`, sorted as text."""
    import numpy as np

    low, high = np.full_like(places, 10_000), np.full_like(places, FIVE_DIGITS)
    while (low < high).any():  # the last five digits to begin with that are not too far
        middle = (low + high + 1) // 2
        fits = _names_between(10_000, middle, count) <= places
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    numbers, left = low, places - _names_between(10_000, low, count)
    for _ in range(_LENGTHS - 1):
        # The name itself comes first, then those that go on with a 0, a 1, ...
        longer = left > 0
        numbers, left = np.where(longer, numbers * 10, numbers), left - longer
        for _ in range(9):
            inside = _names_between(numbers, numbers + 1, count)
            past = longer & (left >= inside)
            numbers, left = numbers + past, np.where(past, left - inside, left)
    return numbers


def _names_between(first: Whole | int, last: Whole, count: int) -> Whole:
    """How many names up to `count` begin with the digits of one of first..last-1."""
    import numpy as np

    found = np.zeros_like(last)
    for ten in (10**i for i in range(_LENGTHS)):
        found += np.clip(np.minimum(last * ten, count + 1) - first * ten, 0, None)
    return found


def source_time_s(number: int, fps: float = DEFAULT_FPS) -> float:
    """When in the video a file of `source/` was taken, seconds; `fps` is the tracker's, not the video's.

    Raises:
        ValueError: the number is not positive, or fps is not.

    Example:
        >>> source_time_s(26)
        1.0
    """
    if number < 1 or not (fps > 0 and math.isfinite(fps)):
        raise ValueError(f"source numbers start at 1 and fps is positive, got {number} and {fps}")
    return (number - 1) / fps


def video_frame_index(number: int, source_fps: float, video_fps: float) -> int:
    """The frame of the video, counted from 0, that a file of `source/` shows.

    Args:
        number: of the file, from 1.
        source_fps: the tracker's `fps`, at which `source/` was cut.
        video_fps: the video's own.

    Source:
        ffmpeg's `fps` filter, rounding to nearest: video frame i goes to place round(i fps / video_fps),
        and the last one that goes to a place, or before it, is the one shown there. Compared with
        libavfilter at nine rates from 15 to 60 fps: no frame differs. The nearest in time, which one
        would expect, differs for 50 of 83 frames at 60 fps.

    Raises:
        ValueError: the number is not positive, or a rate is not.

    Example:
        A video of 60 fps: the first file shows its second frame.

        >>> [video_frame_index(k, 25, 60) for k in (1, 2, 3)]
        [1, 3, 5]
    """
    rates = source_fps > 0 and video_fps > 0 and math.isfinite(source_fps) and math.isfinite(video_fps)
    if number < 1 or not rates:
        raise ValueError(
            f"source numbers start at 1 and rates are positive, got {number}, {source_fps}, {video_fps}"
        )
    # Rounded first: a whole number must not become the next one by the last bit of a division.
    return math.ceil(round((number - 0.5) * video_fps / source_fps, 6)) - 1


def frames_in_source(
    times_s: Times, source_fps: float, *, start_s: float = 0.0, last_s: float | None = None
) -> Whole:
    """Which frame of a video each file of `source/` shows, where the tracker's own command cut it.

    Args:
        times_s: (N,) when each frame of the video is shown, rising, the first at 0.
        source_fps: the tracker's `fps`.
        start_s: how long after the file's own start the first frame comes: sound may begin earlier.
        last_s: how long the last frame is shown; None: as long as the one before it.

    Returns:
        (M,) indices into `times_s`; place k-1 is that of file number k.

    Source:
        `ffmpeg -i video -vf fps=N %05d.png`, run with ffmpeg 9: the frame at time t, counted from the
        file's start, goes to place round(t N), and the last one that goes to a place, or before it, is
        the one shown there. Places before the first frame's show the same as that one. The last frame
        ends after its own length, as the container has it.

    Raises:
        ValueError: fps is not positive, or there are no frames.

    Example:
        Two quick frames, then a long one: the first of the two is never shown.

        >>> frames_in_source([0.0, 0.035, 0.045, 0.16], 25, last_s=0.04).tolist()
        [0, 2, 2, 2, 3]

        The sound began 30 ms before: one file more.

        >>> frames_in_source([0.0, 0.04, 0.08], 25, start_s=0.03).tolist()
        [0, 0, 1, 2]
    """
    import numpy as np

    times = np.asarray(times_s, dtype=np.float64) + start_s
    if not (source_fps > 0 and math.isfinite(source_fps)) or len(times) < 1:
        raise ValueError(f"fps is positive and a video has frames, got {source_fps} and {len(times)} times")
    if last_s is None:
        last_s = float(times[-1] - times[-2]) if len(times) > 1 else 1 / source_fps
    # A microsecond more, so that a time that lies on the border is not moved by its last bit.
    places = np.floor((np.append(times, times[-1] + last_s) + 1e-6) * source_fps + 0.5).astype(np.int64)
    files = np.arange(max(int(places[-1]), 1)).clip(min=places[0])
    return np.searchsorted(places[:-1], files, side="right").astype(np.int64) - 1
