"""Which original frame each pose belongs to, and the cameras with their numbers and times.

The tracker's settings predict it (`begin_frames`, `fps`); the pixels decide, wherever stored crops and
the video are at hand. What the pixels do not tell is not numbered, and no picture is made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from being_remote.recovery.crop_from_images import check_mapped, unlike_their_frames
from being_remote.recovery.frame_search import NoEvidence, find_frame_map, is_certain
from being_remote.recovery.report_values import FrameFigures, evidence_figures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from being_remote.camera.crop import Crop
    from being_remote.crop_search.frame_map import FrameMap
    from being_remote.export import Cameras
    from being_remote.recovery.found_crop import FoundCrop
    from being_remote.recovery.recovery_input import RecoveryInput
    from being_remote.recovery.report_values import CheckFigures
    from being_remote.session import OnProgress

    Whole = NDArray[np.int64]

ROUNDING = 1  # by how many frames two ways of counting a video at another rate may differ
ENOUGH = 3  # crops: one that agrees is no proof of a whole run
NAMED = 4  # poses that a message lists

By = Literal["settings", "assumption", "pixels", "unknown"]


@dataclass(frozen=True)
class Numbering:
    """source number = frame_id + begin_frames + 1 + offset; see `tracker.numbering` for long clips.

    Attributes:
        begin_frames: source images that the run skipped, by its settings.
        fps: at which the tracker cut the video into source images, by its settings.
        settings: whether a settings file says these two; else they are assumed.
        by: what the numbers rest on: the settings, an assumption, or the pixels; "unknown" where the
            pixels were asked and fit no numbers.
        offset: what the pixels add to the settings' number.
        first, last: number in `source/` of the first and last pose that has one.
        frames_at_hand: how many such frames the video or folder at hand gives; None: none is, or by the
            pixels it gives them by no rule.
        source_holds: of the video or folder at hand, by the pixels; "" where they were not asked or it is
            by no rule.
        crops_found: how many stored crops show the frame at hand that their pose is given.
        steps: how many times the poses leave the rule for another offset.
        without_number: how many poses have no source number.
        at_fps: source/ holds what the settings say: the files at hand, or the video cut at `fps`.
    """

    begin_frames: int
    fps: float
    settings: bool
    by: By
    offset: int
    first: int | None
    last: int | None
    frames_at_hand: int | None = None
    source_holds: str = ""
    crops_found: int = 0
    steps: int = 0
    without_number: int = 0
    at_fps: bool = True


@dataclass(frozen=True, eq=False)
class PixelNumbers:
    """What the pixels say of the poses' frames.

    Attributes:
        frame_map: the frame of each pose; None where that was not asked, or is not told.
        offset: without a map, what a few crops add to the settings' numbers.
        found: crops that were found in their frames.
        refused: why the pixels fit no numbers at all; "" where they do, or were not asked.
        doubt: why the settings' numbers are not proven; "" where they are, or nobody asked.
        seen: the check of the crop, made again where the map tells its frames.
        checked_by_map: whether it was.
    """

    frame_map: FrameMap | None = None
    offset: int = 0
    found: int = 0
    refused: str = ""
    doubt: str = ""
    seen: CheckFigures | None = None
    checked_by_map: bool = False


@dataclass(frozen=True, eq=False)
class NumberedPoses:
    """The frames of all poses.

    Attributes:
        known: in short.
        numbers: (N,) in `source/`, from 1; 0 where it is not known.
        indices: (N,) in the video at hand, from 0; -1 where it is not known, or not there. None: no video.
        times_s: (N,) NaN where it is not known; None where no time is.
        said: what is odd about them, or about the frames at hand.
        by_pixels: the indices are what a frame map says.
    """

    known: Numbering
    numbers: Whole
    indices: Whole | None
    times_s: NDArray[np.float64] | None
    said: tuple[str, ...]
    by_pixels: bool

    @property
    def shown(self) -> dict[int, int] | None:
        """The index in the video of each source number, where the pixels said it."""
        if self.indices is None or not self.by_pixels:
            return None
        pairs = zip(self.numbers.tolist(), self.indices.tolist(), strict=True)
        return {number: index for number, index in pairs if number > 0 and index >= 0}


def ask_pixels(
    case: RecoveryInput,
    found: FoundCrop,
    seen: CheckFigures | None,
    *,
    check: bool,
    pictures: bool,
    on_progress: OnProgress,
) -> PixelNumbers:
    """What the stored crops say of the poses' frames in what is at hand.

    A few crops do where there is one way to number the frames, they tell it, and no picture is made.
    Else all crops are compared with all frames.

    Args:
        seen: the check of a few crops, if there was one.
        check: the pixels may be asked.
        pictures: pictures are made of the frames.

    Raises:
        NotFoundError, DataError: the video cannot be read.
    """
    from being_remote.media.video import open_source

    if found.search is not None and found.search.frame_map is not None and found.crop is not None:
        mapped = found.search.frame_map
        return PixelNumbers(mapped, mapped.offset, mapped.found, checked_by_map=True)
    compared = seen.frames if seen is not None else _searched(case, found)
    told = [f.frame_offset for f in compared if f.agrees and f.offset_told]
    enough = min(ENOUGH, len(case.frames.frame_ids))
    offset = found.frame_offset if seen is None else seen.frame_offset if seen.agrees else None
    agreed = 0 if offset is None else told.count(offset)
    few = PixelNumbers(seen=seen)
    if offset is not None and agreed >= enough:
        few = replace(few, offset=offset, found=agreed)
    video = case.source.video
    if found.crop is None or video is None:
        return few
    with open_source(video) as source:
        certain, size_wh = is_certain(source, case.settings.fps), source.size_wh
    if not check or case.crops is None:
        why = "no stored crop is here" if check else "--no-check"
        return few if certain else replace(few, doubt=why)
    if size_wh != found.crop.source_size_wh:
        return few if few.found else replace(few, doubt="the frames at hand have another size")
    sure = certain and few.found == len(told) > 0
    if sure and not few.offset and not pictures:
        return few
    answer = find_frame_map(case, found.crop, on_progress)
    if not isinstance(answer, (str, NoEvidence)):
        return _confirmed(case, found.crop, answer, seen, on_progress)
    if sure:
        return few
    if isinstance(answer, NoEvidence):
        if any(told):
            return PixelNumbers(refused=f"a few crops lie elsewhere, and {answer.reason}", seen=seen)
        return PixelNumbers(doubt=answer.reason, seen=seen)
    if len(case.crops.files) < enough and not any(told):
        count = len(case.crops.files)
        return replace(few, doubt=f"only {count} stored crop{'s are' if count > 1 else ' is'} here")
    return PixelNumbers(refused=answer, seen=seen)


def _searched(case: RecoveryInput, found: FoundCrop) -> tuple[FrameFigures, ...]:
    return evidence_figures(found.search, case.frames).frames if found.search is not None else ()


def _confirmed(
    case: RecoveryInput, crop: Crop, answer: FrameMap, seen: CheckFigures | None, on_progress: OnProgress
) -> PixelNumbers:
    """The map, where crops in full size agree with it, too."""
    numbers = PixelNumbers(answer, answer.offset, answer.found, seen=seen)
    if answer.found < min(ENOUGH, len(case.frames.frame_ids)):
        doubt = f"only {answer.found} of {answer.compared} stored crops could be found in the frames at hand"
        if not (answer.first_rule and answer.offset == 0):
            return PixelNumbers(refused=f"{doubt}, and not where the settings have them", seen=seen)
        numbers = replace(numbers, doubt=doubt)
    if seen is None or not case.cropped:
        return numbers
    as_seen = seen.agrees and seen.frame_offset == 0 and answer.predicted
    if as_seen and not unlike_their_frames(case, answer):
        return numbers
    again = check_mapped(crop, case, answer, on_progress)
    if not again.agrees and not (seen.agrees and again.agrees is None):
        denied = again if again.agrees is False and seen.agrees else seen
        return PixelNumbers(refused=f"in full size, {again.reason}", seen=denied)
    return replace(numbers, seen=again, checked_by_map=True)


def number_frames(case: RecoveryInput, asked: PixelNumbers) -> NumberedPoses:
    """The numbers to go by.

    Raises:
        NotFoundError, DataError: the source at hand cannot be read.
    """
    import numpy as np

    settings = np.fromiter(case.numbers.values(), np.int64)
    by: By = "settings" if case.settings_known else "assumption"
    said: list[str] = []
    at_hand = _at_hand(case)
    known = Numbering(
        case.settings.begin_frames, case.settings.fps, case.settings_known, by, asked.offset, None, None
    )
    if asked.refused:
        numbers = np.zeros_like(settings)
        indices = None if at_hand is None else np.full_like(settings, -1)
        known = replace(known, by="unknown", offset=0)
    elif asked.frame_map is not None:
        numbers, indices, known = _by_map(settings, asked.frame_map, known)
    else:
        numbers = np.maximum(settings + asked.offset, 0)
        known = replace(known, by="pixels" if asked.found else by, crops_found=asked.found)
        indices = None
        if at_hand is not None:
            indices = np.array([at_hand.index_of.get(int(n), -1) for n in numbers], np.int64)
    if at_hand is not None and known.at_fps:
        known = replace(known, frames_at_hand=at_hand.count)
    positive = numbers[numbers > 0]
    if len(positive):
        known = replace(known, first=int(positive.min()), last=int(positive.max()))
    known = replace(known, without_number=int((numbers == 0).sum()))
    said += _said(case, asked, known, numbers, indices)
    said += at_hand.notes if at_hand is not None else ()
    times_s = _times(case, asked, known, numbers, indices, at_hand)
    by_pixels = asked.frame_map is not None or bool(asked.refused)
    return NumberedPoses(known, numbers, indices, times_s, tuple(said), by_pixels)


@dataclass(frozen=True, eq=False)
class _PictureSource:
    """The video or folder at hand, numbered as the settings say."""

    count: int
    index_of: dict[int, int]
    times_s: NDArray[np.float64] | None
    notes: tuple[str, ...]


def _at_hand(case: RecoveryInput) -> _PictureSource | None:
    from being_remote.media.video import open_source
    from being_remote.tracker.source_frames import number_frames

    if case.source.video is None:
        return None
    with open_source(case.source.video) as source:
        index_of, notes = number_frames(source, case.settings.fps)
        times_s = None if source.times_s is None else source.times_s + source.start_s
        return _PictureSource(max(index_of), dict(index_of), times_s, (*source.notes, *notes))


def _by_map(settings: Whole, found: FrameMap, known: Numbering) -> tuple[Whole, Whole, Numbering]:
    """Numbers along the map's rule; without one, those of the settings, for poses that have a frame."""
    import numpy as np

    numbers = settings + found.offset
    # The tracker's own rule goes on behind the end of what is at hand.
    later = (numbers > found.files) if found.first_rule and found.rule else np.zeros(len(numbers), bool)
    numbers = np.where((found.frames >= 0) | later, numbers, 0)
    enough = min(ENOUGH, len(settings))
    known = replace(
        known,
        by="pixels" if found.found >= enough else known.by,
        offset=found.offset,
        frames_at_hand=found.files or None,
        source_holds=found.rule,
        crops_found=found.found,
        steps=found.steps,
        at_fps=found.first_rule,
    )
    return numbers, found.frames, known


