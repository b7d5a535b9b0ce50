"""From a `.frame` to the moment in the video: the off-by-ones, in one file.

    frame_id             zero-based index of the tracked frames: 00000.frame is the first
    source number        ffmpeg's, one-based: source/00001.png is the first
    index in the video   zero-based, at the video's own rate

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

FIVE_DIGITS = 99_999  # up to here text order is that of the numbers
UNMOVED = 9_999  # so many names begin with 0; nothing longer comes between them
MAX_IMAGES = 10_000_000


def source_frame_numbers(frame_ids: ArrayLike, begin_frames: int, source_images: int = 0) -> Whole:
    """The numbers in `source/` of tracked frames.

    Args:
        frame_ids: (N,) of the `.frame` files.
        begin_frames: how many images the tracker left out at the front.
        source_images: how many images `source/` holds. Matters above 99,999 only: as text 100000
            comes right after 10000. 0: unknown, and taken to be fewer.

    Raises:
        ValueError: a count is negative, or there are fewer images than that.

    Example:
        The shipped configs skip one frame, so 00000.frame is 00002.png:

        >>> source_frame_numbers([0], begin_frames=1).tolist()
        [2]
    """
    import numpy as np

    ids = np.asarray(frame_ids, dtype=np.int64)
    if begin_frames < 0 or (ids < 0).any():
        raise ValueError(f"frame_id {ids.min()} and begin_frames {begin_frames} must not be negative")
    places = ids + begin_frames
    if source_images and (places >= source_images).any():
        raise ValueError(
            f"frame_id {ids.max()} after {begin_frames} left out is beyond the {source_images} images"
        )
    if source_images <= FIVE_DIGITS:
        return np.asarray(places + 1)
    if source_images > MAX_IMAGES:
        raise ValueError(f"{source_images} images are more than the {MAX_IMAGES} that are put in order")
    numbers = np.arange(1, source_images + 1, dtype=np.int64)
    digits = 5 + np.searchsorted(10 ** np.arange(5, 9), numbers, side="right")
    # As text: by the digits from the left, and of two names that begin alike the shorter one first.
    return np.asarray(numbers[np.lexsort((digits, numbers * 10 ** (9 - digits)))][places])


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
        the one shown there. The last frame ends after its own length, as the container has it.

    Raises:
        ValueError: fps is not positive, or there are no frames.

    Example:
        Two quick frames, then a long one: the first of the two is never shown.

        >>> frames_in_source([0.0, 0.035, 0.045, 0.16], 25, last_s=0.04).tolist()
        [0, 2, 2, 2, 3]
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
