"""The crop told by pictures: searched for without bbox.pt, or checked against one that is here.

The search may take seconds and raises what stands in its way. The check is an extra: it looks at few
frames, and where it cannot be made the answer says why, and nothing fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import DataError, NotFoundError
from being_remote.recovery.found_crop import FoundCrop, by_search
from being_remote.recovery.frame_search import NoEvidence, find_frame_map
from being_remote.recovery.report_values import CheckFigures, check_figures
from being_remote.recovery.search_result import CropSearch
from being_remote.recovery.stored_crops import StoredCrops, read_crops
from being_remote.session import OnProgress, TransferProgress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from being_remote.camera.crop import Crop
    from being_remote.crop_search import CropCheck, Finding, StoredCrop
    from being_remote.crop_search.frame_map import FrameMap
    from being_remote.recovery.recovery_input import RecoveryInput

SEARCHED, CHECKED = 15, 3  # of those the search takes as many as it needs
SEVERAL = 3  # crops that differ from their frames; fewer may be stray pictures
MAX_PARTS = 12  # stretches of frames that are checked one by one


def by_images(case: RecoveryInput, crops: StoredCrops, frames: Path, on_progress: OnProgress) -> FoundCrop:
    """Find the crop by comparing some of the stored crops with the original video or its frames.

    Raises:
        NotFoundError, DataError: a picture or the video cannot be read, or is another run's.
    """
    from being_remote.crop_search import from_images

    looked_at = read_crops(crops, case.numbers, case.frames.image_size_wh, SEARCHED, case.landmarks)
    with case.open_frames(frames) as source:
        finding = from_images(
            looked_at,
            source,
            bbox_scale=case.known_bbox_scale,
            on_progress=steps("frames compared", on_progress),
        )
    mapped = None
    if finding.grade in ("unknown", "estimated"):  # other frames than the settings say?
        anew = _by_map(case, crops, finding, looked_at, frames, on_progress)
        finding, mapped = anew or (finding, None)
    evidence = f"{len(finding.frames) or len(looked_at)} of {len(crops.files)} stored crops in {crops.folder}"
    search = CropSearch(finding, evidence, str(frames), crops.phantoms, tuple(looked_at), mapped)
    return by_search("images", search)


def _by_map(
    case: RecoveryInput,
    crops: StoredCrops,
    before: Finding,
    looked_at: Sequence[StoredCrop],
    video: Path,
    on_progress: OnProgress,
) -> tuple[Finding, FrameMap] | None:
    """The search again, with the frames that small pictures give the crops; None where that is no better."""
    from being_remote.crop_search import from_images, rough_crop
    from being_remote.media.video import open_source
    from being_remote.tracker.source_frames import every_frame

    with open_source(video) as source:
        every = every_frame(source)
        crop = before.crop or rough_crop(looked_at, every)
        mapped = find_frame_map(case, crop, on_progress) if crop is not None else ""
        if isinstance(mapped, (str, NoEvidence)):
            return None
        shown = _video_frames(case, mapped.frames)
        there = replace(crops, files={i: path for i, path in crops.files.items() if i in shown})
        again = read_crops(there, shown, case.frames.image_size_wh, SEARCHED, case.landmarks)
        finding = from_images(
            again,
            every,
            bbox_scale=case.known_bbox_scale,
            on_progress=steps("frames compared", on_progress),
        )
    if finding.grade == "unknown" or (before.crop is not None and finding.grade == "estimated"):
        return None
    numbers = {i: n + mapped.offset for i, n in case.numbers.items()}
    evidence = (
        replace(e, source_number=numbers[e.frame_id], frame_offset=0) if e.frame_offset == 0 else e
        for e in finding.frames
    )
    return replace(finding, frames=tuple(evidence), frame_offset=mapped.offset), mapped


def _video_frames(case: RecoveryInput, frames: NDArray[np.int64]) -> dict[int, int]:
    """The video's frame of each frame_id that has one, counted from 1."""
    pairs = zip(case.frames.frame_ids.tolist(), frames.tolist(), strict=True)
    return {frame_id: frame + 1 for frame_id, frame in pairs if frame >= 0}