def _times(
    case: RecoveryInput,
    asked: PixelNumbers,
    known: Numbering,
    numbers: Whole,
    indices: Whole | None,
    at_hand: _PictureSource | None,
) -> NDArray[np.float64] | None:
    """By the tracker's rate where the numbers are at that; else as the video at hand shows its frames."""
    import numpy as np

    found = asked.frame_map
    if found is None or found.first_rule:
        if not known.settings or known.by == "unknown":
            return None
        return np.where(numbers > 0, (numbers - 1) / known.fps, np.nan)
    if at_hand is None or at_hand.times_s is None or indices is None:
        return None
    return np.where(indices >= 0, at_hand.times_s[indices], np.nan)


def _said(
    case: RecoveryInput, asked: PixelNumbers, known: Numbering, numbers: Whole, indices: Whole | None
) -> Sequence[str]:
    """What is odd about the numbers, or about the frames at hand."""
    import numpy as np

    from being_remote.tracker.frame_numbering import FIVE_DIGITS

    source, found, begin = str(case.source.video), asked.frame_map, known.begin_frames
    said = []
    what = "the run's settings say" if case.settings_known else "was assumed"
    if asked.refused:
        said.append(
            f"WHICH FRAME OF {source} EACH POSE IS OF IS UNKNOWN: {asked.refused}. Source numbers and times"
            " are left out, and no picture is made: is it the video that was tracked?"
        )
        return said
    if asked.doubt:
        said.append(f"source numbers are not proven by pixels: {asked.doubt}; they rest on what {what}")
    if known.offset:
        said.append(
            f"by the pixels, the picture of a pose is number frame_id + {begin + 1 + known.offset} of"
            f" {source}, not + {begin + 1} as {what}; the pixels are followed"
        )
    if found is not None and not found.first_rule:
        holds = (
            f"source/ holds {found.rule}"
            if found.rule
            else f"its frames follow no rule ({found.steps} steps)"
        )
        said.append(
            f"by the pixels of {found.found} stored crops, of {source} {holds}; the pixels are followed"
        )
    if found is not None and found.others:
        said.append(
            f"little moves: the stored crops fit other frames of {source} as well ({found.others}); those"
            f" that {what} are taken"
        )
    if case.source_images > FIVE_DIGITS:
        said.append(
            f"source/ holds at least {case.source_images} images, and the tracker takes them in the order of"
            " their names as text: 100000 comes right after 10000; source numbers go by that"
        )
    if indices is None or (known.frames_at_hand is None and found is None):
        return said
    there = np.flatnonzero(indices >= 0)
    first, last = (int(there[0]), int(there[-1])) if len(there) else (len(indices), len(indices))
    count = known.frames_at_hand
    if first:
        said.append(
            f"{source} begins after the first pose: {first} of {len(indices)} poses are of earlier frames and"
            " have no number; name the whole video: --video FILE"
        )
    if last < len(indices) - 1:
        rate = f" at {known.fps:g} fps" if known.at_fps else ""
        gives = f"it gives {count} frames{rate}, and " if count is not None else ""
        said.append(
            f"{source} ends too early: {gives}the last {len(indices) - 1 - last} of {len(indices)} poses are"
            " of later ones: is it the video that was tracked?"
        )
    between = np.flatnonzero(indices[first : last + 1] < 0) + first
    if len(between):
        ids = ", ".join(f"{int(case.frames.frame_ids[i]):05d}" for i in between[:NAMED])
        said.append(
            f"{len(between)} of {len(indices)} poses are of no frame of {source} that is known ({ids}"
            f"{', ...' if len(between) > NAMED else ''}): they have no number"
        )
    if count is not None and case.settings_known and len(there):
        end = begin + int(case.frames.frame_ids[-1]) + 1 + case.settings.end_frames + known.offset
        if count > end + ROUNDING:
            said.append(
                f"{source} goes on for {count - end} frames after the last pose: did the run stop early, or"
                " is this another video?"
            )
    return said


def cameras_of(case: RecoveryInput, crop: Crop, grade: str, poses: NumberedPoses) -> Cameras:
    """The poses with the source camera."""
    from being_remote.camera.intrinsics import intrinsics_in_source
    from being_remote.export import Cameras

    frames = case.frames
    return Cameras(
        name=case.run.name,
        K_source=intrinsics_in_source(frames.K, crop),
        K_crop=frames.K,
        R=frames.R,
        t=frames.t,
        frame_ids=frames.frame_ids,
        source_numbers=poses.numbers,
        times_s=poses.times_s,
        crop=crop,
        grade=grade,
        K_each=intrinsics_in_source(frames.K_each, crop) if len(frames.stretches) > 1 else None,
        numbers_by=poses.known.by,
        video_frames=poses.indices,
    )
