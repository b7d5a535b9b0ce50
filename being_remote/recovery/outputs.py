"""What `recover` writes: exports, pictures for trainers, the overlay, the evidence, the page, a bbox.pt.

A plan is made first: it refuses all that can be refused and changes nothing, so that a dry run is the
plan. An output folder of another run is never written into.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from being_remote.errors import UsageError
from being_remote.export import (
    Cameras,
    refuse_left_over,
    write,
    write_atomically,
)
from being_remote.export.files import RECORD
from being_remote.export.images import (
    MASK,
    ImagePlan,
    make_images,
    plan_images,
    refuse_missing,
    source_words,
    standing,
)
from being_remote.recovery.box_output import find_box_place, write_found_box
from being_remote.recovery.drawings import Overlay, draw_evidence, draw_overlays
from being_remote.recovery.found_crop import FoundCrop
from being_remote.recovery.frame_numbers import NumberedPoses, Numbering
from being_remote.recovery.output_folder import NOTE, claim, find_aside
from being_remote.recovery.recovery_input import RecoveryInput
from being_remote.recovery.recovery_report import RecoverReport
from being_remote.recovery.recovery_request import OutputChoice
from being_remote.recovery.report_page import PLOTS, page_bytes, plot_files, shown_places
from being_remote.recovery.trainer_exports import PreparedTarget, TrainerExport, prepare_all
from being_remote.report.pictures import jpeg, png
from being_remote.session import OnProgress
from being_remote.tracker.source_frames import SourceFrames

OVERLAY, EVIDENCE, PAGE = "overlay.png", "evidence.png", "report.html"


@dataclass(frozen=True, eq=False)
class OutputPlan:
    """What will be written, and where; see `RecoverReport` for most fields."""

    folder: Path
    canvases: dict[str, list[int]]
    prepared: list[PreparedTarget]
    frames: SourceFrames | None  # the frames of the video under their source numbers
    pictures: dict[str, ImagePlan]
    standing: dict[str, int]  # how many pictures of each target exist already
    evidence: bool
    plot: bool
    outputs: tuple[str, ...]
    moved_aside: Path | None
    box: Path | None
    warnings: tuple[str, ...]

    @property
    def exports(self) -> tuple[TrainerExport, ...]:
        """Each trainer's camera."""
        counts = {name: len(images.names) for name, images in self.pictures.items()}
        return tuple(
            p.describe(self.folder, counts.get(p.target.name), self.standing.get(p.target.name))
            for p in self.prepared
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be done so that the trainers take their cameras unchanged."""
        return tuple(note for p in self.prepared for note in p.notes)


def plan_outputs(
    case: RecoveryInput,
    found: FoundCrop,
    cameras: Cameras,
    poses: NumberedPoses,
    output: OutputChoice,
    *,
    evidence: bool,
) -> OutputPlan:
    """What will be written.

    Raises:
        UsageError: an export cannot hold these cameras, no video is there to make pictures of, or the
            folder holds another run, other frames or pictures of another video.
        NotFoundError: an export needs a file that is missing.
        DataError: one that was named cannot be made of the run's files.
    """
    prepared, warnings = prepare_all(output, cameras, case, poses.numbering)
    folder = (output.out or Path("recovered") / cameras.name).absolute()
    pictures = _plan_pictures(prepared, case, poses.numbering) if output.with_images else {}
    outputs = [o for p in prepared for o in p.outputs(folder)]
    for p in prepared:
        if p.target.name in pictures:
            outputs += _picture_files(pictures[p.target.name], folder / p.target.folder)
    drawings = [OVERLAY, *([EVIDENCE] if evidence else ()), *(PLOTS if output.plot else ())]
    outputs += [str(folder / name) for name in (NOTE, PAGE, *drawings)]
    box = find_box_place(case, found) if output.write_bbox else None
    canvases = {p.target.name: p.canvas_numbers for p in prepared}
    moved_aside = find_aside(folder, cameras, canvases, outputs, force=output.force)
    existing = dict.fromkeys(pictures, 0)
    if moved_aside is None:
        for p in prepared:
            refuse_left_over(p.target, cameras, folder / p.target.folder)
            if p.target.name in pictures:
                existing[p.target.name] = standing(pictures[p.target.name], folder / p.target.folder)
    return OutputPlan(
        folder=folder,
        canvases=canvases,
        prepared=prepared,
        frames=case.number_frames(poses.shown),
        pictures=pictures,
        standing=existing,
        evidence=evidence,
        plot=output.plot,
        outputs=tuple(outputs),
        moved_aside=moved_aside,
        box=box,
        warnings=tuple(warnings),
    )


def write_outputs(
    plan: OutputPlan, case: RecoveryInput, found: FoundCrop, cameras: Cameras, on_progress: OnProgress
) -> list[Overlay]:
    """Write what was planned, except the page; returns the overlays that the page shows."""
    folder = plan.folder
    if plan.box is not None:
        write_found_box(plan.box, case, found)
    claim(folder, cameras, plan.canvases, plan.outputs, aside=plan.moved_aside)
    for p in plan.prepared:
        write(p.target, p.export, folder)
    _make_pictures(plan, on_progress)
    places = shown_places(cameras, with_video=plan.frames is not None)
    overlays = draw_overlays(case.run, plan.frames, cameras, places)
    write_atomically(folder / OVERLAY, [overlays[0].png or b""])
    for name, data in plot_files(cameras).items() if plan.plot else ():
        write_atomically(folder / name, [data])
    return overlays


def write_pages(
    plan: OutputPlan,
    report: RecoverReport,
    case: RecoveryInput,
    compared: SourceFrames | None,
    found: FoundCrop,
    cameras: Cameras,
    overlays: Sequence[Overlay],
) -> None:
    """Write the picture of the evidence, of the frames `compared`, and the page with the whole report."""
    evidence = None
    if plan.evidence and compared is not None:
        picture = draw_evidence(report, case, compared, found)
        write_atomically(plan.folder / EVIDENCE, [png(picture)])
        evidence = jpeg(picture)
    write_atomically(plan.folder / PAGE, [page_bytes(report, cameras, overlays, evidence)])


def _make_pictures(plan: OutputPlan, on_progress: OnProgress) -> None:
    frames = plan.frames
    for p in plan.prepared:
        if p.target.name in plan.pictures and frames is not None:
            images, folder = plan.pictures[p.target.name], plan.folder / p.target.folder
            make_images(images, frames, folder, on_progress=on_progress)


def _plan_pictures(
    prepared: Sequence[PreparedTarget], case: RecoveryInput, numbering: Numbering
) -> dict[str, ImagePlan]:
    """The pictures of each target that has any."""
    if case.video is None:
        raise UsageError(
            "no original video is at hand to make pictures of", where="--with-images", hint="--video FILE"
        )
    words = source_words(case.video.path, case.settings.fps)
    plans = {p.target.name: plan_images(p.target, p.export, words) for p in prepared}
    pictures = {name: images for name, images in plans.items() if images is not None}
    for images in pictures.values():
        refuse_missing(images, numbering.frames_at_hand)
    return pictures


def _picture_files(images: ImagePlan, folder: Path) -> list[str]:
    """The folders of its pictures, and what lies beside them."""
    folders = dict.fromkeys(os.path.dirname(name) for name in images.names)
    return [*(f"{folder / name}/" for name in folders), str(folder / MASK), str(folder / RECORD)]
