"""Find the crop by stored landmarks: an estimate with error bars, never exact.

The stored ones are the tracker's, in pixels of its crops. Those of the original frames lie in a folder
of their own, named by the source's numbers like the stored ones, or are found here by the tracker's
own detector, where that is installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import NotFoundError
from being_remote.recovery.crop_check import report_steps
from being_remote.recovery.found_crop import CropSearch, FoundCrop, searched_crop
from being_remote.recovery.stored_crops import is_dense, spread
from being_remote.session import OnProgress

if TYPE_CHECKING:
    from being_remote.crop_search.finding import Finding
    from being_remote.crop_search.landmark_search import StoredFace
    from being_remote.recovery.recovery_input import RecoveryInput
    from being_remote.tracker.source_frames import SourceFrames

READ = 400  # files: more say nothing new
LOOKED_AT = 40  # frames in which a face is searched for, a few tenths of a second each


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
    from being_remote.crop_search.landmark_fit import from_landmarks
    from being_remote.crop_search.landmark_search import read_pairs
    from being_remote.tracker.landmark_file import DENSE, SPARSE

    points = DENSE if is_dense(folder) else SPARSE
    pairs = read_pairs(folder, source, spread(list(case.numbers.items()), READ), points)
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
    from being_remote.crop_search.landmark_detector import FaceMesh
    from being_remote.crop_search.landmark_search import from_frames

    stored = _stored_faces(case, folder)
    with FaceMesh() as mesh:
        finding = from_frames(
            stored,
            frames,
            case.frames.image_size_wh,
            mesh,
            detector="MediaPipe's face mesh",
            bbox_scale=case.known_bbox_scale,
            on_progress=report_steps("faces looked for", on_progress),
        )
    return finding, len(stored)


def _stored_faces(case: RecoveryInput, folder: Path) -> list[StoredFace]:
    """Some of the stored faces that the detector can find again, spread over the clip."""
    from being_remote.crop_search.landmark_search import StoredFace
    from being_remote.tracker.landmark_file import DENSE, landmark_name, read_landmarks

    stored = [(i, n) for i, n in case.numbers.items() if (folder / landmark_name(n)).exists()]
    if not stored or not is_dense(folder):
        raise NotFoundError(
            f"the run's frames have no {DENSE}-point landmarks, the only ones that a detector finds again in"
            " a video",
            where=str(folder),
            hint="--from-landmarks FOLDER, with 68 points of each original frame",
        )
    faces = [(i, n, read_landmarks(folder / landmark_name(n), DENSE)) for i, n in spread(stored, LOOKED_AT)]
    return [StoredFace(i, n, points) for i, n, points in faces if points is not None]
