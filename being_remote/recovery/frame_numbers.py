"""Which original frame each pose belongs to, and when it is shown.

The tracker's settings predict it (`begin_frames`, `fps`); the pixels decide, wherever stored crops and
the video are at hand. A pose whose frame they do not show has no number, and no picture is made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from being_remote.camera.crop import Crop
from being_remote.crop_search.finding import CropCheck
from being_remote.crop_search.frame_map import FrameMap
from being_remote.recovery.crop_check import check_mapped_crops, differing_crops
from being_remote.recovery.found_crop import FoundCrop
from being_remote.recovery.frame_search import NoEvidence, find_frame_map, is_certain
from being_remote.recovery.recovery_input import RecoveryInput
from being_remote.session import OnProgress
from being_remote.tracker.frame_numbering import FIVE_DIGITS
from being_remote.wording import list_some

Whole = NDArray[np.int64]

ROUNDING = 1  # by how many frames two ways of counting a video at another rate may differ
ENOUGH = 3  # crops: one that agrees does not prove a whole run
NAMED = 4  # poses that a message lists

By = Literal["settings", "assumption", "pixels", "unknown"]


@dataclass(frozen=True)
class Numbering:
    """source number = frame_id + begin_frames + 1 + offset; see `tracker.frame_numbering` for long clips."""

    begin_frames: int  # source images that the run skipped, by its settings
    fps: float  # at which the tracker cut the video into source images, by its settings
    settings: bool  # whether a settings file says these two; else they are assumed
    # what the numbers rest on: the settings, an assumption, or the pixels; "unknown" where the pixels were
    # compared and fit no numbers
    by: By
    offset: int  # what the pixels add to the settings' number
    # number in `source/` of the first and last pose that has one
    first: int | None
    last: int | None
    # how many such frames the video at hand gives; None: no video, or no rule fits
    frames_at_hand: int | None = None
    source_holds: str = ""  # what source/ holds of the video at hand, by the pixels; "" where that is unknown
    crops_found: int = 0  # how many stored crops show the frame at hand that their pose is given
    steps: int = 0  # how many times the poses leave the rule for another offset
    without_number: int = 0  # how many poses have no source number
    at_fps: bool = True  # source/ holds what the settings say: the files at hand, or the video cut at `fps`


@dataclass(frozen=True, eq=False)
class PixelNumbers:
    """What the pixels say of the poses' frames."""

    frame_map: FrameMap | None = None  # the frame of each pose; None where no map was made, or none fits
    offset: int = 0  # without a map, what a few crops add to the settings' numbers
    found: int = 0  # crops that were found in their frames
    refused: str = ""  # why the pixels fit no numbers at all; "" where they do, or were not compared
    doubt: str = ""  # why the settings' numbers are not proven; "" where they are, or need no proof
    check: CropCheck | None = None  # the check of the crop, made again where the map gives its frames
    checked_by_map: bool = False  # whether it was


@dataclass(frozen=True, eq=False)
class NumberedPoses:
    """The source numbers and frames of all poses."""

    numbering: Numbering  # in short
    numbers: Whole  # (N,) in `source/`, from 1; 0 where unknown
    indices: Whole | None  # (N,) in the video at hand, from 0; -1 where unknown or missing. None: no video.
    times_s: NDArray[np.float64] | None  # (N,) NaN where unknown; None where all are
    warnings: tuple[str, ...]
    by_pixels: bool  # the indices are what a frame map says

    @property
    def shown(self) -> dict[int, int] | None:
        """The index in the video of each source number, where the pixels said it."""
        if self.indices is None or not self.by_pixels:
            return None
        pairs = zip(self.numbers.tolist(), self.indices.tolist(), strict=True)
        return {number: index for number, index in pairs if number > 0 and index >= 0}


