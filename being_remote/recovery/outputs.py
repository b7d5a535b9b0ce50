"""What `recover` writes: exports, pictures for trainers, the overlay, the evidence, a bbox.pt.

A plan is made first: it refuses all that can be refused and touches nothing, so that a dry run is the
plan. An output folder of another run is never written into.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import UsageError
from being_remote.recovery.box_output import box_place, write_found_box
from being_remote.recovery.evidence_picture import draw_evidence
from being_remote.recovery.output_folder import NOTE, aside_of, claim
from being_remote.recovery.overlays import Overlay, draw_overlays
from being_remote.recovery.report_page import PLOTS, page_bytes, plot_files, shown_places
from being_remote.recovery.trainer_exports import PreparedTarget, TrainerExport, prepare_all
from being_remote.session import OnProgress

if TYPE_CHECKING:
    from being_remote.export import Cameras, CanvasChoice
    from being_remote.export.images import ImagePlan
    from being_remote.recovery.found_crop import FoundCrop
    from being_remote.recovery.frame_numbers import Numbering
    from being_remote.recovery.recovery_input import RecoveryInput
    from being_remote.recovery.recovery_report import RecoverReport

OVERLAY, EVIDENCE, PAGE = "overlay.png", "evidence.png", "report.html"


@dataclass(frozen=True)
class OutputRequest:
    """What is to be written; the fields are `recover`'s arguments."""

    exports: Sequence[str] = ()
    canvas: CanvasChoice = None
    allow_off_centre: bool = False
    with_images: bool = False
    out: Path | None = None
    force: bool = False
    write_bbox: bool = False
    plot: bool = False

    @property
    def anything(self) -> bool:
        """Whether something was asked for by name, and not only what is written by default."""
        return bool(self.exports or self.with_images or self.out or self.write_bbox or self.plot)


@dataclass(frozen=True, eq=False)
class OutputPlan:
    """What will be written, and where; see `RecoverReport` for most fields.

    Attributes:
        standing: how many pictures of each target are there already.
    """

    folder: Path
    canvases: dict[str, list[int]]
    prepared: list[PreparedTarget]
    pictures: dict[str, ImagePlan]
    standing: dict[str, int]
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
            p.exported(self.folder, counts.get(p.target.name), self.standing.get(p.target.name))
            for p in self.prepared
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be done so that the trainers take their cameras unchanged."""
        return tuple(note for p in self.prepared for note in p.notes)


def plan(
    case: RecoveryInput,
    found: FoundCrop,
    cameras: Cameras,
    known: Numbering,
    wanted: OutputRequest,
    *,
    evidence: bool,
) -> OutputPlan:
    """What will be written.

    Raises:
        UsageError: an export cannot hold these cameras, there is no video to make pictures of, or the
            folder holds another run, other frames or pictures of another video.
        NotFoundError: an export needs a file that is not here.
        DataError: one that was named cannot be made of the run's files.
    """
    from being_remote.export import refuse_left_over
    from being_remote.export.images import standing

    prepared, warnings = prepare_all(
        wanted.exports,
        cameras,
        case,
        known,
        canvas=wanted.canvas,
        allow_off_centre=wanted.allow_off_centre,
    )
    folder = (wanted.out or Path("recovered") / cameras.name).absolute()
    pictures = _pictures(prepared, case, known) if wanted.with_images else {}
    outputs = [o for p in prepared for o in p.outputs(folder)]
    for p in prepared:
        if p.target.name in pictures:
            outputs += picture_files(pictures[p.target.name], folder / p.target.folder)
    drawings = [OVERLAY, *([EVIDENCE] if evidence else ()), *(PLOTS if wanted.plot else ())]
    outputs += [str(folder / name) for name in (NOTE, PAGE, *drawings)]
    box = box_place(case, found) if wanted.write_bbox else None
    canvases = {p.target.name: p.canvas_numbers for p in prepared}
    aside = aside_of(folder, cameras, canvases, outputs, force=wanted.force)
    there = dict.fromkeys(pictures, 0)
    if aside is None:
        for p in prepared:
            refuse_left_over(p.target, cameras, folder / p.target.folder)
            if p.target.name in pictures:
                there[p.target.name] = standing(pictures[p.target.name], folder / p.target.folder)
    return OutputPlan(
        folder,
        canvases,
        prepared,
        pictures,
        there,
        evidence,
        wanted.plot,
        tuple(outputs),
        aside,
        box,
        tuple(warnings),
    )


def carry_out(
    planned: OutputPlan, case: RecoveryInput, found: FoundCrop, cameras: Cameras, on_progress: OnProgress
) -> list[Overlay]:
    """Write what was planned, but for the page; returns the overlays that it is made of."""
    from being_remote.export import write, write_atomically
    from being_remote.export.images import make_images

    folder, video = planned.folder, case.source.video
    if planned.box is not None:
        write_found_box(planned.box, case, found)
    claim(folder, cameras, planned.canvases, planned.outputs, aside=planned.moved_aside)
    for p in planned.prepared:
        write(p.target, p.export, folder)
    for p in planned.prepared:
        if p.target.name in planned.pictures and video is not None:
            images = planned.pictures[p.target.name]
            place = folder / p.target.folder
            make_images(images, lambda: case.open_frames(video), place, on_progress=on_progress)
    drawn = draw_overlays(case, cameras, shown_places(cameras, with_video=video is not None))
    write_atomically(folder / OVERLAY, [drawn[0].png or b""])
    for name, data in plot_files(cameras).items() if planned.plot else ():
        write_atomically(folder / name, [data])
    return drawn


def write_pages(
    planned: OutputPlan,
    report: RecoverReport,
    case: RecoveryInput,
    found: FoundCrop,
    cameras: Cameras,
    drawn: Sequence[Overlay],
) -> None:
    """Write the picture of the evidence, and the page, which shows all that the report says."""
    from being_remote.export import write_atomically
    from being_remote.report.overlay import png
    from being_remote.report.pictures import jpeg

    evidence = draw_evidence(report, case, found) if planned.evidence else None
    if evidence is not None:
        write_atomically(planned.folder / EVIDENCE, [png(evidence)])
    small = jpeg(evidence) if evidence is not None else None
    write_atomically(planned.folder / PAGE, [page_bytes(report, cameras, drawn, small)])


def _pictures(
    prepared: Sequence[PreparedTarget], case: RecoveryInput, known: Numbering
) -> dict[str, ImagePlan]:
    """The pictures of each target that has any."""
    from being_remote.export.images import plan_images, refuse_missing, source_words

    if case.source.video is None:
        raise UsageError(
            "no original video is at hand to make pictures of", where="--with-images", hint="--video FILE"
        )
    words = source_words(case.source.video, case.settings.fps)
    plans = {p.target.name: plan_images(p.target, p.export, words) for p in prepared}
    pictures = {name: images for name, images in plans.items() if images is not None}
    for images in pictures.values():
        refuse_missing(images, known.frames_at_hand)
    return pictures


def picture_files(images: ImagePlan, folder: Path) -> list[str]:
    """The folders of its pictures, and what lies beside them."""
    from being_remote.export.images import MASK, RECORD

    folders = dict.fromkeys(os.path.dirname(name) for name in images.names)
    return [*(f"{folder / name}/" for name in folders), str(folder / MASK), str(folder / RECORD)]
