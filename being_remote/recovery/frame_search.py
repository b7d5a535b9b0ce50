"""Which frame of the video each pose is of, by pixels: one pass over the video.

All stored crops are compared with all frames, small and grey, inside of the known crop.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from being_remote.camera.crop import Crop
from being_remote.crop_search.frame_map import FrameMap, FrameRule, map_frames
from being_remote.errors import DataError, NotFoundError
from being_remote.media.video import READERS, FrameReader, small_grey
from being_remote.recovery.recovery_input import RecoveryInput
from being_remote.recovery.stored_crops import read_crop
from being_remote.session import OnProgress, TransferProgress
from being_remote.tracker.frame_numbering import frames_in_source
from being_remote.tracker.source_frames import MAX_FILES, number_frames

SIDE_PX = 32  # of the small pictures
EVERY, RESAMPLED, NAMED = "every frame of it", "it at {fps:g} fps", "its files by their names"
# Rates at which source/ may have been cut, or the video at hand was made of the tracked one.
RATES = (25.0, 30.0, 24.0, 50.0, 60.0, 30000 / 1001, 24000 / 1001, 60000 / 1001)
MOST_FRAMES = 60_000  # of 4 KiB each, a few times over
PHASES = 12  # a video that was cut at its beginning is resampled from another moment on


@dataclass(frozen=True)
class NoEvidence:
    """Why pixels could not be compared, which says nothing against the settings."""

    reason: str


def find_frame_map(case: RecoveryInput, crop: Crop, on_progress: OnProgress) -> FrameMap | NoEvidence | str:
    """Which frame of the video at hand each pose is of, or in words why the pixels fit no frames."""
    assert case.crops is not None and case.video is not None
    numbers = np.fromiter(case.numbers.values(), np.int64)
    order = np.argsort(numbers, kind="stable")  # text order, where there are more than 99,999 images
    place_of = {int(case.frames.frame_ids[pose]): place for place, pose in enumerate(order)}
    crops = _small_crops(case, crop, on_progress)
    places = sorted((place_of[frame_id], frame_id) for frame_id in crops)
    if not places:
        return NoEvidence("none of the stored crops can be read")
    if case.video.frame_count > MOST_FRAMES:
        return NoEvidence(f"there are more than {MOST_FRAMES} frames, and so many are not compared")
    shown = _small_frames(case.video, crop, on_progress)
    if not shown:
        return NoEvidence("none of the frames can be read")
    found = map_frames(
        np.stack([crops[frame_id] for _, frame_id in places]),
        np.array([place for place, _ in places]),
        np.stack(list(shown.values())),
        np.array(list(shown), np.int64),
        _source_rules(case.video, case.settings.fps),
        numbers[order],
    )
    if isinstance(found, str):
        return found
    frames, followed = np.empty_like(found.frames), np.empty_like(found.frames)
    frames[order], followed[order] = found.frames, found.followed
    return replace(found, frames=frames, followed=followed)


def is_certain(source: FrameReader, fps: float) -> bool:
    """Whether there is but one way to number these frames: a folder, or a video at the tracker's rate."""
    resampled, every = _predictions(source, fps)
    return source.times_s is None or bool(np.array_equal(resampled.frames, every.frames))


def _predictions(source: FrameReader, fps: float) -> tuple[FrameRule, FrameRule]:
    """What `source/` holds by the settings; and every frame, as programs other than the tracker do it."""
    index_of, _ = number_frames(source, fps)
    files = np.full(min(max(index_of), MAX_FILES), -1)
    for number, index in index_of.items():
        if number <= MAX_FILES:
            files[number - 1] = index
    name = NAMED if source.times_s is None else RESAMPLED.format(fps=fps)
    return FrameRule(name, files), FrameRule(EVERY, np.arange(source.frame_count))


def _source_rules(source: FrameReader, fps: float) -> list[FrameRule]:
    """The ways in which `source/` may have been made of the video at hand, the likeliest first."""
    rules = list(_predictions(source, fps))
    every = rules[1].frames
    if source.times_s is not None:
        clocks = [(source.times_s, source.last_s, rate) for rate in dict.fromkeys((fps, *RATES))]
    else:  # frames taken out of the video by another program, all or at another rate
        clocks = [(every / rate, None, fps) for rate in RATES if rate != fps]
    distinct = {rule.frames.tobytes() for rule in rules}
    for times_s, last_s, rate in clocks:
        if (float(times_s[-1]) + (last_s or 0)) * rate > MAX_FILES:
            continue
        for phase in range(-PHASES // 2, PHASES // 2):
            frames = frames_in_source(times_s, rate, start_s=phase / PHASES / rate, last_s=last_s)
            if frames.tobytes() not in distinct:
                distinct.add(frames.tobytes())
                rules.append(FrameRule(RESAMPLED.format(fps=rate), frames))
    return rules


def _small_frames(
    source: FrameReader, crop: Crop, on_progress: OnProgress
) -> Mapping[int, NDArray[np.float32]]:
    """Of each frame what the crop shows, by index in the video."""
    shown = {}
    for index, picture in source.small_greys(_window(crop), SIDE_PX):
        shown[index] = picture.ravel()
        on_progress(TransferProgress("frames compared", index + 1, source.frame_count, "frames"))
    return shown


def _small_crops(case: RecoveryInput, crop: Crop, on_progress: OnProgress) -> dict[int, NDArray[np.float32]]:
    """Each stored crop without its padding, by frame_id; those that cannot be read are left out."""
    assert case.crops is not None
    crops, size_wh = case.crops, case.frames.image_size_wh
    across, down = (
        round(pad / scale) for pad, scale in ((crop.pad_x, crop.scale_x), (crop.pad_y, crop.scale_y))
    )

    def small(frame_id: int) -> NDArray[np.float32] | None:
        try:
            picture = read_crop(crops, frame_id, size_wh)
        except (NotFoundError, DataError):
            return None
        height, width = picture.shape[:2]
        return small_grey(picture[down : height - down, across : width - across], SIDE_PX).ravel()

    pictures = {}
    with ThreadPoolExecutor(READERS) as pool:
        read = zip(crops.files, pool.map(small, crops.files), strict=True)
        for done, (frame_id, picture) in enumerate(read, 1):
            on_progress(TransferProgress("stored crops read", done, len(crops.files), "crops"))
            if picture is not None:
                pictures[frame_id] = picture
    return pictures


def _window(crop: Crop) -> tuple[int, int, int, int]:
    """The part of a frame that the crop shows, whole pixels."""
    width, height = crop.source_size_wh
    x_min, y_min = max(round(crop.x_min), 0), max(round(crop.y_min), 0)
    return x_min, min(round(crop.x_max), width), y_min, min(round(crop.y_max), height)
