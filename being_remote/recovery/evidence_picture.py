"""The picture of the evidence for a crop: one stored crop beside the crop made again from its frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from being_remote.recovery.stored_crops import read_crop

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from being_remote.recovery.found_crop import FoundCrop
    from being_remote.recovery.recovery_input import RecoveryInput
    from being_remote.recovery.recovery_report import RecoverReport
    from being_remote.recovery.report_values import FrameFigures
    from being_remote.tracker.source_frames import SourceFrames


def shows_evidence(report: RecoverReport) -> bool:
    """Whether stored crops were compared with frames, so that there is something to show."""
    return _choose_frame(report) is not None


def draw_evidence(
    report: RecoverReport, case: RecoveryInput, frames: SourceFrames, found: FoundCrop
) -> NDArray[np.uint8]:
    """The picture (H, W, 3) BGR; only where `shows_evidence`. `frames`: those that were compared."""
    from being_remote.crop_search.crop_rendering import make_crop
    from being_remote.report.crop_evidence import CropEvidence, Scores, draw

    frame = _choose_frame(report)
    assert frame is not None and case.crops is not None and found.crop is not None  # it was compared
    stored = read_crop(case.crops, frame.frame_id, case.frames.image_size_wh)
    number = frame.source_number + frame.frame_offset
    made = make_crop(frames.frame(number), found.crop)
    scores = found.search.finding.scores if found.search is not None else None
    return draw(
        CropEvidence(
            f"{report.run}: frame {frame.frame_id:05d}, source frame {number}",
            report.grade,
            stored,
            made,
            list(_describe(report, frame)),
            None if scores is None else Scores(scores.side_steps, scores.shifts_px, scores.scores),
        )
    )


def _choose_frame(report: RecoverReport) -> FrameFigures | None:
    """A frame that was compared: one that agrees, from the middle of those looked at."""
    by_images = report.evidence if report.crop_by == "images" else None
    compared = by_images or report.check
    frames = [f for f in compared.frames if f.agrees] if compared is not None else []
    return frames[len(frames) // 2] if frames else None


def _describe(report: RecoverReport, frame: FrameFigures) -> Iterator[str]:
    crop = report.crop
    assert crop is not None  # it was compared
    yield f"side {crop.side:g} px at {crop.origin[0]:g}, {crop.origin[1]:g}"
    if frame.score is not None and frame.residual is not None:
        yield f"this frame: correlation {frame.score:.5f}, residual {frame.residual:.2f} levels"
    found = report.evidence
    if found is not None:
        if found.margin is not None:
            yield f"ahead of the next crop by {found.margin:.5f} on each of {len(found.frames)} frames"
        if found.focal_std_percent:  # none is left where the whole numbers were confirmed
            yield f"focal length +-{found.focal_std_percent:.3f} %"
        if found.reason:
            yield found.reason
    elif report.check is not None:
        equal = sum(f.equal for f in report.check.frames)
        yield f"bbox.pt checked on {len(report.check.frames)} frames, {equal} with equal pixels"