def check(crop: Crop, case: RecoveryInput, on_progress: OnProgress) -> CheckFigures:
    """Whether the stored crops are this crop of the frames at hand; says why where that is not known."""
    crops, frames = case.crops, case.source.video
    if not case.cropped:
        return _unchecked("not checked by pixels: the run cropped nothing, so no box can be wrong")
    if crops is None:
        return _unchecked("not checked by pixels: no stored crops of this run are here")
    if frames is None:
        return _unchecked("not checked by pixels: no video is at hand (--video FILE)")
    from being_remote.crop_search import check_crop

    found = []
    try:
        with case.open_frames(frames) as source:
            for part in _parts(crops, case):
                looked_at = read_crops(part, case.numbers, crop.image_size_wh, CHECKED, case.landmarks)
                told = steps("frames checked", on_progress)
                found.append(check_crop(crop, looked_at, source, on_progress=told))
    except (NotFoundError, DataError) as e:
        return _unchecked(f"not checked by pixels: {e.where}: {e.what}")
    return check_figures(_joined(found), str(frames))


def _parts(crops: StoredCrops, case: RecoveryInput) -> list[StoredCrops]:
    """The crops of each stretch of frames with one K, which may have been cut by a box of its own."""
    stretches = case.frames.stretches
    if not 1 < len(stretches) <= MAX_PARTS:
        return [crops]
    parts = [{i: p for i, p in crops.files.items() if a <= i <= b} for a, b in stretches]
    return [replace(crops, files=files) for files in parts if files]


def _joined(checks: Sequence[CropCheck]) -> CropCheck:
    """What the checks of all parts say together: one that disagrees outweighs all others."""
    from being_remote.crop_search import CropCheck

    if len(checks) == 1:
        return checks[0]
    worst = next((c for c in checks if c.agrees is False), None) or next(
        (c for c in checks if c.agrees is None), None
    )
    offsets = {c.frame_offset for c in checks}
    return CropCheck(
        worst.agrees if worst is not None else True,
        worst.reason if worst is not None else "",
        tuple(frame for c in checks for frame in c.frames),
        offsets.pop() if len(offsets) == 1 else None,
        all(c.exact for c in checks),
        tuple(dict.fromkeys(note for c in checks for note in c.notes)),
    )


def check_mapped(crop: Crop, case: RecoveryInput, mapped: FrameMap, on_progress: OnProgress) -> CheckFigures:
    """The same with the frames that the pixels gave the poses, on some that have one.

    Crops that show something else than their frame may have been cut by another box: then they disagree.
    """
    from being_remote.crop_search import check_crop
    from being_remote.media.video import open_source
    from being_remote.tracker.source_frames import every_frame

    crops, video = case.crops, case.source.video
    assert crops is not None and video is not None  # they made the map
    shown = _video_frames(case, mapped.frames)
    there = replace(crops, files={i: path for i, path in crops.files.items() if i in shown})
    found = []
    try:
        with open_source(video) as source:
            every = every_frame(source)
            for part in _parts(there, case):
                looked_at = read_crops(part, shown, crop.image_size_wh, CHECKED, case.landmarks)
                told = steps("frames checked", on_progress)
                found.append(check_crop(crop, looked_at, every, on_progress=told))
            followed = _video_frames(case, mapped.followed)
            for part in unlike_their_frames(case, mapped):
                looked_at = read_crops(part, followed, crop.image_size_wh, CHECKED, case.landmarks)
                checked = check_crop(crop, looked_at, every, on_progress=steps("frames checked", on_progress))
                found += [checked] if checked.agrees is False else []
    except (NotFoundError, DataError) as e:
        return _unchecked(f"not checked by pixels: {e.where}: {e.what}")
    figures = check_figures(_joined(found), str(video))
    numbers = {i: n + mapped.offset for i, n in case.numbers.items()}
    frames = (replace(f, source_number=numbers[f.frame_id], frame_offset=0) for f in figures.frames)
    return replace(figures, frames=tuple(frames), frame_offset=mapped.offset)


def unlike_their_frames(case: RecoveryInput, mapped: FrameMap) -> list[StoredCrops]:
    """Crops one after another that do not show the frame that is theirs: all of a stretch, or several."""
    crops = case.crops
    assert crops is not None  # they made the map
    pairs = zip(case.frames.frame_ids.tolist(), mapped.frames < 0, mapped.followed >= 0, strict=True)
    unlike = {frame_id: bool(none and followed) for frame_id, none, followed in pairs}
    parts = []
    for part in _parts(crops, case):
        for differs, group in groupby(part.files, key=unlike.__getitem__):
            files = {frame_id: part.files[frame_id] for frame_id in group}
            if differs and len(files) >= min(SEVERAL, len(part.files)):
                parts.append(replace(part, files=files))
    return parts


def _unchecked(reason: str) -> CheckFigures:
    return CheckFigures(None, False, reason, None, (), None)


def steps(what: str, on_progress: OnProgress) -> Callable[[int, int], None]:
    """A search's own progress, as everybody's."""
    return lambda done, total: on_progress(TransferProgress(what, done, total, "frames"))
