"""Find the crop without bbox.pt by comparing the run's stored crops with the original frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from being_remote.recovery.crop_check import map_to_video, number_in_source, report_steps
from being_remote.recovery.found_crop import CropSearch, FoundCrop, searched_crop
from being_remote.recovery.frame_search import NoEvidence, find_frame_map
from being_remote.recovery.stored_crops import StoredCrops, read_crops
from being_remote.session import OnProgress

if TYPE_CHECKING:
    from being_remote.crop_search.finding import Finding, StoredCrop
    from being_remote.crop_search.frame_map import FrameMap
    from being_remote.media.video import FrameReader
    from being_remote.recovery.recovery_input import RecoveryInput

SEARCHED = 15  # crops; the search takes as many of these as it needs


def find_by_images(
    case: RecoveryInput, crops: StoredCrops, video: FrameReader, on_progress: OnProgress
) -> FoundCrop:
    """Find the crop by comparing some of the stored crops with the original video or its frames."""
    from being_remote.crop_search.image_search import from_images

    looked_at = read_crops(crops, case.numbers, case.frames.image_size_wh, SEARCHED, case.landmarks)
    assert case.source_frames is not None  # there is a video
    finding = from_images(
        looked_at,
        case.source_frames,
        bbox_scale=case.known_bbox_scale,
        on_progress=report_steps("frames compared", on_progress),
    )
    mapped = None
    if finding.grade in ("unknown", "estimated"):  # other frames than the settings say?
        better = _search_by_map(case, crops, finding, looked_at, video, on_progress)
        finding, mapped = better or (finding, None)
    count = len(finding.frames) or len(looked_at)
    evidence = f"{count} of {len(crops.files)} stored crops in {crops.folder}"
    search = CropSearch(finding, evidence, str(video.path), crops.phantoms, mapped)
    return searched_crop("images", search)


def _search_by_map(
    case: RecoveryInput,
    crops: StoredCrops,
    first: Finding,
    looked_at: Sequence[StoredCrop],
    video: FrameReader,
    on_progress: OnProgress,
) -> tuple[Finding, FrameMap] | None:
    """The search again, with the frames that small pictures give the crops; None unless that is better."""
    from being_remote.crop_search.image_search import from_images, rough_crop
    from being_remote.tracker.source_frames import every_frame

    frames = every_frame(video)
    crop = first.crop or rough_crop(looked_at, frames)
    mapped = find_frame_map(case, crop, on_progress) if crop is not None else ""
    if isinstance(mapped, (str, NoEvidence)):
        return None
    shown = map_to_video(case, mapped.frames)
    finding = from_images(
        read_crops(crops.keep(shown), shown, case.frames.image_size_wh, SEARCHED, case.landmarks),
        frames,
        bbox_scale=case.known_bbox_scale,
        on_progress=report_steps("frames compared", on_progress),
    )
    if finding.grade == "unknown" or (first.crop is not None and finding.grade == "estimated"):
        return None
    numbered = number_in_source(finding.frames, case, mapped)
    return replace(finding, frames=numbered, frame_offset=mapped.offset), mapped
