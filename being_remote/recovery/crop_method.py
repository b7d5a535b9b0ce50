"""Which way to the crop: the one asked for, else the best that the evidence on this laptop allows.

A bbox.pt is taken where there is one; without it the stored crops against the original frames, then
stored landmarks against those that a detector finds there. Which way was taken is always said.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import DataError, UsageError
from being_remote.recovery.box_output import confirmed
from being_remote.recovery.crop_from_images import by_images
from being_remote.recovery.crop_from_landmarks import by_landmarks, holds_landmarks
from being_remote.recovery.found_crop import FoundCrop, by_box, whole_frame
from being_remote.recovery.missing_evidence import AtHand, no_crops, no_landmarks, nothing_tells
from being_remote.recovery.stored_box import RunBox, box_of_job, find_box
from being_remote.recovery.stored_crops import is_dense

if TYPE_CHECKING:
    from being_remote.inventory import Inventory
    from being_remote.recovery.recovery_input import RecoveryInput
    from being_remote.session import OnProgress


@dataclass(frozen=True)
class CropRequest:
    """What the command line says of the crop, at most one of the first four; and the video."""

    bbox: Path | None = None
    box: tuple[int, int, int, int] | None = None
    from_images: Path | None = None
    from_landmarks: Path | None = None
    video: Path | None = None

    def __post_init__(self) -> None:
        if len(self._named) > 1:
            raise UsageError(f"{' and '.join(self._named)} are two ways to one crop", hint="give one of them")

    @property
    def _named(self) -> list[str]:
        ways = {
            "--bbox": self.bbox,
            "--box": self.box,
            "--from-images": self.from_images,
            "--from-landmarks": self.from_landmarks,
        }
        return [option for option, value in ways.items() if value is not None]

    @property
    def option(self) -> str:
        """The option that was given; "" where the way is left to us."""
        return next(iter(self._named), "")

    @property
    def frames(self) -> tuple[Path | None, str]:
        """The original video or its frames, and the option that names them.

        Raises:
            UsageError: two options name two of them.
        """
        searched = self.from_images or self.from_landmarks
        if searched is None or holds_landmarks(searched):
            return self.video, "--video"
        if self.video not in (None, searched):
            raise UsageError(
                f"{self.option} {searched} and --video {self.video} name two originals",
                hint="give one of them",
            )
        return searched, self.option


def find_crop(
    case: RecoveryInput,
    asked: CropRequest,
    inventory: Inventory | None,
    *,
    dry_run: bool,
    on_progress: OnProgress,
) -> FoundCrop:
    """The run's crop by the way asked for, else by the best one.

    Raises:
        UsageError: the run cropped nothing and a way to its crop was asked for, or the box is of
            frames of another size.
        NotFoundError: nothing tells the crop; says what would bring it.
        HostError: the same, and a host could not be asked.
        DataError: what was to tell it cannot be read, or is another run's.
    """
    size_wh = case.frames.image_size_wh
    if not case.cropped:
        if asked.option:
            raise UsageError(
                f"run {case.run.name!r} was tracked without a crop ({size_wh[0]}x{size_wh[1]}), so no"
                " bbox.pt belongs to it",
                where=str(case.run.base),
                hint=f"leave {asked.option} out",
            )
        return whole_frame(case)
    if asked.from_images is not None:
        if case.crops is None:
            raise no_crops(case.run)
        return _beside_the_box(by_images(case, case.crops, asked.from_images, on_progress), case)
    if asked.from_landmarks is not None:
        if case.landmarks is None:
            raise no_landmarks(case.run)
        return _beside_the_box(by_landmarks(case, case.landmarks, asked.from_landmarks, on_progress), case)
    if asked.box is not None:
        return by_box(RunBox(asked.box, None, "it was typed"), case.source, size_wh)
    box = find_box(case, asked.bbox) or box_of_job(case)
    if box is not None:
        if box.doubt and confirmed(box, case):
            box = replace(box, doubt="")
        return by_box(box, case.source, size_wh)
    frames = case.source.video
    if frames is not None and case.crops is not None:
        return by_images(case, case.crops, frames, on_progress)
    if frames is not None and case.landmarks is not None and is_dense(case.landmarks):
        with contextlib.suppress(UsageError):  # no detector is installed; then the hosts may know more
            return by_landmarks(case, case.landmarks, frames, on_progress)
    here = AtHand(case.crops, case.landmarks, frames)
    nothing_tells(case.run, case.run.boxes(case.settings), here, inventory, dry_run=dry_run)


def _beside_the_box(found: FoundCrop, case: RecoveryInput) -> FoundCrop:
    """The crop that was searched for, with a word about a bbox.pt that lies there and says another."""
    from being_remote.camera.crop import crop_from_box

    try:
        box = find_box(case, None)
    except DataError as e:
        return replace(found, warnings=(*found.warnings, f"the bbox.pt here is of no use: {e.what}"))
    if box is None or found.crop is None:
        return found
    try:
        same = (crop_from_box(box.box, case.source.size_wh, found.crop.image_size_wh).A == found.crop.A).all()
    except ValueError:
        same = False  # it was not even made on frames of this size
    said = f"{box.named} holds another box, {box.box}: it is not used"
    return found if same else replace(found, warnings=(*found.warnings, said))
