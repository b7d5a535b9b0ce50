"""Whether stored crops are what a known crop makes of the original frames.

An extra: it looks at few frames, and where it cannot be made the answer says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from being_remote.camera.crop import Crop
from being_remote.crop_search.finding import CropCheck, FrameEvidence
from being_remote.crop_search.frame_map import FrameMap
from being_remote.crop_search.known_crop_check import check_crop
from being_remote.errors import DataError, NotFoundError
from being_remote.recovery.recovery_input import RecoveryInput
from being_remote.recovery.report_figures import sort_frames
from being_remote.recovery.stored_crops import StoredCrops, read_crops
from being_remote.session import OnProgress, TransferProgress
from being_remote.tracker.source_frames import SourceFrames, every_frame

CHECKED = 3  # crops of each part
SEVERAL = 3  # crops that differ from their frames; fewer may be stray pictures
MAX_PARTS = 12  # stretches of frames that are checked one by one


def check_stored_crops(crop: Crop, case: RecoveryInput, on_progress: OnProgress) -> CropCheck:
    """Compare a few stored crops with the frames that the settings give them."""
    if not case.cropped:
        return _unchecked("the run cropped nothing, so no box can be wrong")
    if case.crops is None:
        return _unchecked("no stored crops of this run are local")
    if case.video is None:
        return _unchecked("no video is at hand (--video FILE)")
    assert case.source_frames is not None  # there is a video
    parts = _split_stretches(case.crops, case)
    try:
        checks = _check_parts(crop, case, parts, case.source_frames, case.numbers, on_progress)
    except (NotFoundError, DataError) as e:
        return _unchecked(f"{e.where}: {e.what}")
    return replace(_join_checks(checks), source=str(case.video.path))


def check_mapped_crops(
    crop: Crop, case: RecoveryInput, mapped: FrameMap, on_progress: OnProgress
) -> CropCheck:
    """Compare a few stored crops with the frames that the pixels gave them.

    Crops that show something else than their frame may have been cut by another box: then they disagree.
    """
    assert case.crops is not None and case.video is not None  # they made the map
    frames = every_frame(case.video)
    shown, followed = map_to_video(case, mapped.frames), map_to_video(case, mapped.followed)
    parts = _split_stretches(case.crops.keep(shown), case)
    try:
        checks = _check_parts(crop, case, parts, frames, shown, on_progress)
        differing = differing_crops(case, mapped)
        others = _check_parts(crop, case, differing, frames, followed, on_progress)
    except (NotFoundError, DataError) as e:
        return _unchecked(f"{e.where}: {e.what}")
    checks += [check for check in others if check.agrees is False]
    joined = _join_checks(checks)
    numbered = number_in_source(joined.frames, case, mapped)
    return replace(joined, source=str(case.video.path), frames=numbered, frame_offset=mapped.offset)


def differing_crops(case: RecoveryInput, mapped: FrameMap) -> list[StoredCrops]:
    """Crops one after another that do not show the frame that is theirs: all of a stretch, or several."""
    assert case.crops is not None  # they made the map
    pairs = zip(case.frames.frame_ids.tolist(), mapped.frames < 0, mapped.followed >= 0, strict=True)
    differs = {frame_id: bool(missing and followed) for frame_id, missing, followed in pairs}
    parts = []
    for part in _split_stretches(case.crops, case):
        for differing, group in groupby(part.files, key=differs.__getitem__):
            frame_ids = list(group)
            if differing and len(frame_ids) >= min(SEVERAL, len(part.files)):
                parts.append(part.keep(set(frame_ids)))
    return parts


def map_to_video(case: RecoveryInput, indices: NDArray[np.int64]) -> dict[int, int]:
    """The video's frame of each frame_id that has one, counted from 1."""
    pairs = zip(case.frames.frame_ids.tolist(), indices.tolist(), strict=True)
    return {frame_id: index + 1 for frame_id, index in pairs if index >= 0}


def number_in_source(
    frames: Iterable[FrameEvidence], case: RecoveryInput, mapped: FrameMap
) -> tuple[FrameEvidence, ...]:
    """Give frames that were compared by the video's count, from 1, their numbers in `source/`.

    A crop may fit another frame than its own. Where no pose has that frame, it has no number: the crop
    is then listed at its own, as one that fits its neighbours as well.
    """
    numbers = {frame_id: number + mapped.offset for frame_id, number in case.numbers.items()}
    number_of_count = {count: numbers[i] for i, count in map_to_video(case, mapped.frames).items()}
    numbered = []
    for frame in frames:
        own = numbers[frame.frame_id]
        shown = number_of_count.get(frame.source_number + frame.frame_offset) if frame.frame_offset else own
        offset = 0 if shown is None else shown - own
        told = frame.offset_told and shown is not None
        numbered.append(replace(frame, source_number=own, frame_offset=offset, offset_told=told))
    return tuple(numbered)


def report_steps(what: str, on_progress: OnProgress) -> Callable[[int, int], None]:
    """A search's progress callback that passes its steps on as `TransferProgress`."""
    return lambda done, total: on_progress(TransferProgress(what, done, total, "frames"))


def _split_stretches(crops: StoredCrops, case: RecoveryInput) -> list[StoredCrops]:
    """The crops of each stretch of frames with one K, which may have been cut by a box of its own."""
    stretches = case.frames.stretches
    if not 1 < len(stretches) <= MAX_PARTS:
        return [crops]
    parts = [crops.keep(range(first, last + 1)) for first, last in stretches]
    return [part for part in parts if part.files]


def _check_parts(
    crop: Crop,
    case: RecoveryInput,
    parts: Iterable[StoredCrops],
    frames: SourceFrames,
    numbers: Mapping[int, int],
    on_progress: OnProgress,
) -> list[CropCheck]:
    checks = []
    for part in parts:
        looked_at = read_crops(part, numbers, crop.image_size_wh, CHECKED, case.landmarks)
        steps = report_steps("frames checked", on_progress)
        checks.append(check_crop(crop, looked_at, frames, on_progress=steps))
    return checks


def _join_checks(checks: Sequence[CropCheck]) -> CropCheck:
    """What the checks of all parts say together: one that disagrees outweighs all others."""
    if len(checks) == 1:
        return replace(checks[0], frames=sort_frames(checks[0].frames))
    doubtful = sorted((c for c in checks if not c.agrees), key=lambda c: c.agrees is None)
    offsets = {c.frame_offset for c in checks}
    return CropCheck(
        doubtful[0].agrees if doubtful else True,
        doubtful[0].reason if doubtful else "",
        sort_frames(frame for c in checks for frame in c.frames),
        offsets.pop() if len(offsets) == 1 else None,
        all(c.exact for c in checks),
        tuple(dict.fromkeys(note for c in checks for note in c.notes)),
    )


def _unchecked(reason: str) -> CropCheck:
    return CropCheck(None, f"not checked by pixels: {reason}")
