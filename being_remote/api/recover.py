"""`recover()`: the cameras of the original video as arrays, and their export for trainers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from being_remote.api.arguments import (
    InventoryLike,
    Names,
    PathLike,
    checked,
    inventory_for,
    read_inventory,
    read_names,
    read_path,
)
from being_remote.api.cameras import FrameCameras
from being_remote.camera.crop import Crop
from being_remote.errors import InconsistentData
from being_remote.recovery.camera_recovery import RecoveredCameras, recover_cameras, write_cameras
from being_remote.recovery.found_crop import FoundCrop
from being_remote.recovery.recovery_input import OpenVideos
from being_remote.recovery.recovery_report import RecoverReport
from being_remote.session import OnProgress, no_progress
from being_remote.workflows.recover import EvidenceChoice, OutputChoice, RunChoice, find_crop


@dataclass(frozen=True, eq=False, repr=False)
class Recovery:
    """What was recovered of one run. Nothing is written before `export`.

    Attributes:
        report: all that `recover --json` says: warnings, evidence, numbering of the frames.

    Example:
        >>> recovery = recover("roman")
        >>> recovery
        <Recovery of 'roman': 6 frames, grade verified>
        >>> recovery.grade, recovery.crop.side
        ('verified', 324)
        >>> report = recovery.export("nerfstudio", out="for-nerfstudio")
        >>> [export.name for export in report.exports]
        ['nerfstudio']
    """

    report: RecoverReport
    _recovered: RecoveredCameras = field(repr=False)
    _found: FoundCrop = field(repr=False)

    @property
    def cameras(self) -> FrameCameras:
        """The camera of the original video in each frame.

        Raises:
            InconsistentData: the crop is unknown, or the pixels contradict it.
        """
        found = self._recovered.cameras
        if found is None:
            why = next(iter(self.report.warnings), f"the grade is {self.grade!r}")
            raise InconsistentData(
                f"no camera can be given: {why}",
                file=self.report.run,
                hint="recover(..., from_images=VIDEO) finds it by pictures; docs/recover.md has all ways",
            )
        return FrameCameras.of(found)

    @property
    def crop(self) -> Crop | None:
        """How the tracker's crops were cut from the original frames; None where no camera can be given."""
        found = self._recovered.cameras
        return None if found is None else found.crop

    @property
    def grade(self) -> str:
        """How sure the crop is; `RecoverReport` says what each grade means."""
        return self.report.grade

    @checked
    def export(
        self,
        names: Names = None,
        *,
        out: PathLike | None = None,
        canvas: Literal["crop"] | tuple[int, int] | None = None,
        with_images: bool = False,
        allow_off_centre: bool = False,
        force: bool = False,
        dry_run: bool = False,
    ) -> RecoverReport:
        """Write the files of trainers, a page to look at, and pictures to check the camera by.

        Args:
            names: one trainer or several, as `--export` takes them; default: all that need nothing more.
            out: the folder; default: `recovered/<run>` in the current one.
            canvas: "crop", or width, height of a window around the principal point.
            with_images: make each trainer's pictures, too.
            allow_off_centre: also for a trainer that ignores this camera's principal point.
            force: move a folder that holds another run aside.
            dry_run: only say what would be written.

        Raises:
            InconsistentData: no camera can be given.
            UsageError: an export cannot hold the cameras, or the folder holds something else.
            NotFoundError: a file that an export needs is missing.
        """
        self.cameras  # noqa: B018 - raises where there are none
        output = OutputChoice(
            exports=read_names(names),
            canvas=canvas,
            allow_off_centre=allow_off_centre,
            with_images=with_images,
            out=read_path(out),
            force=force,
            dry_run=dry_run,
        )
        recovered = self._recovered
        if with_images:  # pictures need the frame of every pose
            recovered = recover_cameras(
                recovered.case, self._found, output, check=True, on_progress=no_progress
            )
        return write_cameras(recovered, output, no_progress)

    def __repr__(self) -> str:
        return f"<Recovery of {self.report.run!r}: {self.report.frames} frames, grade {self.grade}>"


@checked
def recover(
    run: PathLike | None = None,
    *,
    inventory: InventoryLike = None,
    source_size: tuple[int, int] | None = None,
    video: PathLike | None = None,
    bbox: PathLike | tuple[int, int, int, int] | None = None,
    from_images: PathLike | None = None,
    from_landmarks: PathLike | None = None,
    on_progress: OnProgress = no_progress,
) -> Recovery:
    """Recover the cameras of the original video from one run; writes nothing.

    Args:
        run: a folder (of `.frame` files, or with `checkpoint/` in it), an actor's name, or a job's id;
            default: the run of the inventory's only actor.
        inventory: itself, or its file; default: that of this folder. A folder needs none.
        source_size: width, height of the original video.
        video: the original video, or the folder of its frames; gives the size and the pictures.
        bbox: a bbox.pt from elsewhere, or x_min, x_max, y_min, y_max.
        from_images: the original video or its frames: find the crop by the run's stored crops.
        from_landmarks: the same, or a folder of landmarks found there: find it by the stored landmarks.
        on_progress: called with each step of a long search.

    Raises:
        UsageError: arguments that contradict each other or the files.
        NotFoundError: no run, no frames, no video, or nothing that tells the crop.
        DataError: files that are unsafe, torn, or contradict each other.

    Example:
        >>> recovery = recover("roman")
        >>> print(recovery.cameras.K[0, 0].round(3), recovery.grade)
        1409.268 verified
    """
    source = read_inventory(inventory) if run is None else inventory_for([run], inventory)
    box = bbox if isinstance(bbox, tuple) else None
    evidence = EvidenceChoice(
        source_size=source_size,
        video=read_path(video),
        bbox=None if isinstance(bbox, tuple) else read_path(bbox),
        box=box,
        from_images=read_path(from_images),
        from_landmarks=read_path(from_landmarks),
    )
    output, choice = OutputChoice(), RunChoice(str(run) if run is not None else None)
    # The video stays open as long as the result lives: `export` reads its frames.
    case, found = find_crop(source, choice, evidence, output, OpenVideos(), on_progress)
    recovered = recover_cameras(case, found, output, check=True, on_progress=on_progress)
    return Recovery(recovered.report, recovered, found)
