"""The pictures of `recover`: overlays on the original frames, and the evidence for the crop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from being_remote.crop_search.crop_rendering import make_crop
from being_remote.crop_search.finding import FrameEvidence
from being_remote.errors import BeingRemoteError, DataError
from being_remote.export import Cameras
from being_remote.recovery.found_crop import FoundCrop
from being_remote.recovery.local_runs import LocalRun
from being_remote.recovery.recovery_input import RecoveryInput
from being_remote.recovery.recovery_report import RecoverReport
from being_remote.recovery.stored_crops import read_crop
from being_remote.report import overlay
from being_remote.report.crop_evidence import CropEvidence, draw
from being_remote.report.pictures import jpeg, png
from being_remote.tracker.ply import Mesh, read_ply
from being_remote.tracker.source_frames import SourceFrames

Picture = NDArray[np.uint8]

WORKERS = 2  # a drawn frame of 4K is 25 MB


def shows_evidence(report: RecoverReport) -> bool:
    """Whether stored crops were compared with frames, so that there is something to show."""
    return _choose_frame(report) is not None


def draw_evidence(
    report: RecoverReport, case: RecoveryInput, frames: SourceFrames, found: FoundCrop
) -> NDArray[np.uint8]:
    """The picture (H, W, 3) BGR; only where `shows_evidence`. `frames`: those that were compared."""
    frame = _choose_frame(report)
    assert frame is not None and case.crops is not None and found.crop is not None  # it was compared
    stored = read_crop(case.crops, frame.frame_id, case.frames.image_size_wh)
    number = frame.source_number + frame.frame_offset
    made = make_crop(frames.frame(number), found.crop)
    return draw(
        CropEvidence(
            f"{report.run}: frame {frame.frame_id:05d}, source frame {number}",
            report.grade,
            stored,
            made,
            list(_describe(report, frame)),
            found.search.finding.scores if found.search is not None else None,
        )
    )


def _choose_frame(report: RecoverReport) -> FrameEvidence | None:
    """A frame that was compared: one that agrees, from the middle of those looked at."""
    by_images = report.evidence if report.crop_by == "images" else None
    compared = by_images or report.check
    frames = [f for f in compared.frames if f.agrees] if compared is not None else []
    return frames[len(frames) // 2] if frames else None


def _describe(report: RecoverReport, frame: FrameEvidence) -> Iterator[str]:
    crop = report.crop
    assert crop is not None  # it was compared
    yield f"side {crop.side:g} px at {crop.origin[0]:g}, {crop.origin[1]:g}"
    yield f"this frame: correlation {frame.score:.5f}, residual {frame.residual:.2f} levels"
    found = report.evidence
    if found is not None:
        if found.margin is not None:
            yield f"ahead of the next crop by {found.margin:.5f} on each of {len(found.frames)} frames"
        if found.focal_std_percent:  # none is left where the whole numbers were confirmed
            yield f"focal length +-{found.focal_std_percent:.3f} %"
        if found.reason:
            yield found.reason
    elif report.check is not None:
        equal = sum(f.equal for f in report.check.frames)
        yield f"bbox.pt checked on {len(report.check.frames)} frames, {equal} with equal pixels"


@dataclass(frozen=True, eq=False)
class Overlay:
    """One original frame with the head drawn on it."""

    place: int  # which of the cameras
    jpeg: bytes  # the overlay, small enough for the page
    png: bytes | None  # the same pixel for pixel, of the first one only
    lacking: tuple[str, ...]  # what is missing in it, and why


def draw_overlays(
    run: LocalRun, frames: SourceFrames | None, cameras: Cameras, places: Sequence[int]
) -> list[Overlay]:
    """Draw on the original frames of the cameras at `places`."""
    with ThreadPoolExecutor(WORKERS) as pool:
        # Decoded one after another, in the video's order; drawn meanwhile.
        return [
            future.result()
            for future in [
                pool.submit(_draw, run, cameras, place, *_read_frame(frames, cameras, place), whole=i == 0)
                for i, place in enumerate(places)
            ]
        ]


def _draw(
    run: LocalRun, cameras: Cameras, place: int, picture: Picture | None, why: str, *, whole: bool
) -> Overlay:
    frame_id, number = int(cameras.frame_ids[place]), int(cameras.source_numbers[place])
    mesh, no_mesh = _read_mesh(run, frame_id)
    shown = overlay.OverlayFrame(
        title=f"{cameras.name}: frame {frame_id:05d}"
        + (f" = source/{number:05d}.png" if number else ", source frame unknown"),
        K=cameras.K_source if cameras.K_each is None else cameras.K_each[place],
        R=cameras.R[place],
        t=cameras.t[place],
        crop=cameras.crop,
        mesh=mesh,
        picture=picture,
    )
    lacking = (
        f"is on a plain canvas: {why}" if why else "",
        f"shows axes instead of a mesh: {no_mesh}" if no_mesh else "",
    )
    drawn = overlay.draw(shown)
    return Overlay(place, jpeg(drawn), png(drawn) if whole else None, tuple(filter(None, lacking)))


def _read_frame(frames: SourceFrames | None, cameras: Cameras, place: int) -> tuple[Picture | None, str]:
    """The original frame of a camera, or why there is none."""
    if frames is None:
        return None, "no video is at hand (--video FILE)"
    if not cameras.source_numbers[place]:
        return None, "the frame of this pose is unknown"
    try:
        return frames.frame(int(cameras.source_numbers[place])), ""
    except BeingRemoteError as e:
        return None, str(e)


def _read_mesh(run: LocalRun, frame_id: int) -> tuple[Mesh | None, str]:
    for folder in run.meshes:
        path = folder / f"{frame_id:05d}.ply"
        if path.exists():
            try:
                return read_ply(path), ""
            except DataError as e:
                return None, str(e)
    return None, f"no {frame_id:05d}.ply in {' or '.join(map(str, run.meshes))}"