def compare_frames(
    case: RecoveryInput,
    found: FoundCrop,
    check: CropCheck | None,
    *,
    allowed: bool,
    pictures: bool,
    on_progress: OnProgress,
) -> PixelNumbers:
    """What the stored crops say of the poses' frames in the video at hand.

    A few crops suffice where the frames can be numbered in one way only, the crops show it, and no picture
    is made. Else all crops are compared with all frames.

    Args:
        check: the check of a few crops, if there was one.
        allowed: pixels may be compared.
        pictures: pictures are made of the frames.
    """
    if found.search is not None and found.search.frame_map is not None and found.crop is not None:
        mapped = found.search.frame_map
        return PixelNumbers(mapped, mapped.offset, mapped.found, checked_by_map=True)
    searched = found.search.finding.frames if found.search is not None else ()
    compared = check.frames if check is not None else searched
    offsets = [f.frame_offset for f in compared if f.agrees and f.offset_told]
    enough = min(ENOUGH, len(case.frames.frame_ids))
    offset = found.frame_offset if check is None else check.frame_offset if check.agrees else None
    agreed = 0 if offset is None else offsets.count(offset)
    few = PixelNumbers(check=check)
    if offset is not None and agreed >= enough:
        few = replace(few, offset=offset, found=agreed)
    if found.crop is None or case.video is None:
        return few
    certain = is_certain(case.video, case.settings.fps)
    if not allowed or case.crops is None:
        why = "no stored crop is local" if allowed else "--no-check"
        return few if certain else replace(few, doubt=why)
    if case.video.size_wh != found.crop.source_size_wh:
        return few if few.found else replace(few, doubt="the frames at hand have another size")
    sure = certain and few.found == len(offsets) > 0
    if sure and not few.offset and not pictures:
        return few
    mapped_frames = find_frame_map(case, found.crop, on_progress)
    if not isinstance(mapped_frames, (str, NoEvidence)):
        return _confirm_map(case, found.crop, mapped_frames, check, on_progress)
    if sure:
        return few
    if isinstance(mapped_frames, NoEvidence):
        if any(offsets):
            return PixelNumbers(refused=f"a few crops lie elsewhere, and {mapped_frames.reason}", check=check)
        return PixelNumbers(doubt=mapped_frames.reason, check=check)
    if len(case.crops.files) < enough and not any(offsets):
        count = len(case.crops.files)
        return replace(few, doubt=f"only {count} stored crop{'s are' if count > 1 else ' is'} local")
    return PixelNumbers(refused=mapped_frames, check=check)


def _confirm_map(
    case: RecoveryInput, crop: Crop, found: FrameMap, check: CropCheck | None, on_progress: OnProgress
) -> PixelNumbers:
    """The map, where crops in full size agree with it, too."""
    numbers = PixelNumbers(found, found.offset, found.found, check=check)
    if found.found < min(ENOUGH, len(case.frames.frame_ids)):
        doubt = f"only {found.found} of {found.compared} stored crops could be found in the frames at hand"
        if not (found.first_rule and found.offset == 0):
            return PixelNumbers(refused=f"{doubt}, and not where the settings have them", check=check)
        numbers = replace(numbers, doubt=doubt)
    if check is None or not case.cropped:
        return numbers
    as_checked = check.agrees and check.frame_offset == 0 and found.predicted
    if as_checked and not differing_crops(case, found):
        return numbers
    again = check_mapped_crops(crop, case, found, on_progress)
    if not again.agrees and not (check.agrees and again.agrees is None):
        denied = again if again.agrees is False and check.agrees else check
        return PixelNumbers(refused=f"in full size, {again.reason}", check=denied)
    return replace(numbers, check=again, checked_by_map=True)


def number_frames(case: RecoveryInput, pixels: PixelNumbers) -> NumberedPoses:
    """The source number and the frame of every pose, by the settings and the pixels."""
    from_settings = np.fromiter(case.numbers.values(), np.int64)
    by: By = "settings" if case.settings_known else "assumption"
    frames, settings = case.source_frames, case.settings
    numbering = Numbering(
        settings.begin_frames, settings.fps, case.settings_known, by, pixels.offset, None, None
    )
    indices = None
    if pixels.refused:
        numbers = np.zeros_like(from_settings)
        indices = None if frames is None else np.full_like(from_settings, -1)
        numbering = replace(numbering, by="unknown", offset=0)
    elif pixels.frame_map is not None:
        numbers, numbering = _number_by_map(from_settings, pixels.frame_map, numbering)
        indices = pixels.frame_map.frames
    else:
        numbers = np.maximum(from_settings + pixels.offset, 0)
        numbering = replace(numbering, by="pixels" if pixels.found else by, crops_found=pixels.found)
        if frames is not None:
            found = (frames.index_of(number) for number in numbers.tolist())
            indices = np.array([-1 if index is None else index for index in found], np.int64)
    if frames is not None and numbering.at_fps:
        numbering = replace(numbering, frames_at_hand=frames.count)
    positive = numbers[numbers > 0]
    if len(positive):
        numbering = replace(numbering, first=int(positive.min()), last=int(positive.max()))
    numbering = replace(numbering, without_number=int((numbers == 0).sum()))
    warnings = (
        *_describe_numbers(case, pixels, numbering),
        *(_describe_ends(case, numbering, indices) if not pixels.refused else ()),
        *(frames.notes if frames is not None else ()),
    )
    times_s = _times_s(case, pixels.frame_map, numbering, numbers, indices)
    by_pixels = pixels.frame_map is not None or bool(pixels.refused)
    return NumberedPoses(numbering, numbers, indices, times_s, warnings, by_pixels)


