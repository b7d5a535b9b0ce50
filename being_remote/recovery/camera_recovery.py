"""From a run and its crop to the cameras of the original video, and the files that are written of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from being_remote.camera.crop import Crop
from being_remote.camera.intrinsics import fov_deg, intrinsics_in_source
from being_remote.export import Cameras
from being_remote.recovery.crop_check import check_stored_crops
from being_remote.recovery.drawings import shows_evidence
from being_remote.recovery.found_crop import FoundCrop, grade_by_check, grade_by_stretches
from being_remote.recovery.frame_numbers import NumberedPoses, compare_frames, number_frames
from being_remote.recovery.outputs import plan_outputs, write_outputs, write_pages
from being_remote.recovery.recovery_input import RecoveryInput
from being_remote.recovery.recovery_report import RecoverReport, compare_with_guide, start_report
from being_remote.recovery.recovery_request import OutputChoice
from being_remote.recovery.report_figures import matrix, stretch_figures
from being_remote.session import OnProgress
from being_remote.tracker.settings_forecast import parse_what_if
from being_remote.tracker.settings_forecast import what_if as foretell_crop


@dataclass(frozen=True, eq=False)
class RecoveredCameras:
    """The cameras of a run's poses, before anything of them is written.

    `cameras` are None where the crop is unknown, or the pixels contradict it.
    """

    case: RecoveryInput
    found: FoundCrop  # with the grade that the pixels gave it
    poses: NumberedPoses
    cameras: Cameras | None
    compared_by_map: bool  # the poses' frames were compared, and not those that the settings give
    report: RecoverReport  # without what is written


def recover_cameras(
    case: RecoveryInput, found: FoundCrop, output: OutputChoice, *, check: bool, on_progress: OnProgress
) -> RecoveredCameras:
    """Compare the crop with pixels, number the poses, and compute the cameras of the original video.

    Args:
        output: whether pictures will be made, and what to compare with; nothing is written.
        check: pixels may be compared.

    Raises:
        DataError: files that are unsafe, torn, or contradict each other.
    """
    checked = None
    if check and found.crop is not None and found.search is None:
        checked = check_stored_crops(found.crop, case, on_progress)
    pixels = compare_frames(
        case, found, checked, allowed=check, pictures=output.with_images, on_progress=on_progress
    )
    checked = pixels.check
    found = grade_by_stretches(grade_by_check(found, checked), case, checked)
    poses = number_frames(case, pixels)
    warnings = (*poses.warnings, *case.frames.warnings, *case.source.warnings, *case.assumptions)
    report = start_report(case, found, checked, poses.numbering, warnings)
    cameras = None
    if found.crop is not None and (checked is None or checked.agrees is not False):
        cameras = _make_cameras(case, found.crop, found.grade, poses)
        report = _describe_cameras(report, case, found, cameras, output)
    return RecoveredCameras(case, found, poses, cameras, pixels.checked_by_map, report)


def write_cameras(
    recovered: RecoveredCameras, output: OutputChoice, on_progress: OnProgress
) -> RecoverReport:
    """Write the cameras, where there are any, with the pictures and the page; or only plan it in a dry run.

    Raises:
        UsageError: an export cannot hold the cameras, or the output folder holds something else.
        NotFoundError: a file that an export needs is missing.
        DataError: files that are unsafe, torn, or contradict each other.
    """
    case, found, cameras = recovered.case, recovered.found, recovered.cameras
    report = replace(recovered.report, dry_run=output.dry_run)
    if cameras is None or (output.what_if and not output.names_files):
        return report
    plan = plan_outputs(case, found, cameras, recovered.poses, output, evidence=shows_evidence(report))
    report = replace(
        report,
        exports=plan.exports,
        outputs=plan.outputs,
        moved_aside=str(plan.moved_aside) if plan.moved_aside else None,
        wrote_bbox=str(plan.box) if plan.box else None,
        notes=plan.notes,
        warnings=(*report.warnings, *plan.warnings),
    )
    if output.dry_run:
        return report
    overlays = write_outputs(plan, case, found, cameras, on_progress)
    report = replace(
        report, warnings=(*report.warnings, *(f"the overlay {what}" for what in overlays[0].lacking))
    )
    compared = plan.frames if recovered.compared_by_map else case.source_frames
    write_pages(plan, report, case, compared, found, cameras, overlays)
    return report


def _make_cameras(case: RecoveryInput, crop: Crop, grade: str, poses: NumberedPoses) -> Cameras:
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
        numbers_by=poses.numbering.by,
        video_frames=poses.indices,
    )


def _describe_cameras(
    report: RecoverReport, case: RecoveryInput, found: FoundCrop, cameras: Cameras, output: OutputChoice
) -> RecoverReport:
    crop, before = cameras.crop, case.crop_settings
    after = parse_what_if(output.what_if, before)
    return replace(
        report,
        K=matrix(cameras.K_source),
        K_opencv=matrix(cameras.K_opencv),
        fov_deg=fov_deg(cameras.K_source, cameras.size_wh),
        K_per_frame=stretch_figures(case.frames, crop),
        what_if=foretell_crop(crop, before, after, case.frames.K) if output.what_if else None,
        explain=compare_with_guide(cameras, found.box.box if found.box else None) if output.explain else None,
    )
