"""`recover`: from a run's checkpoints to the cameras of the original video.

The crop comes from bbox.pt, or from the run's stored crops or landmarks; where crops and the original
frames are at hand, the pixels have the last word. Exports, pictures and the report page go into
`out`, by default `recovered/<run>` in the current folder: never into the backup, where every file is
taken for something that came from a pod. What is assumed rather than known is among the warnings. A
crop that is unknown, or that the pixels deny, writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import InconsistentData
from being_remote.recovery.crop_from_images import check as check_by_pixels
from being_remote.recovery.crop_method import CropRequest, find_crop
from being_remote.recovery.evidence_picture import shows_evidence
from being_remote.recovery.found_crop import of_all_stretches, weighed
from being_remote.recovery.frame_numbers import ask_pixels, cameras_of, number_frames
from being_remote.recovery.guide_comparison import explain as explain_guide
from being_remote.recovery.local_runs import find_run, find_settings
from being_remote.recovery.outputs import OutputRequest, carry_out, plan, write_pages
from being_remote.recovery.recovery_input import RecoveryInput
from being_remote.recovery.recovery_report import RecoverReport, report_on
from being_remote.recovery.report_values import matrix, stretch_figures
from being_remote.recovery.source_size import find_source_size
from being_remote.recovery.trainer_exports import chosen_targets
from being_remote.session import OnProgress, no_progress

if TYPE_CHECKING:
    from being_remote.export import CanvasChoice
    from being_remote.inventory import Inventory
    from being_remote.tracker.settings import Value

__all__ = ["RecoverReport", "recover"]


def recover(
    inventory: Inventory | None,
    *,
    actor: str | None = None,
    run: str | None = None,
    source_size: tuple[int, int] | None = None,
    video: Path | None = None,
    bbox: Path | None = None,
    box: tuple[int, int, int, int] | None = None,
    from_images: Path | None = None,
    from_landmarks: Path | None = None,
    check: bool = True,
    exports: Sequence[str] = (),
    canvas: CanvasChoice = None,
    allow_off_centre: bool = False,
    with_images: bool = False,
    what_if: Sequence[str] = (),
    out: Path | None = None,
    force: bool = False,
    write_bbox: bool = False,
    plot: bool = False,
    explain: bool = False,
    dry_run: bool = False,
    on_progress: OnProgress = no_progress,
) -> RecoverReport:
    """Recover the cameras of the original video from one run.

    Args:
        inventory: needed unless `run` is a folder and a size is given.
        actor, run: which run; `run` is a folder (of `.frame` files, or with `checkpoint/` in it), an
            actor's name, or a job.
        source_size: width, height of the original video.
        video: the original video, or the folder of its frames; gives the size and the pictures.
        bbox: a bbox.pt from elsewhere, or a numpy file of four numbers in the same order.
        box: x_min, x_max, y_min, y_max themselves.
        from_images: the original video or its frames: find the crop by the run's stored crops.
        from_landmarks: the same, or a folder of landmarks found there: find it by the stored landmarks.
        check: compare a few stored crops with the frames at hand, where both are there, and refuse a
            video of pixels that are not square.
        exports: names of `export.TARGETS`; default: all that need neither meshes nor torch.
        canvas: "crop", or width, height of a window around the principal point; None: each trainer's own.
        allow_off_centre: write a camera although its trainer ignores the principal point.
        with_images: make each trainer's pictures.
        what_if: `K=V` settings of the tracker whose crop is to be foretold; then nothing is written
            unless one of `exports`, `with_images`, `out`, `write_bbox` or `plot` asks for it.
        out: where to write; default `recovered/<run>` in the current folder.
        force: move an `out` that holds another run aside.
        write_bbox: store the crop that was found as the run's bbox.pt.
        plot: draw what the page shows as PNG files, too.
        explain: also compare with the guide's recipe.
        dry_run: compute all, write nothing.
        on_progress: told how far searching and making pictures is.

    Raises:
        UsageError: what was asked contradicts itself, the files, or leaves something open.
        NotFoundError: no run, no frames, no video, nothing that tells the crop, or a file that an
            export needs.
        HostError: nothing here tells the crop, and a host could not be asked.
        DataError: files that are unsafe, torn, or contradict each other.
    """
    from being_remote.camera.intrinsics import fov_deg
    from being_remote.tracker.sequence import read_cameras
    from being_remote.tracker.settings_forecast import parse_what_if
    from being_remote.tracker.settings_forecast import what_if as foretold

    # What was typed wrong is said before a long search, not after it.
    chosen_targets(exports, canvas)
    parse_what_if(what_if, {})
    wanted = OutputRequest(exports, canvas, allow_off_centre, with_images, out, force, write_bbox, plot)
    asked = CropRequest(bbox, box, from_images, from_landmarks, video)
    which = find_run(inventory, actor, run)
    settings, unknown_settings = find_settings(which, inventory)
    frames = read_cameras(which.checkpoints)
    source = find_source_size(which, settings, source_size, asked.frames, inventory)
    case = RecoveryInput(which, settings, not unknown_settings, frames, source)
    if check:
        _refuse_stretched(case)
    before = _crop_settings(case)
    after = parse_what_if(what_if, before)

    found = find_crop(case, asked, inventory, dry_run=dry_run, on_progress=on_progress)
    seen = None
    if check and found.crop is not None and found.search is None:
        seen = check_by_pixels(found.crop, case, on_progress)
    asked_pixels = ask_pixels(case, found, seen, check=check, pictures=with_images, on_progress=on_progress)
    seen = asked_pixels.seen
    if seen is not None:
        found = weighed(found, seen)
    found = of_all_stretches(found, case, seen)
    poses = number_frames(case, asked_pixels)
    known = poses.known
    said = (*poses.said, *frames.warnings, *source.warnings, *unknown_settings)
    report = replace(report_on(case, found, seen, known, said), dry_run=dry_run)
    if found.crop is None or (seen is not None and seen.agrees is False):
        return report  # no camera: nothing is written

    cameras = cameras_of(case, found.crop, found.grade, poses)
    compared = case  # as the crops were
    case = replace(case, shown=poses.shown)
    compared = case if asked_pixels.checked_by_map else compared
    report = replace(
        report,
        K=matrix(cameras.K_source),
        K_opencv=matrix(cameras.K_opencv),
        fov_deg=fov_deg(cameras.K_source, cameras.size_wh),
        K_per_frame=stretch_figures(frames, found.crop),
        what_if=foretold(found.crop, before, after, frames.K) if what_if else None,
        explain=explain_guide(cameras, found.box.box if found.box else None) if explain else None,
    )
    if what_if and not wanted.anything:
        return report
    planned = plan(case, found, cameras, known, wanted, evidence=shows_evidence(report))
    report = replace(
        report,
        exports=planned.exports,
        outputs=planned.outputs,
        moved_aside=str(planned.moved_aside) if planned.moved_aside else None,
        wrote_bbox=str(planned.box) if planned.box else None,
        notes=planned.notes,
        warnings=(*report.warnings, *planned.warnings),
    )
    if dry_run:
        return report
    drawn = carry_out(planned, case, found, cameras, on_progress)
    report = replace(report, warnings=(*report.warnings, *drawn[0].warnings))
    write_pages(planned, report, compared, found, cameras, drawn)
    return report


def _refuse_stretched(case: RecoveryInput) -> None:
    """The tracker fits one focal length to pixels as they are stored, so they must be square."""
    if case.source.video is None:
        return
    with case.open_frames(case.source.video) as frames:
        if not frames.square_pixels:
            raise InconsistentData(
                f"its pixels are shown {frames.source.pixel_aspect:.4g} times as wide as high, and the"
                " tracker's one focal length cannot describe them: the fit and every camera of it are bent",
                file=str(case.source.video),
                hint="convert it to square pixels (ffmpeg -vf scale=iw*sar:ih,setsar=1) and track that;"
                " --no-check takes the cameras as they are",
            )


def _crop_settings(case: RecoveryInput) -> dict[str, Value]:
    """The settings that the run's own crop was made by."""
    w, h = case.frames.image_size_wh
    return {"bbox_scale": case.settings.bbox_scale, "image_size": [h, w], "crop_image": case.cropped}