def _number_by_map(from_settings: Whole, found: FrameMap, numbering: Numbering) -> tuple[Whole, Numbering]:
    """Numbers along the map's rule; without one, those of the settings, for poses that have a frame."""
    numbers = from_settings + found.offset
    # The tracker's own rule holds beyond the end of the video at hand, too.
    later = (numbers > found.files) if found.first_rule and found.rule else np.zeros(len(numbers), bool)
    numbers = np.where((found.frames >= 0) | later, numbers, 0)
    enough = min(ENOUGH, len(from_settings))
    return numbers, replace(
        numbering,
        by="pixels" if found.found >= enough else numbering.by,
        offset=found.offset,
        frames_at_hand=found.files or None,
        source_holds=found.rule,
        crops_found=found.found,
        steps=found.steps,
        at_fps=found.first_rule,
    )


def _times_s(
    case: RecoveryInput,
    found: FrameMap | None,
    numbering: Numbering,
    numbers: Whole,
    indices: Whole | None,
) -> NDArray[np.float64] | None:
    """By the tracker's rate where the numbers are at that; else as the video at hand shows its frames."""
    if found is None or found.first_rule:
        if not numbering.settings or numbering.by == "unknown":
            return None
        return np.where(numbers > 0, (numbers - 1) / numbering.fps, np.nan)
    if case.video is None or case.video.times_s is None or indices is None:
        return None
    return np.where(indices >= 0, case.video.times_s[indices] + case.video.start_s, np.nan)


def _describe_numbers(case: RecoveryInput, pixels: PixelNumbers, numbering: Numbering) -> Iterator[str]:
    video, found, begin = _video_name(case), pixels.frame_map, numbering.begin_frames
    what = "the run's settings say" if case.settings_known else "was assumed"
    if pixels.refused:
        yield (
            f"WHICH FRAME OF {video} EACH POSE IS OF IS UNKNOWN: {pixels.refused}. Source numbers and times"
            " are left out, and no picture is made: is it the video that was tracked?"
        )
        return
    if pixels.doubt:
        yield f"source numbers are not proven by pixels: {pixels.doubt}; they rest on what {what}"
    if numbering.offset:
        yield (
            f"by the pixels, the picture of a pose is number frame_id + {begin + 1 + numbering.offset} of"
            f" {video}, not + {begin + 1} as {what}; the pixels are followed"
        )
    if found is not None and not found.first_rule:
        no_rule = f"its frames follow no rule ({found.steps} steps)"
        holds = f"source/ holds {found.rule}" if found.rule else no_rule
        yield f"by the pixels of {found.found} stored crops, of {video} {holds}; the pixels are followed"
    if found is not None and found.others:
        yield (
            f"little moves: the stored crops fit other frames of {video} as well ({found.others}); those"
            f" that {what} are taken"
        )
    if case.source_images > FIVE_DIGITS:
        yield (
            f"source/ holds at least {case.source_images} images, and the tracker takes them in the order of"
            " their names as text: 100000 comes right after 10000; source numbers go by that"
        )


def _describe_ends(case: RecoveryInput, numbering: Numbering, indices: Whole | None) -> Iterator[str]:
    """Warnings where the video begins late, ends early, lacks frames, or continues after the last pose."""
    if indices is None:
        return
    video, poses, count = _video_name(case), len(indices), numbering.frames_at_hand
    present = np.flatnonzero(indices >= 0)
    first, last = (int(present[0]), int(present[-1])) if len(present) else (poses, poses)
    if first:
        yield (
            f"{video} begins after the first pose: {first} of {poses} poses are of earlier frames and have"
            " no number; name the whole video: --video FILE"
        )
    if last < poses - 1:
        rate = f" at {numbering.fps:g} fps" if numbering.at_fps else ""
        gives = f"it gives {count} frames{rate}, and " if count is not None else ""
        yield (
            f"{video} ends too early: {gives}the last {poses - 1 - last} of {poses} poses are of later"
            " frames: is it the video that was tracked?"
        )
    missing = np.flatnonzero(indices[first : last + 1] < 0) + first
    if len(missing):
        ids = list_some([f"{int(case.frames.frame_ids[i]):05d}" for i in missing], NAMED)
        yield (
            f"{len(missing)} of {poses} poses are of no known frame of {video} ({ids}): they have no number"
        )
    if count is not None and case.settings_known and len(present):
        last_id = int(case.frames.frame_ids[-1])
        end = numbering.begin_frames + last_id + 1 + case.settings.end_frames + numbering.offset
        if count > end + ROUNDING:
            yield (
                f"{video} continues for {count - end} frames after the last pose: did the run stop early, or"
                " is this another video?"
            )


def _video_name(case: RecoveryInput) -> str:
    return str(case.video.path) if case.video is not None else "the video"
