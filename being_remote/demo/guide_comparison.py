"""The first screen of a demo: one mesh through the guide's camera and through ours, beside the true one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from being_remote.camera.crop import crop_from_box, to_source
from being_remote.camera.intrinsics import ray_angle_deg
from being_remote.camera.pose import project
from being_remote.demo.actor import ActorTruth, Floats
from being_remote.media.video import open_source
from being_remote.report.overlay import OverlayFrame, draw
from being_remote.report.pictures import Picture, jpeg, put_text
from being_remote.tracker.ply import Mesh

PICTURE = "before-after.jpg"
# What is cut off a frame beside the head, and where the overlay's legend begins.
_SIDE_PX, _LEGEND_TOP_PX = 330, 880


@dataclass(frozen=True)
class CameraError:
    """One camera of the whole video, and how far it is from the one that filmed it."""

    K: tuple[tuple[float, ...], ...]  # pixels, corner convention
    centre_deg: float  # angle between its ray and the true one, at the crop's centre
    corner_deg: float  # the same at the worst of the crop's corners
    mesh_px: float  # how far the mesh is from where it should be seen, mean of its vertices


@dataclass(frozen=True)
class GuideComparison:
    """The guide's camera ("add the offset, keep the focal length") and ours.

    Attributes:
        crop_side: of the tracker's crop after padding, pixels of the video.
        picture: the mesh on one frame through both.
    """

    crop_side: float
    image_size_wh: tuple[int, int]
    size_wh: tuple[int, int]
    guide: CameraError
    ours: CameraError
    picture: Path


def compare_with_guide(truth: ActorTruth, run: Path, video: Path, picture: Path) -> GuideComparison:
    """Recover the camera of `run` by its bbox.pt, and draw its mesh on a frame of `video` into `picture`."""
    from being_remote.workflows.recover import EvidenceChoice, OutputChoice, RunChoice, recover

    report = recover(
        None,
        RunChoice(str(run)),
        EvidenceChoice(source_size=truth.size_wh, check=False),
        OutputChoice(explain=True, dry_run=True),
    )
    assert report.K is not None and report.explain is not None and truth.box is not None  # it has a bbox.pt
    K_guide, K = np.array(report.explain.guide_K), np.array(report.K)
    guide, ours = _error(K_guide, truth), _error(K, truth)
    degrees = f"{guide.centre_deg:.0f} to {guide.corner_deg:.0f} degrees off"
    drawn = _draw(truth, video, {f"offset added, focal length kept: {degrees}": K_guide, "recovered": K})
    picture.write_bytes(jpeg(drawn))
    crop = crop_from_box(truth.box, truth.size_wh, truth.image_size_wh)
    return GuideComparison(crop.side, truth.image_size_wh, truth.size_wh, guide, ours, picture)


def _error(K: Floats, truth: ActorTruth) -> CameraError:
    assert truth.box is not None
    crop = crop_from_box(truth.box, truth.size_wh, truth.image_size_wh)
    w, h = crop.image_size_wh
    places = to_source(crop, np.array([(w / 2, h / 2), (0, 0), (w, 0), (0, h), (w, h)]))
    degrees = ray_angle_deg(truth.K_source, K, places)
    off_px = [
        np.linalg.norm(
            project(K, R, t, truth.vertices) - project(truth.K_source, R, t, truth.vertices), axis=-1
        )
        for R, t in zip(truth.R, truth.t, strict=True)
    ]
    return CameraError(
        tuple(map(tuple, K.tolist())), float(degrees[0]), float(degrees[1:].max()), float(np.mean(off_px))
    )


def _draw(truth: ActorTruth, video: Path, cameras: Mapping[str, Floats]) -> Picture:
    """The mesh on one frame through each camera, side by side, cut to the head; `cameras` by their titles."""
    assert truth.box is not None
    place = len(truth.R) // 2
    with open_source(video) as frames:
        picture = frames.frame(truth.source_numbers[place] - 1)
    crop = crop_from_box(truth.box, truth.size_wh, truth.image_size_wh)
    mesh = Mesh(truth.vertices, truth.faces.astype(np.int64))
    drawings = []
    for title, K in cameras.items():
        drawn = draw(OverlayFrame("", K, truth.R[place], truth.t[place], crop, mesh, picture))
        drawings.append(drawn[:_LEGEND_TOP_PX, _SIDE_PX:-_SIDE_PX])
        put_text(drawings[-1], title, (24, 50), (255, 255, 255), 1.2, 2)
    return np.hstack(drawings)
