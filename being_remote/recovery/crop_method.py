"""Find a run's crop by the evidence asked for, else by the best on this laptop.

That is a bbox.pt; without it the stored crops against the original frames; then stored landmarks against
those that a detector finds in the frames.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from being_remote.errors import DataError, NotFoundError, UsageError
from being_remote.recovery.box_output import is_confirmed
from being_remote.recovery.crop_from_images import find_by_images
from being_remote.recovery.crop_from_landmarks import find_by_landmarks
from being_remote.recovery.found_crop import FoundCrop, boxed_crop, whole_frame_crop
from being_remote.recovery.stored_box import RunBox, box_of_job, find_box
from being_remote.recovery.stored_crops import is_dense

if TYPE_CHECKING:
    from being_remote.recovery.local_runs import LocalRun
    from being_remote.recovery.recovery_input import RecoveryInput
    from being_remote.recovery.recovery_request import EvidenceChoice
    from being_remote.session import OnProgress


def find_crop(case: RecoveryInput, evidence: EvidenceChoice, on_progress: OnProgress) -> FoundCrop | None:
    """The run's crop by the evidence asked for, else by the best; None where nothing local tells it.

    Raises:
        UsageError: the run cropped nothing and a way to its crop was asked for, or the box is of
            frames of another size.
        NotFoundError: the stored crops or landmarks that were to tell it are not local.
        DataError: what was to tell it cannot be read, or is another run's.
    """
    size_wh = case.frames.image_size_wh
    if not case.cropped:
        if evidence.option:
            raise UsageError(
                f"run {case.run.name!r} was tracked without a crop ({size_wh[0]}x{size_wh[1]}), so no"
                " bbox.pt belongs to it",
                where=str(case.run.base),
                hint=f"leave {evidence.option} out",
            )
        return whole_frame_crop(case)
    if evidence.from_images is not None or evidence.from_landmarks is not None:
        return _warn_of_other_box(_search_as_asked(case, evidence, on_progress), case)
    if evidence.box is not None:
        return boxed_crop(RunBox(evidence.box, None, "it was typed"), case.source, size_wh)
    box = find_box(case, evidence.bbox) or box_of_job(case)
    if box is not None:
        if box.doubt and is_confirmed(box, case):
            box = replace(box, doubt="")
        return boxed_crop(box, case.source, size_wh)
    if case.video is not None and case.crops is not None:
        return find_by_images(case, case.crops, case.video, on_progress)
    frames = case.source_frames
    if frames is not None and case.landmarks is not None and is_dense(case.landmarks):
        with contextlib.suppress(UsageError):  # no detector is installed; the hosts may have more evidence
            return find_by_landmarks(case, case.landmarks, frames, on_progress)
    return None


def _search_as_asked(case: RecoveryInput, evidence: EvidenceChoice, on_progress: OnProgress) -> FoundCrop:
    if evidence.from_images is not None:
        if case.crops is None:
            raise _missing(case.run, "crops", "crops of run {!r} are local, so no pictures can tell its crop")
        assert case.video is not None  # the same file was named
        return find_by_images(case, case.crops, case.video, on_progress)
    if case.landmarks is None:
        raise _missing(case.run, "kpt", "landmarks of run {!r} are local")
    frames = evidence.landmark_folder or case.source_frames
    assert frames is not None  # the same file was named
    return find_by_landmarks(case, case.landmarks, frames, on_progress)


def _missing(run: LocalRun, kind: str, what: str) -> NotFoundError:
    hint = "name the folder of the whole run"
    if run.job is not None:
        hint = f"being-remote pull {run.job} --all"
    elif run.actor is not None:
        hint = f"being-remote sync --actor {run.actor.name} --only {kind}"
    return NotFoundError(f"no stored {what.format(run.name)}", where=str(run.base), hint=hint)


def _warn_of_other_box(found: FoundCrop, case: RecoveryInput) -> FoundCrop:
    """The crop that was searched for, with a warning about a bbox.pt of the run that says another."""
    from being_remote.camera.crop import crop_from_box

    try:
        box = find_box(case, None)
    except DataError as e:
        return replace(found, warnings=(*found.warnings, f"the run's bbox.pt cannot be used: {e.what}"))
    if box is None or found.crop is None:
        return found
    try:
        same = (crop_from_box(box.box, case.source.size_wh, found.crop.image_size_wh).A == found.crop.A).all()
    except ValueError:
        same = False  # it was not even made on frames of this size
    warning = f"{box.named} holds another box, {box.box}: it is not used"
    return found if same else replace(found, warnings=(*found.warnings, warning))
