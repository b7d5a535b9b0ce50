"""The trainers' files: which are written, on which canvas, where they lie.

All are prepared before the first byte is written, so that one that cannot be made leaves no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from being_remote.camera.canvas import Canvas
from being_remote.errors import DataError, UsageError
from being_remote.export import Cameras, CanvasChoice, Export, RunFiles, Target, off_centre, prepare, targets
from being_remote.recovery.frame_numbers import Numbering
from being_remote.recovery.recovery_input import RecoveryInput
from being_remote.recovery.recovery_request import OutputChoice
from being_remote.recovery.report_figures import Matrix, matrix


@dataclass(frozen=True)
class TrainerExport:
    """One trainer's camera."""

    name: str  # what `--export` takes
    folder: str  # where its files lie
    K: Matrix  # (3, 3) of its canvas, corner convention
    canvas: Canvas  # its picture
    off_centre: str  # what it gets wrong by taking the middle for the principal point; "" if nothing
    images: int | None  # how many pictures there are for it; None without --with-images
    images_kept: int | None  # how many of these existed already, and were not made again


@dataclass(frozen=True, eq=False)
class PreparedTarget:
    """A target with the camera that it is to be given."""

    target: Target
    export: Export

    @property
    def canvas_numbers(self) -> list[int]:
        """Its canvas, to be compared with what a folder holds."""
        c = self.export.canvas
        return [c.x_min, c.y_min, c.width, c.height, *c.out_size_wh]

    def outputs(self, folder: Path) -> list[str]:
        """What is written below `folder`; a folder of one file a frame ends in a slash."""
        top = folder / self.target.folder
        return [
            f"{top / name}/" if name.endswith("/") else str(top / name) for name in self.target.main_files
        ]

    @property
    def off_centre(self) -> str:
        """What its trainer gets wrong by taking the middle for the principal point; "" if nothing."""
        return off_centre(self.target, self.export)

    @property
    def notes(self) -> list[str]:
        """What a person must do so that it arrives unchanged."""
        notes = (*self.target.notes, *self.target.remarks(self.export))
        return [f"{self.target.name}: {note}" for note in notes]

    def describe(self, folder: Path, images: int | None, kept: int | None) -> TrainerExport:
        """What the report says of it."""
        top, K = str(folder / self.target.folder), matrix(self.export.K)
        return TrainerExport(self.target.name, top, K, self.export.canvas, self.off_centre, images, kept)


def choose_targets(names: Sequence[str], canvas: CanvasChoice) -> tuple[Target, ...]:
    """The targets of these names, refused before anything is read for them."""
    chosen = targets(names)
    if canvas is not None and all(t.fixed_canvas for t in chosen):
        fixed = ", ".join(t.name for t in chosen)
        raise UsageError(
            f"{fixed} always describe the original frames", where="--canvas", hint="leave --canvas out"
        )
    return chosen


def prepare_all(
    output: OutputChoice, cameras: Cameras, case: RecoveryInput, numbering: Numbering
) -> tuple[list[PreparedTarget], list[str]]:
    """Each target with its camera and canvas, and warnings.

    Targets whose pictures are the original frames keep them. Where no export was named, one that cannot
    hold these cameras, or be made of the run's files, is left out with a warning.

    Raises:
        UsageError: one that was named cannot hold what it is given, or none of them takes a canvas.
        NotFoundError: a file that it needs is not here.
        DataError: one that was named cannot be made of the run's files.
    """
    canvas, allow_off_centre = output.canvas, output.allow_off_centre
    files = _find_files(case, numbering)
    prepared, warnings = [], []
    for target in choose_targets(output.exports, canvas):
        try:
            export = prepare(target, cameras, files, canvas=canvas, allow_off_centre=allow_off_centre)
            target.check(export)
        except (UsageError, DataError) as e:
            if output.exports:
                raise
            file = f"{e.where}: " if isinstance(e, DataError) else ""
            warnings.append(f"{target.name} is left out: {file}{e.what}")
            continue
        prepared.append(PreparedTarget(target, export))
        off = prepared[-1].off_centre
        warnings += [f"{target.name}: {off}"] if off else []
    if canvas is not None and all(p.target.fixed_canvas for p in prepared):
        raise UsageError(
            "no trainer can take this canvas", where="--canvas", hint="; ".join(warnings) or "name another"
        )
    return prepared, warnings


def _find_files(case: RecoveryInput, numbering: Numbering) -> RunFiles:
    run = case.run
    _, sparse = run.landmark_folders(case.settings)
    return RunFiles(
        checkpoints=run.checkpoints,
        meshes=next((f for f in run.meshes if f.is_dir()), None),
        kpt=next((f for f in sparse if f.is_dir()), None),
        # Landmarks keep the tracker's numbers, also where the frames at hand have others.
        kpt_offset=numbering.offset if numbering.settings else 0,
        frame_names=dict(zip(case.frames.frame_ids.tolist(), case.frames.files, strict=True)),
    )
