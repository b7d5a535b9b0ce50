"""Find a run's crop by the evidence that was named, else by the best on this laptop.

That is a bbox.pt; without it the stored crops against the original frames; then stored landmarks against
those that a detector finds in the frames.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from being_remote.camera.crop import crop_from_box
from being_remote.crop_search.finding import Finding, StoredCrop
from being_remote.crop_search.frame_map import FrameMap
from being_remote.crop_search.image_search import from_images, rough_crop
from being_remote.crop_search.landmark_fit import from_landmarks
from being_remote.crop_search.landmark_search import FaceMesh, StoredFace, from_frames, read_pairs
from being_remote.errors import DataError, NotFoundError, UsageError
from being_remote.media.video import FrameReader
from being_remote.recovery.crop_check import map_to_video, number_in_source, report_steps
from being_remote.recovery.found_crop import (
    CropSearch,
    FoundCrop,
    boxed_crop,
    searched_crop,
    whole_frame_crop,
)
from being_remote.recovery.frame_search import NoEvidence, find_frame_map
from being_remote.recovery.local_runs import LocalRun
from being_remote.recovery.recovery_input import RecoveryInput
from being_remote.recovery.recovery_request import EvidenceChoice
from being_remote.recovery.stored_box import RunBox, box_of_job, find_box, is_confirmed
from being_remote.recovery.stored_crops import StoredCrops, is_dense, read_crops, spread
from being_remote.session import OnProgress
from being_remote.tracker.npy_file import DENSE, SPARSE, landmark_name, read_landmarks
from being_remote.tracker.source_frames import SourceFrames, every_frame

SEARCHED = 15  # crops; the search takes as many of these as it needs
READ = 400  # files: more say nothing new
LOOKED_AT = 40  # frames in which a face is searched for, a few tenths of a second each


def find_crop(case: RecoveryInput, evidence: EvidenceChoice, on_progress: OnProgress) -> FoundCrop | None:
    """The run's crop by the evidence that was named, else by the best; None where nothing local shows it.

    Raises:
        UsageError: the run cropped nothing and evidence for a crop was named, or the box is of
            frames of another size.
        NotFoundError: the stored crops or landmarks to find it by are not local.
        DataError: that evidence cannot be read, or is another run's.
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
            raise _missing(
                case.run, "crops", "crops of run {!r} are local, so its crop cannot be found by pictures"
            )
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


def find_by_images(
    case: RecoveryInput, crops: StoredCrops, video: FrameReader, on_progress: OnProgress
) -> FoundCrop:
    """Find the crop by comparing some of the stored crops with the original video or its frames."""
    looked_at = read_crops(crops, case.numbers, case.frames.image_size_wh, SEARCHED, case.landmarks)
    assert case.source_frames is not None  # there is a video
    finding = from_images(
        looked_at,
        case.source_frames,
        bbox_scale=case.known_bbox_scale,
        on_progress=report_steps("frames compared", on_progress),
    )
    mapped = None
    if finding.grade in ("unknown", "estimated"):  # other frames than the settings say?
        better = _search_by_map(case, crops, finding, looked_at, video, on_progress)
        finding, mapped = better or (finding, None)
    count = len(finding.frames) or len(looked_at)
    evidence = f"{count} of {len(crops.files)} stored crops in {crops.folder}"
    search = CropSearch(finding, evidence, str(video.path), crops.phantoms, mapped)
    return searched_crop("images", search)


def _search_by_map(
    case: RecoveryInput,
    crops: StoredCrops,
    first: Finding,
    looked_at: Sequence[StoredCrop],
    video: FrameReader,
    on_progress: OnProgress,
) -> tuple[Finding, FrameMap] | None:
    """The search again, with the frames that small pictures give the crops; None unless that is better."""
    frames = every_frame(video)
    crop = first.crop or rough_crop(looked_at, frames)
    mapped = find_frame_map(case, crop, on_progress) if crop is not None else ""
    if isinstance(mapped, (str, NoEvidence)):
        return None
    shown = map_to_video(case, mapped.frames)
    finding = from_images(
        read_crops(crops.keep(shown), shown, case.frames.image_size_wh, SEARCHED, case.landmarks),
        frames,
        bbox_scale=case.known_bbox_scale,
        on_progress=report_steps("frames compared", on_progress),
    )
    if finding.grade == "unknown" or (first.crop is not None and finding.grade == "estimated"):
        return None
    numbered = number_in_source(finding.frames, case, mapped)
    return replace(finding, frames=numbered, frame_offset=mapped.offset), mapped


def find_by_landmarks(
    case: RecoveryInput, folder: Path, source: Path | SourceFrames, on_progress: OnProgress
) -> FoundCrop:
    """Find the crop by the landmarks stored in `folder` and those of the original frames.

    Args:
        source: a folder of landmarks of the original frames, or the frames themselves.

    Raises:
        UsageError: landmarks are to be found here, and the detector is not installed.
        NotFoundError: the two have no frame in common, or the stored ones are not the detector's.
        DataError: a file cannot be read.
    """
    if isinstance(source, Path):
        name, (finding, count) = source, _compare_files(case, folder, source)
    else:
        name, (finding, count) = source.source.path, _compare_faces(case, folder, source, on_progress)
    search = CropSearch(finding, f"landmarks of {count} frames in {folder}", str(name))
    return searched_crop("landmarks", search)


def _compare_files(case: RecoveryInput, folder: Path, source: Path) -> tuple[Finding, int]:
    points = DENSE if is_dense(folder) else SPARSE
    pairs = read_pairs(folder, source, spread(list(case.numbers.values()), READ), points)
    finding = from_landmarks(
        pairs,
        case.source.size_wh,
        case.frames.image_size_wh,
        detector=f"{points} points",
        bbox_scale=case.known_bbox_scale,
    )
    return finding, len(pairs)


def _compare_faces(
    case: RecoveryInput, folder: Path, frames: SourceFrames, on_progress: OnProgress
) -> tuple[Finding, int]:
    stored = _stored_faces(case, folder)
    with FaceMesh() as mesh:
        finding = from_frames(
            stored,
            frames,
            case.frames.image_size_wh,
            mesh,
            bbox_scale=case.known_bbox_scale,
            on_progress=report_steps("faces looked for", on_progress),
        )
    return finding, len(stored)


def _stored_faces(case: RecoveryInput, folder: Path) -> list[StoredFace]:
    """Some of the stored faces that the detector can find again, spread over the clip."""
    stored = [n for n in case.numbers.values() if (folder / landmark_name(n)).exists()]
    if not stored or not is_dense(folder):
        raise NotFoundError(
            f"the run's frames have no {DENSE}-point landmarks, the only ones that a detector finds again in"
            " a video",
            where=str(folder),
            hint="--from-landmarks FOLDER, with 68 points of each original frame",
        )
    faces = [(n, read_landmarks(folder / landmark_name(n), DENSE)) for n in spread(stored, LOOKED_AT)]
    return [StoredFace(n, points) for n, points in faces if points is not None]
