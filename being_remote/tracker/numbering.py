"""From a `.frame` to the moment in the video: the off-by-ones, in one place.

    frame_id             zero-based index of the tracked frames: 00000.frame is the first
    source number        ffmpeg's, one-based: source/00001.png is the first
    index in the video   zero-based, at the video's own rate; neither of the above

The tracker lists `source/` in text order and cuts `begin_frames` from its front, so frame_id counts
from there. ffmpeg resampled the video to the config's `fps` (25 unless set) before numbering: at any
other rate of the video, frames were repeated or dropped, and only time leads back to it.
"""

from __future__ import annotations

import math

DEFAULT_FPS = 25.0


def source_frame_number(frame_id: int, begin_frames: int) -> int:
    """The number in `source/` of a tracked frame.

    Raises:
        ValueError: a count is negative.

    Example:
        The shipped configs skip one frame, so 00000.frame is 00002.png:

        >>> source_frame_number(0, begin_frames=1)
        2
    """
    if frame_id < 0 or begin_frames < 0:
        raise ValueError(f"frame_id {frame_id} and begin_frames {begin_frames} must not be negative")
    return begin_frames + frame_id + 1


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
