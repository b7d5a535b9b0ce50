"""The report of `recover`, in plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from being_remote.errors import InconsistentData
from being_remote.recovery.report_figures import (
    CropFigures,
    EvidenceFigures,
    Matrix,
    StretchFigures,
    copy_fields,
    evidence_figures,
    matrix,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from being_remote.crop_search.finding import CropCheck
    from being_remote.export import Cameras
    from being_remote.recovery.found_crop import FoundCrop, Way
    from being_remote.recovery.frame_numbers import Numbering
    from being_remote.recovery.recovery_input import RecoveryInput
    from being_remote.recovery.trainer_exports import TrainerExport
    from being_remote.tracker.settings_forecast import WhatIf


@dataclass(frozen=True)
class RayError:
    """The angle between the guide's ray of one pixel and the right one."""

    where: str
    crop_px: tuple[float, float]
    source_px: tuple[float, float]
    degrees: float


@dataclass(frozen=True)
class Explanation:
    """The answer of "add the offset, keep the focal length" beside the right one."""

    guide_K: Matrix  # what that recipe gives, corner convention
    focal_ratio: float  # how many times longer the right focal length is
    errors: tuple[RayError, ...]  # at the crop's centre and its four corners


def compare_with_guide(cameras: Cameras, box: tuple[int, int, int, int] | None) -> Explanation:
    """Compare with the guide's step 3, taken literally: cx + x_min, cy + y_min, focal length as stored.

    `box` is the run's bbox.pt; None where there is none: the crop that was found then gives the offset.
    """
    import numpy as np

    from being_remote.camera.crop import to_source
    from being_remote.camera.intrinsics import ray_angle_deg

    crop = cameras.crop
    guide = cameras.K_crop.copy()
    guide[:2, 2] += (crop.x_min, crop.y_min) if box is None else (box[0], box[2])
    w, h = crop.image_size_wh
    named = {
        "centre": (w / 2, h / 2),
        "top left": (0.0, 0.0),
        "top right": (float(w), 0.0),
        "bottom left": (0.0, float(h)),
        "bottom right": (float(w), float(h)),
    }
    crop_px = np.array(list(named.values()))
    source_px = to_source(crop, crop_px)
    degrees = ray_angle_deg(cameras.K_source, guide, source_px)
    errors = tuple(
        RayError(where, uv, (float(xy[0]), float(xy[1])), float(angle))
        for (where, uv), xy, angle in zip(named.items(), source_px, degrees, strict=True)
    )
    return Explanation(matrix(guide), float(cameras.K_source[0, 0] / guide[0, 0]), errors)


@dataclass(frozen=True, kw_only=True)
class RecoverReport:
    """Cameras of the original video, and what was written.

    Attributes:
        run, actor, job: the run's name, and the actor and job it belongs to, if known.
        frames: how many poses there are; `missing_ids` are those that are not.
        crop: None where it is unknown.
        K, K_opencv, fov_deg: of the original frames; K in corner convention and in OpenCV's, fov in
            degrees of the whole frame, horizontal and vertical. None where no camera can be given: the
            crop is unknown, or the pixels deny it.
        K_crop: the stored one.
        K_per_frame: of a run with K per frame, each stretch of frames with one K; then K, K_opencv,
            fov_deg and K_crop are those of the first. () for a run with one K.
        crop_by: how the crop was found: by bbox.pt, images, landmarks, or because nothing was cropped.
        grade: of a bbox.pt or of a crop that was searched for, "exact" (the stored crops equal the crop
            made again) or "verified" (they are alike); "bbox" (this run's own bbox.pt, not compared),
            "unverified" (a bbox.pt that may be another run's), "whole frame" (the run cropped
            nothing), "estimated", "landmark", or "unknown" (then nothing was written).
        bbox: the file the box was read from.
        evidence: how the crop was searched for, where it was.
        check: what the stored crops say of it.
        numbering: which original frame each pose belongs to, and who says so.
        exports: each trainer's own camera and canvas.
        what_if: what the tracker would do with other settings, where some are named. Then there are no
            `outputs` unless they are named, too.
        outputs: what was written; with `dry_run` what would be. A name that ends in / is a folder.
        moved_aside: where an older output folder was moved to.
        wrote_bbox: the bbox.pt that was written from the crop found.
        notes: what must be done so that a trainer takes the cameras unchanged.
        explain: only with `explain`.
    """

    run: str
    actor: str | None
    job: str | None
    frames: int
    missing_ids: tuple[int, ...]
    source_size_wh: tuple[int, int]
    image_size_wh: tuple[int, int]
    crop: CropFigures | None
    K: Matrix | None = None
    K_opencv: Matrix | None = None
    K_crop: Matrix
    fov_deg: tuple[float, float] | None = None
    K_per_frame: tuple[StretchFigures, ...] = ()
    crop_by: Way
    grade: str
    bbox: str | None
    evidence: EvidenceFigures | None
    check: CropCheck | None
    numbering: Numbering
    exports: tuple[TrainerExport, ...] = ()
    what_if: WhatIf | None = None
    outputs: tuple[str, ...] = ()
    moved_aside: str | None = None
    wrote_bbox: str | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...]
    explain: Explanation | None = None
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """6 where the data do not show the crop, or contradict it: then no camera was written."""
        return InconsistentData.exit_code if self.K is None else 0


def start_report(
    case: RecoveryInput,
    found: FoundCrop,
    check: CropCheck | None,
    numbering: Numbering,
    warnings: Sequence[str],
) -> RecoverReport:
    """The report before there is a camera; `warnings` are those besides the crop's."""
    run, frames = case.run, case.frames
    return RecoverReport(
        run=run.name,
        actor=run.actor.name if run.actor else None,
        job=run.job,
        frames=len(frames.frame_ids),
        missing_ids=tuple(frames.missing_ids),
        source_size_wh=case.source.size_wh,
        image_size_wh=frames.image_size_wh,
        crop=copy_fields(CropFigures, found.crop) if found.crop is not None else None,
        K_crop=matrix(frames.K),
        crop_by=found.by,
        grade=found.grade,
        bbox=found.box.named if found.box else None,
        evidence=evidence_figures(found.search, frames) if found.search else None,
        check=check,
        numbering=numbering,
        warnings=tuple(dict.fromkeys((*found.doubts, *case.foreign_settings, *warnings))),
    )
