"""Which original frame each pose belongs to, and the cameras with their numbers and times.

The tracker's settings say it (`begin_frames`, `fps`); the pixels may say better. Where the crops were
compared with the frames at hand and all of them lie equally far from where the settings put them, the
pixels are followed and it is said: never silently off by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from being_remote.errors import InconsistentData

if TYPE_CHECKING:
    from being_remote.camera.crop import Crop
    from being_remote.export import Cameras
    from being_remote.workflows.recovery.case import Case


ROUNDING = 1  # by how many frames two ways of counting a video at another rate may differ


@dataclass(frozen=True)
class Numbering:
    """source number = frame_id + begin_frames + 1 + offset; see `tracker.numbering` for long clips.

    Attributes:
        begin_frames: source images that the run skipped, by its settings.
        fps: at which the tracker cut the video into source images.
        settings: whether a settings file says these two; else they are assumed.
        by: what the numbers rest on: the settings, an assumption, or the pixels.
        offset: what the pixels add to the settings' number.
        first, last: number in `source/` of the first and last pose.
        frames_at_hand: how many such frames the video or folder at hand gives; None: none is, or
            that was not counted.
    """

    begin_frames: int
    fps: float
    settings: bool
    by: Literal["settings", "assumption", "pixels"]
    offset: int
    first: int
    last: int
    frames_at_hand: int | None = None


def number_frames(case: Case, offset: int | None) -> tuple[Numbering, tuple[str, ...]]:
    """The numbering to go by, and what is odd about it or about the frames at hand.

    Args:
        offset: what the pixels say; None where they were not asked or could not tell.

    Raises:
        InconsistentData: the source at hand begins after the first pose.
        NotFoundError, DataError: it cannot be read.
    """
    from being_remote.tracker.numbering import FIVE_DIGITS

    numbers, begin, source = case.numbers, case.settings.begin_frames, str(case.source.video)
    first, last = min(numbers.values()) + (offset or 0), max(numbers.values()) + (offset or 0)
    if first < 1:
        raise InconsistentData(
            f"begins {1 - first} frames after the first pose: it is only a part of the video that was"
            " tracked",
            file=source,
            hint="name the whole video: --video FILE",
        )
    by: Literal["settings", "assumption", "pixels"] = "settings" if case.settings_known else "assumption"
    said = []
    if offset is not None:
        by = "pixels"
        if offset:
            what = "the run's settings say" if case.settings_known else "was assumed"
            said.append(
                f"by the pixels, the picture of a pose is number frame_id + {begin + 1 + offset} of {source},"
                f" not + {begin + 1} as {what}; the pixels are followed"
            )
    if case.source_images > FIVE_DIGITS:
        said.append(
            f"source/ holds at least {case.source_images} images, and the tracker takes them in the order of"
            " their names as text: 100000 comes right after 10000; source numbers go by that"
        )
    count = None
    if case.source.video is not None:
        with case.open_frames(case.source.video) as frames:
            count = frames.count
            said += frames.notes
    if count is not None and last > count:
        lacking = sum(1 for n in numbers.values() if n + (offset or 0) > count)
        said.append(
            f"{source} ends too early: it gives {count} frames at {case.settings.fps:g} fps, and the last"
            f" {lacking} of {len(numbers)} poses are of later ones: is it the video that was tracked?"
        )
    if count is not None and case.settings_known:
        end = begin + int(case.frames.frame_ids[-1]) + 1 + case.settings.end_frames + (offset or 0)
        if count > end + ROUNDING:
            said.append(
                f"{source} goes on for {count - end} frames after the last pose: did the run stop early, or"
                " is this another video?"
            )
    known = Numbering(begin, case.settings.fps, case.settings_known, by, offset or 0, first, last, count)
    return known, tuple(said)


def cameras_of(case: Case, crop: Crop, grade: str, known: Numbering) -> Cameras:
    """The poses with the source camera; times only where the settings say the rate."""
    import numpy as np

    from being_remote.camera.intrinsics import intrinsics_in_source
    from being_remote.export import Cameras
    from being_remote.tracker.numbering import source_time_s

    frames = case.frames
    numbers = np.fromiter(case.numbers.values(), np.int64) + known.offset
    times = [source_time_s(n, known.fps) for n in numbers.tolist()] if known.settings else None
    return Cameras(
        name=case.run.name,
        K_source=intrinsics_in_source(frames.K, crop),
        K_crop=frames.K,
        R=frames.R,
        t=frames.t,
        frame_ids=frames.frame_ids,
        source_numbers=numbers,
        times_s=None if times is None else np.array(times),
        crop=crop,
        grade=grade,
        K_each=intrinsics_in_source(frames.K_each, crop) if len(frames.stretches) > 1 else None,
    )
